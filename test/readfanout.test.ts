/**
 * Channels around the threshold of read fan-out, which members' coming and going crosses all the time, both ways and
 * under load: who watches misses nothing, who does not watch gets all of it when he asks, and a removed member nothing
 * (REVOKED-IS-OUT).
 */
import { expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { expectSound, verdict } from "./harness/Verdict.ts"
import { Workload } from "./harness/Workload.ts"

/** All four users are one more. */
const threshold = 3
const waitMsMax = 30_000

it(
  "read fan-out, and its live switch in both directions under load, breaks no promise",
  { timeout: 120_000 },
  async () => {
    await using folder = await Folder.make()
    const random = Random.fromEnvironment()
    const options = { data: folder.in("data"), environment: { PARLEY_FANOUT_THRESHOLD: String(threshold) } }
    let server: Server | undefined = await Server.start(options)
    const weights = { member: 12, lobby: 8, look: 3, drop: 2 }
    const workload = new Workload({ random, url: () => server?.url, mutationsMax: 6_000, pauseMs: 20, weights })
    const { facts } = workload.recorder
    const switched = (to: string) =>
      facts.filter(
        (fact) =>
          fact._tag === "Shown" &&
          fact.how === "live" &&
          fact.events.some((event) => event.kind === "fanout" && event.fanout === to)
      ).length
    try {
      await workload.prepare()
      workload.begin()
      expect(await workload.untilAcked(1_000, waitMsMax)).toBe(true)
      // Watches end with their connections, and the way of the fan-out is the channel's own.
      await server.kill()
      server = await Server.start(options)
      expect(await workload.untilAcked(500, waitMsMax)).toBe(true)
      await workload.end(waitMsMax)
      expectSound(await verdict(workload, () => server, random, waitMsMax))
      expect([switched("read") > 10, switched("write") > 10]).toEqual([true, true])
      const removals = facts.filter(
        (fact) => fact._tag === "Shown" && fact.events.some(({ kind }) => kind === "removed")
      )
      expect(removals.length).toBeGreaterThan(10)
    } finally {
      await workload.stop()
      await server?.kill()
    }
  }
)
