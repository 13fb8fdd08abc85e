import { fromWire } from "@parley/protocol/WireText"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { channelLimitsDefault, ChannelState, commit, replay } from "../../src/channel/ChannelState.ts"
import {
  channels,
  clientId,
  Harness,
  encoded,
  history,
  isOfMemory,
  run,
  start,
  steps,
  StoreModel,
  take,
  tightLimits,
  users,
  type Step
} from "./ChannelHarness.ts"

/** All that can be seen of a state. */
const seen = (state: ChannelState) => ({
  seq: state.seq,
  n: state.n,
  committed: state.committedSeq,
  name: state.name,
  fanout: state.fanout,
  members: state.memberCount,
  last: state.lastMessage(),
  tail: state.tailEvents(state.tailFrom, state.seq, 1_000),
  tailFrom: state.tailFrom,
  encoded: Buffer.from(state.encode()).toString("latin1"),
  latest: state.latest,
  pinned: state.tail.pinnedBytes,
  bytes: state.tail.bytes
})

/** What everybody is answered to a set of questions, the store's part included. */
const answers = (harness: Harness) =>
  users.flatMap((user) => {
    const seqs = harness.log.map((entry) => entry.seq)
    const ids = harness.log.filter((entry) => entry.by === user && entry.cid !== "")
    return [
      ...ids.map((entry) =>
        harness.resolve(user, { op: "send", channel: entry.id, cid: entry.cid, text: "again", mentions: [] })
      ),
      ...seqs.flatMap((target) => [
        harness.resolve(user, {
          op: "delete",
          channel: harness.state.channel,
          cid: clientId(harness.now, 900_000),
          target
        }),
        harness.resolve(user, {
          op: "edit",
          channel: harness.state.channel,
          cid: clientId(harness.now, 900_001),
          target,
          text: "x",
          mentions: ["ben"]
        })
      ]),
      harness.resolve(user, { op: "leave", channel: harness.state.channel, cid: clientId(harness.now, 900_002) }),
      harness.resolve(user, { op: "join", channel: harness.state.channel, cid: clientId(harness.now, 900_003) }),
      harness.resolve(user, {
        op: "update",
        channel: harness.state.channel,
        cid: clientId(harness.now, 900_004),
        name: "x"
      })
    ]
  })

