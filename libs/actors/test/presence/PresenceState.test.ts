import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { PresenceChange } from "../../src/owner/OwnerProtocol.ts"
import {
  type DeviceReport,
  presenceDeltas,
  presenceLimitsDefault,
  presenceReport,
  PresenceState,
  presenceView,
  presenceWatch
} from "../../src/presence/PresenceState.ts"

const { deltaIntervalMs, edgeForgottenMs, edgeSilentMs, graceMs, userIntervalMs } = presenceLimitsDefault

/** A shard whose owner has listened long enough, with edge-1 watching the named users. */
const settled = (...watched: ReadonlyArray<string>): PresenceState => {
  const state = PresenceState.empty(3, 7, -graceMs)
  presenceWatch(state, "edge-1", watched, 0)
  return state
}
const report = (
  state: PresenceState,
  now: number,
  ...devices: ReadonlyArray<readonly [user: string, device: string, state: DeviceReport["state"]]>
) =>
  presenceReport(
    state,
    "edge-1",
    false,
    devices.map(([user, device, state]) => ({ user, device, state })),
    now
  )
const shown = (changes: ReadonlyArray<PresenceChange>) =>
  Object.fromEntries(changes.map(({ state, user }) => [user, state]))
const viewOf = (state: PresenceState, now: number, ...users: ReadonlyArray<string>) =>
  shown(presenceView(state, users, now).users)

