/** `kill -9` in a loop under load, and each time a start on the same data: every promise holds. */
import { setTimeout as delay } from "node:timers/promises"
import { expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"

const rounds = 8

it("kill -9 at random instants under load breaks no promise", { timeout: 120_000 }, async () => {
  await using folder = await Folder.make()
  const random = Random.fromEnvironment()
  const times: Array<number> = []
  let server: Server | undefined = await Server.start({ data: folder.in("data") })
  const workload = new Workload({ random, url: () => server?.url, mutationsMax: 4_500, pauseMs: 20 })
  try {
    await workload.prepare()
    workload.begin()
    for (let round = 0; round < rounds; round++) {
      await delay(random.between(100, 1_500))
      await server.kill()
      times.push(Date.now())
      server = await Server.start({ data: folder.in("data") })
      times.push(Date.now())
    }
    times.push(Date.now())
    await delay(500)
    await workload.end(10_000)
    times.push(Date.now())
    const { acked, report, violations } = await verdict(workload, () => server, random, 8_000)
    if (process.env["DBG"]) {
      const c: Record<string, number> = {}
      for (const f of workload.recorder.facts) {
        const k =
          f._tag + ("how" in f ? f.how : "") + ("code" in f ? f.code : "") + (f._tag === "Asked" ? f.mutation.op : "")
        c[k] = (c[k] ?? 0) + 1
      }
      console.log(report, c, times)
    }
    expect(violations.length, report).toBe(0)
    expect(acked).toBeGreaterThan(200)
  } finally {
    await workload.stop()
    await server?.kill()
  }
})
