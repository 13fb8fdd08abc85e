/** `kill -9` in a loop under load, and each time a start on the same data: every promise holds. */
import { setTimeout as delay } from "node:timers/promises"
import { expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { expectSound, verdict } from "./harness/Verdict.ts"
import { Workload, type WorkloadOptions } from "./harness/Workload.ts"

/** Kills so often, and ends a moment (ms) after the last start. */
const expectUnharmed = async (
  rounds: number,
  lastMs: number,
  options: Pick<WorkloadOptions, "weights"> = {}
): Promise<void> => {
  await using folder = await Folder.make()
  const random = Random.fromEnvironment()
  let server: Server | undefined = await Server.start({ data: folder.in("data") })
  const workload = new Workload({ random, url: () => server?.url, mutationsMax: 4_500, pauseMs: 20, ...options })
  try {
    await workload.prepare()
    workload.begin()
    for (let round = 0; round < rounds; round++) {
      await delay(random.between(100, 1_500))
      await server.kill()
      server = await Server.start({ data: folder.in("data") })
    }
    await delay(lastMs)
    await workload.end(10_000)
    const result = await verdict(workload, () => server, random, 10_000)
    expectSound(result)
    expect(result.acked).toBeGreaterThan(rounds * 10)
  } finally {
    await workload.stop()
    await server?.kill()
  }
}

it("kill -9 at random instants under load breaks no promise", { timeout: 120_000 }, () => expectUnharmed(8, 500))

it("kill -9 breaks none while members come and go, and what was answered is sent again", { timeout: 120_000 }, () =>
  // Little is said after the last start: what a device has wrong by then stays wrong.
  expectUnharmed(3, 0, {
    weights: { member: 10, lobby: 8, markUnread: 5, read: 10, drop: 5, edit: 8, delete: 6, sendAgain: 10 }
  })
)
