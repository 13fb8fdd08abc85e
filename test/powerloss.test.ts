/**
 * The power goes under load, at random instants: the data directory lies on a file system that drops what was not
 * synced (`infra/faults/lossyfs.py`). With the log's `synchronous=FULL` every promise holds; with NORMAL and OFF the
 * same test finds what was lost, or it would prove nothing.
 */
import { setTimeout as delay } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { LossyMount, noFuse } from "./harness/LossyMount.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { expectCaught, expectSound, type Verdict, verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"

type Synchronous = "FULL" | "NORMAL" | "OFF"

const settings = (synchronous: Synchronous): Readonly<Record<string, string>> =>
  synchronous === "FULL" ? {} : { PARLEY_LOG_SYNCHRONOUS: synchronous, PARLEY_UNSAFE_LOG: "true" }

/** Loses power `rounds` times; of every other cut a random part of what was not synced is left. */
const losePower = async (synchronous: Synchronous, rounds: number): Promise<Verdict> => {
  await using folder = await Folder.make()
  const random = Random.fromEnvironment()
  const environment = settings(synchronous)
  const backing = folder.in("disk")
  let server: Server | undefined
  let printed = ""
  const workload = new Workload({ random, url: () => server?.url, mutationsMax: 4_000, pauseMs: 20 })
  try {
    for (let round = 0; round < rounds; round++) {
      const seed = round % 2 === 0 ? undefined : random.between(0, 1 << 30)
      await using mount = await LossyMount.mount(backing, folder.in("mount"), seed)
      server = await Server.start({ data: `${mount.path}/data`, environment })
      if (round === 0) {
        await workload.prepare()
        workload.begin()
      }
      // Or a bounded time, where the server takes no more.
      await workload.untilAcked(100, 5_000)
      await delay(random.between(0, 500))
      mount.cut()
      await server.kill()
      printed = server.output
    }
    server = Server.launch({ data: `${backing}/data`, environment })
    // With less than FULL it may refuse what it finds; then nothing of what was promised can be read.
    await server.whenReady()
    await workload.end(synchronous === "FULL" ? 10_000 : 1_000)
    return await verdict(workload, () => server, random, synchronous === "FULL" ? 10_000 : 1_000)
  } catch (error) {
    throw new Error(`seed ${random.seed}; the server printed before:\n${printed}`, { cause: error })
  } finally {
    await workload.stop()
    await server?.kill()
  }
}

describe("power loss at random instants under load", () => {
  it("with synchronous=FULL breaks no promise", { timeout: 120_000 }, async (ctx) => {
    const why = noFuse()
    if (why !== undefined) return ctx.skip(why)
    const result = await losePower("FULL", 4)
    expectSound(result)
    expect(result.acked).toBeGreaterThan(200)
  })

  it.for(["NORMAL", "OFF"] as const)(
    "with synchronous=%s is caught",
    { timeout: 120_000 },
    async (synchronous, ctx) => {
      const why = noFuse()
      if (why !== undefined) return ctx.skip(why)
      expectCaught(await losePower(synchronous, 1), "DURABLE-BEFORE-ACK")
    }
  )
})