describe("the channel's state", () => {
  it("gives out dense seqs and counts its messages, whatever happens (ONE-ORDER)", () => {
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        run(channel, tightLimits, steps, ({ log, pending, state }) => {
          const all = [...log, ...pending.map(({ entry }) => entry)]
          expect(all.map((entry) => entry.seq)).toEqual(all.map((_, index) => index + 1))
          expect(all.map((entry) => entry.n)).toEqual(
            all.map((_, index) => all.slice(0, index + 1).filter((entry) => entry.kind === "message").length)
          )
          expect([state.seq, state.n, state.committedSeq, state.committedN]).toEqual([
            all.length,
            all.at(-1)?.n,
            log.length,
            log.at(-1)?.n
          ])
          expect(all.every((entry, index) => index === 0 || entry.at >= (all[index - 1]?.at ?? 0))).toBe(true)
        })
      })
    )
  })

  it("is as before when what was applied is taken back (†20)", () => {
    fc.assert(
      fc.property(history, steps(12), ({ channel, steps }, more) => {
        const harness = run(channel, tightLimits, steps)
        harness.commitAll()
        const before = seen(harness.state)
        for (const next of more) if (next._tag === "Do" || next._tag === "Again") take(harness, next)
        harness.undo(harness.pending.length)
        expect(seen(harness.state)).toEqual(before)
      })
    )
  })

  it("refuses to take back anything but the newest pending event", () => {
    const harness = run("group:room", tightLimits, [])
    harness.do("ann", harness.mutation({ op: "send", text: "1", mentions: [] }))
    harness.do("ann", harness.mutation({ op: "send", text: "2", mentions: [] }))
    expect(() => harness.pending[0]?.undo()).toThrow("not the newest")
    harness.commitAll()
    expect(() => harness.pending[1]?.undo()).not.toThrow()
  })

  const expectSameFromReplay = (channel: string, steps: ReadonlyArray<Step>): void => {
    const { state, trace, ...harness } = run(
      channel,
      { ...tightLimits, recordsMax: 100 },
      steps.filter((next) => !isOfMemory(next))
    )
    for (const { undo } of harness.pending.toReversed()) undo()
    const again = ChannelState.empty(channel, state.limits)
    for (const next of trace) {
      if ("entry" in next) replay(again, next.entry)
      else again.setFloor(next.floor)
    }
    expect(seen(again)).toEqual(seen(state))
    expect(again.window.snapshot(1_000, again.seq)).toEqual(state.window.snapshot(1_000, state.seq))
  }

  it("is the same from a replay of its log", () => {
    fc.assert(fc.property(channels, steps(80), expectSameFromReplay))
  })

  it("keeps as many ended stays as a replay, however many ended before one was committed", () => {
    const again = (op: "add_members" | "remove_members"): Step => ({
      _tag: "Do",
      user: "ann",
      fields: { op, members: ["ann"] },
      late: false,
      sane: true
    })
    const stays = [1, 2, 3].flatMap(() => [again("remove_members"), again("add_members")])
    expectSameFromReplay("public:room", [...stays, { _tag: "Commit", count: 2 }, { _tag: "Commit", count: 4 }])
    expectSameFromReplay("public:room", [...stays, ...stays, { _tag: "Commit", count: 7 }])
  })

  it("answers as before when it has given up what the store has, and what the store may not have it keeps", () => {
    let shrank = 0
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        const harness = run(channel, tightLimits, steps)
        harness.undo(harness.pending.length)
        const { state } = harness
        const before = { answers: answers(harness), last: state.lastMessage(), pinned: state.tail.pinnedBytes }
        const { bytes } = state
        if (state.shrink()) shrank++
        else expect(state.bytes).toBe(bytes)
        expect({ answers: answers(harness), last: state.lastMessage(), pinned: state.tail.pinnedBytes }).toEqual(before)
        expect(state.tailFrom).toBeLessThanOrEqual(state.floor)
        expect(state.tail.length <= tightLimits.warmTailEventsMax || state.tailFrom === state.floor).toBe(true)
        expect(state.shrink()).toBe(false)
      })
    )
    expect(shrank).toBeGreaterThan(5)
  })

  it("answers from its warm state as from the original, the store's help included (†1)", () => {
    fc.assert(
      fc.property(history, fc.constantFrom(...encoded), ({ channel, steps }, how) => {
        const harness = run(channel, tightLimits, steps)
        harness.undo(harness.pending.length)
        const before = answers(harness)
        const head = harness.state.lastMessage()
        harness.passivate(how)
        expect(answers(harness)).toEqual(before)
        expect(harness.state.lastMessage()).toEqual(head)
      }),
      { numRuns: 50 }
    )
  })

  it("is as before when what a checkpoint cut is put back (†26)", () => {
    let cut = 0
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        const harness = run(channel, tightLimits, steps)
        harness.undo(harness.pending.length)
        harness.storeAhead = 0
        const { floor, tail } = harness.state
        const before = { answers: answers(harness), events: harness.state.tailEvents(floor, 1_000, 1_000) }
        const pinned = tail.pinnedBytes
        harness.passivate("cut")
        const { state } = harness
        const upTo = state.tailFrom
        if (!state.isCut || upTo < floor + 3) return
        cut++
        const lacking = harness.log.filter(({ seq }) => seq > floor)
        // Of what ends below it, or has a hole, nothing is taken.
        for (const hole of [upTo, upTo - 1]) {
          expect(state.uncut(lacking.filter(({ seq }) => seq !== hole))).toBe(false)
        }
        expect(state.isCut).toBe(true)
        expect(state.uncut(lacking)).toBe(true)
        expect(state.isCut).toBe(false)
        expect({ answers: answers(harness), events: state.tailEvents(floor, 1_000, 1_000) }).toEqual(before)
        expect([state.floor, state.tailFrom, state.tail.pinnedBytes]).toEqual([floor, floor, pinned])
      })
    )
    expect(cut).toBeGreaterThan(5)
  })

  it("is after a snapshot and the later events as after all of them", () => {
    fc.assert(
      fc.property(history, steps(20), ({ channel, steps }, more) => {
        const harness = run(channel, tightLimits, steps)
        harness.commitAll()
        const snapshot = harness.state.encode()
        const from = harness.log.length
        for (const next of more) if (!isOfMemory(next)) take(harness, next)
        harness.undo(harness.pending.length)
        const other = new Harness(channel, tightLimits)
        other.state = ChannelState.decode(snapshot, tightLimits)
        other.log = harness.log
        other.now = harness.now
        for (const entry of harness.log.slice(from)) replay(other.state, entry)
        other.state.setFloor(harness.state.floor)
        expect(answers(other)).toEqual(answers(harness))
        const shared = Math.max(other.state.tailFrom, harness.state.tailFrom)
        const events = (state: ChannelState) => state.tailEvents(shared, state.seq, 1_000)
        expect(events(other.state)).toEqual(events(harness.state))
        expect(other.state.lastMessage()).toEqual(harness.state.lastMessage())
        expect([other.state.name, other.state.fanout, other.state.memberCount]).toEqual([
          harness.state.name,
          harness.state.fanout,
          harness.state.memberCount
        ])
      }),
      { numRuns: 50 }
    )
  })

  it("decides alike whether its members are all here or asked for", () => {
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        const small = run(channel, tightLimits, steps)
        const large = run(channel, { ...tightLimits, membersResidentMax: 1, seniorsMax: 7 }, steps)
        expect(large.log.map((entry) => entry.body)).toEqual(small.log.map((entry) => entry.body))
        expect(large.state.memberCount).toBe(small.state.memberCount)
      })
    )
  })

  it("is answered from the store's rows as from the original", () => {
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        const harness = run(channel, tightLimits, steps)
        harness.commitAll()
        harness.setFloor(harness.state.committedSeq)
        const before = answers(harness)
        const { state } = harness
        const row = {
          channel,
          generation: 1,
          seq: state.seq,
          n: state.n,
          name: state.name,
          topic: state.topic,
          fanout: state.fanout,
          createdAt: state.createdAt,
          members: state.memberCount,
          idBound: state.idBound
        }
        const store = new StoreModel(harness.log)
        const stays = users.flatMap((user) => store.stays(user))
        const events = state.tailEvents(state.tailFrom, state.seq, 3)
        const last = state.lastMessage()
        harness.state = ChannelState.fromStore(
          row,
          { generation: 1, seq: state.seq, n: state.n },
          stays,
          events,
          tightLimits
        )
        expect(answers(harness)).toEqual(before)
        if (harness.state.lastMessage() !== undefined) expect(harness.state.lastMessage()).toBe(last)
      }),
      { numRuns: 50 }
    )
  })

  it("shows nothing before it is committed (DURABLE-BEFORE-ACK)", () => {
    const harness = run("group:room", tightLimits, [])
    const { state } = harness
    const before = { ...seen(state), encoded: "", seq: 0, n: 0, latest: null }
    for (const fields of [
      { op: "send", text: "secret", mentions: [] },
      { op: "update", name: "New" },
      { op: "add_members", members: ["dan"] },
      { op: "remove_members", members: ["ben"] }
    ] as const)
      harness.do("ann", harness.mutation(fields))
    expect({ ...seen(state), encoded: "", seq: 0, n: 0, latest: null }).toEqual(before)
    expect(state.isMember("dan")).toBe(false)
    expect(state.isMember("ben")).toBe(true)
    expect(state.visibleRange("dan")).toEqual([])
    expect(state.memberPage("", 10)?.map((member) => member.user)).toEqual(["ann", "ben", "cat"])
    expect(Buffer.from(state.encode()).includes("secret")).toBe(false)
    expect(state.pendingCount).toBe(4)
    harness.commit(1)
    expect(state.lastMessage()).toContain("secret")
    expect(state.name).toBe("Room")
    harness.commitAll()
    expect(state.name).toBe("New")
    expect(state.isMember("dan")).toBe(true)
    expect(state.isMember("ben")).toBe(false)
  })

  it("deletes what is pending from nobody's view until the delete is committed", () => {
    const harness = run("group:room", tightLimits, [])
    const { seq } = harness.must("ann", { op: "send", text: "still here", mentions: [] })
    harness.do("ann", harness.mutation({ op: "delete", target: seq }))
    expect(harness.state.lastMessage()).toContain("still here")
    expect(harness.refusal("ann", { op: "edit", target: seq, text: "x", mentions: [] })).toBe("conflict")
    harness.undo(1)
    expect(harness.refusal("ann", { op: "edit", target: seq, text: "x", mentions: [] })).toBe("Accept")
  })

  it("takes no more mutations when too much is not in the store, and goes on when it is", () => {
    const harness = run("group:room", { ...tightLimits, tailPinnedBytesMax: 3_000 }, [])
    const text = "x".repeat(1_000)
    harness.must("ann", { op: "send", text, mentions: [] })
    const { cid } = harness.must("ann", { op: "send", text, mentions: [] })
    expect(harness.refusal("ann", { op: "send", text, mentions: [] })).toBe("log_full")
    const again = { op: "send", channel: "group:room", cid, text, mentions: [] } as const
    expect(harness.resolve("ann", again)).toMatchObject({ _tag: "Duplicate", committed: true })
    harness.state.setFloor(harness.state.seq)
    expect(harness.refusal("ann", { op: "send", text, mentions: [] })).toBe("Accept")
  })

  it("stays within its bounds once the store has everything", () => {
    fc.assert(
      fc.property(steps(120), (steps) => {
        const { state } = run("public:room", tightLimits, steps, (harness) => {
          harness.commitAll()
          harness.state.setFloor(harness.state.committedSeq)
        })
        expect(state.tail.length).toBeLessThanOrEqual(tightLimits.tailEventsMax)
        expect(state.window.size).toBeLessThanOrEqual(tightLimits.windowIdsMax)
        expect(state.tail.pinnedBytes).toBe(0)
        expect(state.pendingBytes).toBe(0)
        expect(state.members.recordCount).toBeLessThanOrEqual(state.memberCount + tightLimits.recordsMax)
      }),
      { numRuns: 30 }
    )
  })

  it("keeps its times from going back when the clock does", () => {
    const harness = run("group:room", tightLimits, [])
    harness.now = start + 10_000
    const first = harness.must("ann", { op: "send", text: "1", mentions: [] })
    harness.now = start
    expect(harness.must("ann", { op: "send", text: "2", mentions: [] }).at).toBe(first.at)
  })

  it("refuses a commit ahead of itself and a snapshot of another version", () => {
    const { state } = run("group:room", channelLimitsDefault, [])
    expect(() => commit(state, 2)).toThrow("commit of 2")
    const bytes = state.encode()
    bytes[0] = 99
    expect(() => ChannelState.decode(bytes, channelLimitsDefault)).toThrow("another version")
  })

  it("keeps device and author in the private part only", () => {
    const harness = run("group:room", tightLimits, [])
    const entry = harness.must("ben", { op: "send", text: "hi", mentions: [] })
    expect(JSON.parse(entry.hidden)).toEqual({ device: "ben-phone" })
    expect(fromWire(entry.body)).not.toContain("ben-phone")
  })
})
