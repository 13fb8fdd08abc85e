/**
 * The checker is checked: servers with a known defect built in (`PARLEY_TEST_FAULT`) run under the same load, and each
 * defect has to be found, by the name of the promise that it breaks.
 */
import { setTimeout as delay } from "node:timers/promises"
import { describe, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { expectCaught, expectSound, type Verdict, verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"

/** How long devices may wait for what a sound server would bring: more than a link's heartbeat. */
const settleMsMax = 5_000

/** More than the link messages of which a server of `lose-last-link` loses one. */
const quietChannels = 24

/** Kills it `rounds` times, at the very moment an ack is here: what is acknowledged too soon is not in the log yet. */
const runBroken = async (fault: string, rounds: number): Promise<Verdict> => {
  await using folder = await Folder.make()
  const random = Random.fromEnvironment()
  const options = { data: folder.in("data"), environment: { PARLEY_TEST_FAULT: fault, PARLEY_UNSAFE_LOG: "true" } }
  let server: Server | undefined = await Server.start(options)
  const workload = new Workload({ random, url: () => server?.url, mutationsMax: 3_000, pauseMs: 10 })
  try {
    await workload.prepare()
    workload.begin()
    for (let round = 0; round < rounds; round++) {
      const killed = server
      await killAtAck(workload, killed, random.between(50, 150))
      server = await Server.start(options)
    }
    await delay(1_500)
    await workload.end(3_000)
    await workload.lastWords(quietChannels, 20)
    return await verdict(workload, () => server, random, settleMsMax)
  } finally {
    await workload.stop()
    await server?.kill()
  }
}

const killAtAck = async (workload: Workload, server: Server, count: number): Promise<void> => {
  await Promise.race([
    new Promise<void>((resolve) =>
      workload.whenAcked(count, () => {
        void server.kill()
        resolve()
      })
    ),
    delay(5_000, undefined, { ref: false })
  ])
  await server.kill()
}

describe("a broken build is caught", () => {
  it("that acks before the commit", { timeout: 60_000 }, async () => {
    expectCaught(await runBroken("ack-before-commit", 3), "DURABLE-BEFORE-ACK")
  })

  it("that forgets client ids at a restart", { timeout: 60_000 }, async () => {
    expectCaught(await runBroken("forget-ids", 2), "EXACTLY-ONCE-EFFECT")
  })

  it("that loses the last link message", { timeout: 60_000 }, async () => {
    expectCaught(await runBroken("lose-last-link", 0), "NO-GAP-SYNC")
  })

  it("and the same run of a sound one is not", { timeout: 60_000 }, async () => {
    expectSound(await runBroken("none", 1))
  })
})
