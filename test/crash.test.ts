/** `kill -9` in a loop under load, and each time a start on the same data: every promise holds. */
import { setTimeout as delay } from "node:timers/promises"
import { expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { expectSound, verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"

const rounds = 8

it("kill -9 at random instants under load breaks no promise", { timeout: 120_000 }, async () => {
  await using folder = await Folder.make()
  const random = Random.fromEnvironment()
  let server: Server | undefined = await Server.start({ data: folder.in("data") })
  const workload = new Workload({ random, url: () => server?.url, mutationsMax: 4_500, pauseMs: 20 })
  try {
    await workload.prepare()
    workload.begin()
    for (let round = 0; round < rounds; round++) {
      await delay(random.between(100, 1_500))
      await server.kill()
      server = await Server.start({ data: folder.in("data") })
    }
    await delay(500)
    await workload.end(10_000)
    const result = await verdict(workload, () => server, random, 10_000)
    expectSound(result)
    expect(result.acked).toBeGreaterThan(200)
  } finally {
    await workload.stop()
    await server?.kill()
  }
})
