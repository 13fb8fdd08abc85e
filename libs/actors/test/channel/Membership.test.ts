import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { channelLimitsDefault, ChannelState, replay } from "../../src/channel/ChannelState.ts"
import { visibleRanges } from "../../src/channel/Members.ts"
import { Harness, history, run, StoreModel, tightLimits, users } from "./ChannelHarness.ts"

const room = (channel = "group:room"): Harness => run(channel, tightLimits, [])
const roleOf = (harness: Harness, user: string) => harness.state.stayOf(user)?.role

describe("membership", () => {
  it("begins with the creation: the creator is owner, named or not", () => {
    const harness = new Harness("group:new", tightLimits)
    harness.must("ann", { op: "create", name: "New", topic: "t", members: ["ben", "ann", "ben"] })
    expect(harness.state.memberPage("", 10)).toEqual([
      { channel: "group:new", user: "ann", role: "owner", from: 1, to: null, seq: 1 },
      { channel: "group:new", user: "ben", role: "member", from: 1, to: null, seq: 1 }
    ])
    expect(harness.state).toMatchObject({ exists: true, name: "New", topic: "t", memberCount: 2 })
  })

  it("is changed by owners only", () => {
    const harness = room()
    for (const fields of [
      { op: "add_members", members: ["dan"] },
      { op: "remove_members", members: ["cat"] },
      { op: "update", name: "x" }
    ] as const)
      expect(harness.refusal("ben", fields)).toBe("forbidden")
  })

  it("changes for the whole list or not at all", () => {
    const harness = room()
    const add = harness.resolve("ann", harness.mutation({ op: "add_members", members: ["dan", "ben"] }))
    expect(add).toMatchObject({ failure: { code: "conflict", detail: "already members: ben" } })
    const remove = harness.resolve("ann", harness.mutation({ op: "remove_members", members: ["ben", "dan"] }))
    expect(remove).toMatchObject({ failure: { code: "conflict", detail: "no members: dan" } })
    harness.must("ann", { op: "add_members", members: ["dan", "eve", "dan"] })
    expect(harness.state.memberCount).toBe(5)
  })

  it("can be joined where the type is open, once", () => {
    const harness = room("public:room")
    harness.must("zoe", { op: "join" })
    expect(harness.refusal("zoe", { op: "join" })).toBe("conflict")
    expect(roleOf(harness, "zoe")).toBe("member")
    expect(room("team:room").refusal("zoe", { op: "join" })).toBe("not_found")
  })

  it("of a direct channel is fixed", () => {
    const harness = room("dm:pair")
    expect(harness.refusal("ann", { op: "add_members", members: ["dan"] })).toBe("forbidden")
    expect(harness.refusal("ann", { op: "remove_members", members: ["ben"] })).toBe("forbidden")
    expect(harness.refusal("ben", { op: "leave" })).toBe("forbidden")
    expect(harness.refusal("ben", { op: "send", text: "hi", mentions: [] })).toBe("Accept")
  })

  it("passes ownership to the longest-standing member when the last owner goes, and says so in the log", () => {
    const harness = room()
    harness.must("ann", { op: "remove_members", members: ["ben"] })
    harness.must("ann", { op: "add_members", members: ["ben"] })
    expect(JSON.parse(harness.must("ann", { op: "leave" }).hidden)).toMatchObject({ heir: "cat" })
    expect([roleOf(harness, "cat"), roleOf(harness, "ben"), roleOf(harness, "ann")]).toEqual([
      "owner",
      "member",
      "member"
    ])
    harness.must("cat", { op: "remove_members", members: ["cat", "ben"] })
    expect(harness.state.memberCount).toBe(0)
    expect(harness.refusal("cat", { op: "send", text: "hi", mentions: [] })).toBe("not_found")
  })

  it("ends at the seq of the removal: nothing later is visible, and nothing at all to read (REVOKED-IS-OUT, †15)", () => {
    const harness = room()
    harness.must("ann", { op: "send", text: "1", mentions: [] })
    const { seq } = harness.must("ann", { op: "remove_members", members: ["ben"] })
    expect(harness.state.stayOf("ben")).toEqual({ role: "member", from: 1, to: seq })
    expect(harness.state.visibleRange("ben")).toEqual([])
    expect(harness.state.readableAfter("ben")).toBe(harness.state.committedSeq)
    expect(harness.state.stayOf("zoe")).toBeNull()
  })

  it("opens what lies between two stays only where the type says so (†15)", () => {
    for (const [channel, ranges] of [
      ["public:room", [{ from: 1, to: 4 }]],
      [
        "group:room",
        [
          { from: 1, to: 2 },
          { from: 4, to: 4 }
        ]
      ]
    ] as const) {
      const harness = room(channel)
      harness.must("ann", { op: "remove_members", members: ["ben"] })
      harness.must("ann", { op: "send", text: "meanwhile", mentions: [] })
      harness.must("ann", { op: "add_members", members: ["ben"] })
      expect(harness.state.visibleRange("ben")).toEqual(ranges)
      expect(harness.state.readableAfter("ben")).toBe((ranges.at(-1)?.from ?? 0) - 1)
    }
  })

  it("is clipped at the head it is asked for (†15)", () => {
    const stays = [
      { from: 2, to: 4 },
      { from: 7, to: null }
    ]
    expect(visibleRanges(stays, 1, false)).toEqual([])
    expect(visibleRanges(stays, 3, false)).toEqual([{ from: 2, to: 3 }])
    expect(visibleRanges(stays, 4, false)).toEqual([])
    expect(visibleRanges(stays, 6, true)).toEqual([])
    expect(visibleRanges(stays, 9, false)).toEqual([
      { from: 2, to: 4 },
      { from: 7, to: 9 }
    ])
    expect(visibleRanges(stays, 9, true)).toEqual([{ from: 2, to: 9 }])
  })

  it("is what a recount of the log says, for everybody and after every step", () => {
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        run(channel, tightLimits, steps, ({ log, state }) => {
          const model = new StoreModel(log)
          for (const user of users) {
            const stays = model.stays(user)
            const last = stays.at(-1)
            expect(state.isMember(user)).toBe(last?.to === null)
            if (last?.to === null)
              expect(state.stayOf(user)).toMatchObject({ role: last.role, from: last.from, to: null })
            const ranges = state.visibleRange(user)
            if (ranges !== undefined)
              expect(ranges).toEqual(visibleRanges(stays, log.length, channel === "public:room"))
          }
          expect(state.memberCount).toBe(users.filter((user) => model.stays(user).at(-1)?.to === null).length)
        })
      })
    )
  })

  it("of a large channel is exact for whoever the store was asked about, however far it is behind", () => {
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        run(channel, { ...tightLimits, membersResidentMax: 1 }, steps, (harness) => {
          const { log, state } = harness
          for (const user of users) {
            if (state.isMember(user) === undefined) state.learn(user, harness.store().stays(user))
            expect(state.isMember(user)).toBe(new StoreModel(log).stays(user).at(-1)?.to === null)
          }
        })
      })
    )
  })

  it("of a large channel takes bounded memory, and keeps an heir", () => {
    const limits = { ...channelLimitsDefault, membersResidentMax: 50, recordsMax: 20, seniorsMax: 3 }
    const harness = new Harness("public:big", limits)
    harness.must("ann", { op: "create", name: "Big", topic: "", members: ["ben"] })
    for (let at = 0; at < 200; at++) harness.must(`user${at}`, { op: "join" })
    harness.setFloor(harness.state.seq)
    const { state } = harness
    expect(state.memberCount).toBe(202)
    expect(state.members.recordCount).toBeLessThanOrEqual(20)
    expect(state.memberPage("", 10)).toBeUndefined()
    expect(state.isMember("user7")).toBeUndefined()
    expect(harness.refusal("user7", { op: "send", text: "hi", mentions: ["user8", "nobody"] })).toBe("invalid")
    expect(harness.refusal("nobody", { op: "send", text: "hi", mentions: [] })).toBe("not_found")
    expect(JSON.parse(harness.must("ann", { op: "leave" }).hidden)).toMatchObject({ heir: "ben" })
    expect(harness.refusal("ben", { op: "update", name: "Mine" })).toBe("Accept")
  })

  it("of a large channel out of the store is learned with its owner, pending changes or not", () => {
    const limits = { ...tightLimits, membersResidentMax: 1 }
    const harness = new Harness("group:big", limits)
    harness.must("ann", { op: "create", name: "Big", topic: "", members: ["ben", "cat", "dan"] })
    harness.setFloor(harness.state.seq)
    const { state } = harness
    const row = {
      channel: "group:big",
      generation: 1,
      seq: state.seq,
      n: 0,
      name: "Big",
      topic: "",
      fanout: "write",
      createdAt: 1,
      members: 4,
      idBound: 0
    } as const
    const head = { generation: 1, seq: state.seq, n: 0 }
    harness.state = ChannelState.fromStore(row, head, undefined, state.tailEvents(0, 9, 9), limits)
    harness.do("ben", harness.mutation({ op: "send", text: "pending", mentions: [] }))
    expect(harness.state.stayOf("ann")).toBeUndefined()
    harness.must("ann", { op: "update", name: "Mine" })
    expect(harness.state.stayOf("ann")).toEqual({ role: "owner", from: 1, to: null })
    expect(harness.refusal("ben", { op: "update", name: "Mine" })).toBe("forbidden")
  })

  it("is not counted twice when a replay repeats what the store's row had", () => {
    const harness = room()
    const added = harness.must("ann", { op: "add_members", members: ["dan"] })
    harness.must("ann", { op: "remove_members", members: ["ben"] })
    const stays = users.flatMap((user) => new StoreModel(harness.log).stays(user))
    // The persister wrote the row, then was stopped before the newest messages.
    const row = {
      channel: "group:room",
      generation: 1,
      seq: 3,
      n: 0,
      name: "Room",
      topic: "",
      fanout: "write",
      createdAt: 1,
      members: 3,
      idBound: 0
    } as const
    const state = ChannelState.fromStore(
      row,
      { generation: 1, seq: 1, n: 0 },
      stays,
      harness.state.tailEvents(0, 1, 9),
      tightLimits
    )
    for (const entry of harness.log.slice(1)) replay(state, entry)
    expect(state.memberCount).toBe(3)
    expect(state.memberPage("", 9)).toEqual(harness.state.memberPage("", 9))
    expect(added.seq).toBe(2)
  })

  it("of someone whose earlier stays are asked for takes what is under way with it, and no answer from before the tail", () => {
    const harness = run("group:room", { ...tightLimits, staysPerUserMax: 1, recordsMax: 0 }, [])
    for (const fields of [
      { op: "remove_members", members: ["ben"] },
      { op: "add_members", members: ["ben"] }
    ] as const)
      harness.must("ann", fields)
    harness.setFloor(harness.state.seq)
    const { state } = harness
    expect(state.visibleRange("ben")).toBeUndefined()
    expect(state.readableAfter("ben")).toBe(2)
    const rows = harness.store().stays("ben")
    harness.do("ann", harness.mutation({ op: "remove_members", members: ["ben"] }))
    expect(state.learn("ben", rows)).toBe(true)
    expect(state.visibleRange("ben")).toEqual([
      { from: 1, to: 2 },
      { from: 3, to: 3 }
    ])
    expect(harness.refusal("ben", { op: "send", text: "hi", mentions: [] })).toBe("not_found")
    harness.commitAll()
    expect(state.visibleRange("ben")).toEqual([])
    for (let sent = 0; sent < 8; sent++) harness.must("ann", { op: "send", text: "x", mentions: [] })
    harness.setFloor(state.seq)
    expect(state.learn("ben", rows, 3)).toBe(false)
  })
})
