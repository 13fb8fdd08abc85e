import { describe, expect, it } from "vitest"
import { Inboxes } from "../../src/memory/MemoryInbox.ts"

const channelsOf = (inboxes: Inboxes, user: string) => inboxes.list(user, 100).map(({ channel }) => channel)

describe("inboxes in memory", () => {
  it("are bounded: the one that was written longest ago goes, and is filled again by what comes", () => {
    const inboxes = new Inboxes(6)
    for (const user of ["ann", "ben", "cem"]) {
      for (const channel of ["a", "b"]) inboxes.add({ user, channel, seq: 1 })
    }
    inboxes.remove("ann", { channel: "a", seq: 1 })
    inboxes.add({ user: "dan", channel: "a", seq: 1 })
    expect(channelsOf(inboxes, "ben")).toEqual([])
    expect(channelsOf(inboxes, "ann")).toEqual(["b"])
    expect(inboxes.rows).toBe(5)
    inboxes.add({ user: "ben", channel: "b", seq: 2 })
    expect(channelsOf(inboxes, "ben")).toEqual(["b"])
    expect(inboxes.rows).toBe(6)
  })

  it("of one user who has more than all may have stay", () => {
    const inboxes = new Inboxes(3)
    for (let at = 0; at < 5; at++) inboxes.add({ user: "ann", channel: `c${at}`, seq: 1 })
    expect(channelsOf(inboxes, "ann").length).toBe(5)
    inboxes.add({ user: "ben", channel: "a", seq: 1 })
    expect(inboxes.rows).toBe(1)
  })

  it("†10 give places that are later than those of an earlier process", () => {
    let now = 1_000
    const place = (inboxes: Inboxes) => inboxes.list("ann", 1)[0]?.place ?? 0
    const before = new Inboxes(10, () => now)
    for (let at = 0; at < 10; at++) before.add({ user: "ann", channel: `c${at}`, seq: 1 })
    now++
    const after = new Inboxes(10, () => now)
    after.add({ user: "ann", channel: "c0", seq: 1 })
    expect(place(after)).toBeGreaterThan(place(before))
  })
})