describe("presence", () => {
  it("merges devices: online over away over offline, with last seen", () => {
    const state = settled("ann")
    report(state, 0, ["ann", "phone", "away"])
    expect(presenceDeltas(state, 0)).toEqual([{ user: "ann", state: "away", last_seen: null }])
    report(state, 5_000, ["ann", "laptop", "online"])
    expect(presenceDeltas(state, 5_000)).toEqual([{ user: "ann", state: "online", last_seen: null }])
    report(state, 10_000, ["ann", "laptop", "gone"])
    expect(presenceDeltas(state, 10_000)).toEqual([{ user: "ann", state: "away", last_seen: null }])
    report(state, 20_000, ["ann", "phone", "gone"])
    report(state, 20_000 + graceMs - 1)
    expect(presenceDeltas(state, 20_000 + graceMs - 1)).toEqual([])
    expect(presenceDeltas(state, 20_000 + graceMs)).toEqual([{ user: "ann", state: "offline", last_seen: 20_000 }])
    expect(presenceView(state, ["ann", "zoe"], 90_000)).toEqual({
      shard: 3,
      epoch: 7,
      n: 4,
      users: [
        { user: "ann", state: "offline", last_seen: 20_000 },
        { user: "zoe", state: "offline", last_seen: null }
      ]
    })
  })

  it("comes out the same whatever the order in which devices report", () => {
    const device = fc.record({
      edge: fc.constantFrom("edge-1", "edge-2"),
      user: fc.constantFrom("ann", "ben"),
      device: fc.constantFrom("phone", "laptop"),
      state: fc.constantFrom("online" as const, "away" as const, "gone" as const)
    })
    const devices = fc.uniqueArray(device, { selector: ({ device, edge, user }) => `${edge} ${user} ${device}` })
    fc.assert(
      fc.property(
        devices.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([one, other]) => {
          const [first, second] = [one, other].map((list) => {
            const state = settled("ann", "ben")
            for (const { edge, ...device } of list) presenceReport(state, edge, false, [device], 1)
            return [
              viewOf(state, 1, "ann", "ben"),
              shown(presenceDeltas(state, 1)),
              viewOf(state, 1, "ann", "ben"),
              shown(presenceDeltas(state, 1 + graceMs))
            ]
          })
          expect(second).toEqual(first)
        }
      )
    )
  })

  it("says nobody is offline within the grace period of his last device, in dense versions, as a recount says", () => {
    const user = fc.constantFrom("ann", "ben", "cat")
    const step = fc.record({
      wait: fc.constantFrom(0, 1, 300, 2_500, 10_000, graceMs, graceMs + 5_000),
      edge: fc.constantFrom("edge-1", "edge-2"),
      full: fc.boolean(),
      devices: fc.array(
        fc.record({
          user,
          device: fc.constantFrom("phone", "laptop"),
          state: fc.constantFrom("online" as const, "away" as const, "gone" as const)
        }),
        { maxLength: 3 }
      )
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const state = settled("ann", "ben", "cat")
        const here = new Map<string, string>()
        const goneAt = new Map<string, number>()
        const heard = new Map<string, number>([["edge-1", 0]])
        const told = new Map<string, string>()
        const silent = new Map<string, ReadonlyArray<[string, string]>>()
        let [now, n] = [0, 0]
        const states = (user: string) =>
          [...here].filter(([key]) => key.split(" ")[1] === user).map(([, state]) => state)
        const drop = (key: string) => {
          const user = key.split(" ")[1] ?? ""
          if (here.delete(key) && states(user).length === 0) goneAt.set(user, now)
        }
        for (const { devices, edge, full, wait } of steps) {
          now += wait
          for (const [name, at] of heard) {
            if (now - at < edgeSilentMs || name === edge) continue
            heard.delete(name)
            const had = [...here].filter(([key]) => key.startsWith(name))
            if (had.length > 0) silent.set(name, had)
            for (const [key] of had) drop(key)
          }
          if (!full) for (const [key, state] of silent.get(edge) ?? []) here.set(key, state)
          silent.delete(edge)
          heard.set(edge, now)
          // Both edges watch, so that what is told does not depend on who fell silent.
          presenceWatch(state, edge, ["ann", "ben", "cat"], now)
          presenceReport(state, edge, full, devices, now)
          const named = new Set(devices.map(({ device, user }) => `${edge} ${user} ${device}`))
          if (full) for (const key of here.keys()) if (key.startsWith(edge) && !named.has(key)) drop(key)
          for (const { device, state, user } of devices) {
            const key = `${edge} ${user} ${device}`
            if (state === "gone") drop(key)
            else here.set(key, state)
          }
          const changes = presenceDeltas(state, now)
          if (changes.length > 0) n++
          expect(state.n).toBe(n)
          for (const { state, user } of changes) {
            expect(told.get(user)).not.toBe(state)
            told.set(user, state)
            if (state === "offline") {
              expect(states(user)).toEqual([])
              expect(now - (goneAt.get(user) ?? 0)).toBeGreaterThanOrEqual(graceMs)
            } else expect(states(user).includes("online") ? "online" : "away").toBe(state)
          }
        }
      }),
      { numRuns: 300 }
    )
  })

  it("hides a drop that ends within the grace period", () => {
    const state = settled("ann")
    report(state, 0, ["ann", "phone", "online"])
    presenceDeltas(state, 0)
    report(state, 1_000, ["ann", "phone", "gone"])
    expect(presenceDeltas(state, 1_000)).toEqual([])
    expect(viewOf(state, 1_000, "ann")).toEqual({ ann: "online" })
    report(state, 1_000 + graceMs - 1, ["ann", "phone", "online"])
    expect(presenceDeltas(state, 1_000 + 2 * graceMs)).toEqual([])
    expect(state.n).toBe(1)
  })

  it("†6 has the devices of an edge that was silent back at its next word, which says only what changed", () => {
    const state = settled("ann", "bob")
    report(state, 0, ["ann", "phone", "online"], ["bob", "phone", "away"])
    presenceDeltas(state, 0)
    presenceDeltas(state, edgeSilentMs)
    // Its own process stood still, or this one's clock was set: it is there, and believes that all of it is known.
    const back = edgeSilentMs + graceMs - 1
    report(state, back, ["bob", "phone", "gone"])
    expect(presenceDeltas(state, back)).toEqual([])
    const later = back + graceMs
    report(state, later)
    expect(shown(presenceDeltas(state, later))).toEqual({ bob: "offline" })
    expect(viewOf(state, later, "ann")).toEqual({ ann: "online" })
  })

  it("forgets what a silent edge had when that says all it has", () => {
    const state = settled("ann")
    report(state, 0, ["ann", "phone", "online"])
    presenceDeltas(state, 0)
    presenceDeltas(state, edgeSilentMs)
    presenceReport(state, "edge-1", true, [], edgeSilentMs + 1)
    expect(shown(presenceDeltas(state, edgeSilentMs + graceMs))).toEqual({ ann: "offline" })
  })

  it("takes the users of an edge that fell silent offline after the grace period, not the others", () => {
    const state = settled("ann", "ben")
    presenceReport(state, "edge-2", false, [{ user: "ann", device: "phone", state: "online" }], 0)
    report(state, 0, ["ben", "phone", "online"])
    presenceDeltas(state, 0)
    report(state, edgeSilentMs - 1)
    expect(presenceDeltas(state, edgeSilentMs)).toEqual([])
    report(state, edgeSilentMs + graceMs - 1)
    expect(presenceDeltas(state, edgeSilentMs + graceMs - 1)).toEqual([])
    expect(presenceDeltas(state, edgeSilentMs + graceMs)).toEqual([{ user: "ann", state: "offline", last_seen: 0 }])
  })

  it("rides out an edge's silence that ends in time with a full report", () => {
    const state = settled("ann")
    presenceReport(state, "edge-2", false, [{ user: "ann", device: "phone", state: "online" }], 0)
    presenceDeltas(state, 0)
    report(state, edgeSilentMs)
    presenceDeltas(state, edgeSilentMs)
    presenceReport(state, "edge-2", true, [{ user: "ann", device: "phone", state: "online" }], edgeSilentMs + 5_000)
    expect(presenceDeltas(state, edgeSilentMs + graceMs + 5_000)).toEqual([])
    expect(viewOf(state, edgeSilentMs + graceMs + 5_000, "ann")).toEqual({ ann: "online" })
  })

  it("of a new owner says nobody is offline before it has listened for a grace period (†6)", () => {
    const state = PresenceState.empty(3, 8, 0)
    presenceWatch(state, "edge-1", ["ann", "ben", "cat"], 0)
    expect(viewOf(state, 0, "ann", "ben", "cat")).toEqual({})
    report(state, 10, ["ann", "phone", "online"], ["cat", "phone", "online"])
    expect(shown(presenceDeltas(state, 10))).toEqual({ ann: "online", cat: "online" })
    report(state, 20, ["cat", "phone", "gone"])
    expect(viewOf(state, 20, "ann", "ben", "cat")).toEqual({ ann: "online", cat: "online" })
    report(state, graceMs - 1)
    expect(presenceDeltas(state, graceMs - 1)).toEqual([])
    expect(presenceDeltas(state, graceMs)).toEqual([{ user: "ben", state: "offline", last_seen: null }])
    expect(shown(presenceDeltas(state, graceMs + 20 + deltaIntervalMs))).toEqual({ cat: "offline" })
  })

  it("damps a user who flaps: he changes at most once an interval, and ends as he is", () => {
    const state = settled("ann")
    let told = 0
    for (let now = 0; now < 10_000; now += 100) {
      report(state, now, ["ann", "phone", now % 200 === 0 ? "online" : "away"])
      told += presenceDeltas(state, now).length
    }
    expect(told).toBeLessThanOrEqual(10_000 / userIntervalMs)
    presenceDeltas(state, 20_000)
    expect(viewOf(state, 20_000, "ann")).toEqual({ ann: "away" })
  })

  it("tells of watched users only, and of so many a version", () => {
    const users = Array.from({ length: presenceLimitsDefault.deltaUsersMax + 10 }, (_, at) => `user${at}`)
    const state = settled(...users)
    report(state, 0, ["nobody", "phone", "online"], ...users.map((user) => [user, "phone", "online"] as const))
    expect(presenceDeltas(state, 0)).toHaveLength(presenceLimitsDefault.deltaUsersMax)
    expect(presenceDeltas(state, 1)).toEqual([])
    const rest = presenceDeltas(state, deltaIntervalMs)
    expect(rest).toHaveLength(10)
    expect(rest.map(({ user }) => user)).not.toContain("nobody")
    expect(viewOf(state, 300, "nobody")).toEqual({ nobody: "online" })
    expect(state.n).toBe(2)
  })

  it("bounds what an edge watches, a user's devices, and those whose last seen it keeps", () => {
    const limits = { ...presenceLimitsDefault, watchedPerEdgeMax: 2, devicesPerUserMax: 2, offlineUsersMax: 2 }
    const state = PresenceState.empty(0, 1, -graceMs, limits)
    presenceWatch(state, "edge-1", ["a", "b", "c"], 0)
    presenceWatch(state, "edge-2", ["a"], 0)
    expect([...state.watchers.keys()].sort()).toEqual(["a", "b", "c"])
    presenceWatch(state, "edge-1", ["b", "d"], 0)
    expect([...state.watchers.keys()].sort()).toEqual(["a", "b", "d"])
    for (const device of ["1", "2", "3"]) report(state, 0, ["a", device, "online"])
    expect(state.users.get("a")?.devices.get("edge-1")?.size).toBe(2)
    for (const user of ["u1", "u2", "u3"]) report(state, 0, [user, "phone", "online"], [user, "phone", "gone"])
    presenceDeltas(state, graceMs)
    expect([...state.offline]).toEqual(["u2", "u3"])
    expect(state.users.has("u1")).toBe(false)
    expect(state.inspect()).toMatchObject({ offlineKnown: 2, watched: 3 })
  })

  it("forgets an edge with what it watches long after its silence", () => {
    const state = settled("ann")
    presenceDeltas(state, edgeForgottenMs - 1)
    expect(state.inspect()).toMatchObject({ edges: 1, watched: 1 })
    presenceDeltas(state, edgeForgottenMs)
    expect(state.inspect()).toMatchObject({ edges: 0, watched: 0 })
  })
})
