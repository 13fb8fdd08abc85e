import { Limits } from "@parley/protocol/Limits"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { channelLimitsDefault, ChannelState } from "../../src/channel/ChannelState.ts"
import type { Entry } from "../../src/log/Entry.ts"
import { IdempotencyWindow } from "../../src/channel/IdempotencyWindow.ts"
import { caller, clientId, Harness, history, run, start, take, tightLimits } from "./ChannelHarness.ts"
import { decide } from "../../src/channel/ChannelState.ts"

const send = (cid: string, text = "hi") => ({ op: "send", channel: "group:room", cid, text, mentions: [] }) as const

const entryOf = (seq: number): Entry => ({
  topic: "channel",
  id: "group:room",
  generation: 1,
  seq,
  kind: "message",
  at: 0,
  by: "ann",
  cid: "",
  bodyHash: "h",
  n: seq,
  target: 0,
  hidden: "",
  body: "{}"
})

describe("client ids in a channel", () => {
  it("have one effect and one ack, however late they come again (EXACTLY-ONCE-EFFECT)", () => {
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        const harness = run(channel, tightLimits, [])
        for (const next of steps) {
          const mine =
            next._tag !== "Again"
              ? undefined
              : [...harness.log, ...harness.pending.map(({ entry }) => entry)]
                  .filter((entry) => entry.kind === "message")
                  .at(-1 - next.back)
          const text = next._tag === "Again" ? next.text : null
          const decision = take(harness, next)
          if (mine === undefined) continue
          if (text !== null && decision?._tag === "Reject") expect(decision.failure.code).toBe("id_reused")
          else {
            expect(decision).toEqual({
              _tag: "Duplicate",
              seq: mine.seq,
              ack: { seq: mine.seq, n: mine.n, at: mine.at, generation: 1 },
              committed: mine.seq <= harness.state.committedSeq
            })
          }
        }
        const effects = harness.log.filter((entry) => entry.cid !== "").map((entry) => `${entry.by} ${entry.cid}`)
        expect(new Set(effects).size).toBe(effects.length)
      })
    )
  })

  it("are refused when the body is another one", () => {
    const harness = run("group:room", tightLimits, [])
    const { cid } = harness.must("ann", { op: "send", text: "hi", mentions: [] })
    expect(harness.resolve("ann", send(cid, "ho"))).toEqual({ _tag: "Reject", failure: { code: "id_reused" } })
  })

  it("are each sender's own", () => {
    const harness = run("group:room", tightLimits, [])
    const { cid } = harness.must("ann", { op: "send", text: "hi", mentions: [] })
    expect(harness.resolve("ben", send(cid))._tag).toBe("Accept")
  })

  it("whose first try was taken back are new (†20)", () => {
    const harness = run("group:room", tightLimits, [])
    const mutation = send(harness.cid())
    harness.do("ann", mutation)
    expect(harness.resolve("ann", mutation)).toMatchObject({ _tag: "Duplicate", committed: false })
    harness.undo(1)
    expect(harness.resolve("ann", mutation)._tag).toBe("Accept")
  })

  it("are looked up when they are not after T and not in the window, and only then (†29)", () => {
    const harness = run("group:room", tightLimits, [])
    for (let sent = 0; sent < 8; sent++) {
      harness.now += 10
      harness.must("ann", { op: "send", text: String(sent), mentions: [] })
    }
    expect(harness.state.idBound).toBe(0)
    harness.setFloor(harness.state.seq)
    const bound = harness.state.idBound
    expect(bound).toBe(start + 30)
    const ask = (time: number) => decide(harness.state, caller("ann"), false, send(clientId(time, 77)), harness.now, {})
    expect(ask(bound)).toEqual({ _tag: "Need", need: { id: clientId(bound, 77), sender: "ann" }, floor: 9 })
    expect(ask(bound + 1)._tag).toBe("Accept")
    const first = harness.log[1]
    if (first === undefined) throw new Error("no first message")
    const again = decide(harness.state, caller("ann"), false, send(first.cid, "0"), harness.now, {})
    expect(again).toMatchObject({ _tag: "Need", need: { id: first.cid } })
    expect(harness.resolve("ann", send(first.cid, "0"))).toMatchObject({ _tag: "Duplicate", seq: 2 })
  })

  it("are asked for again when the tail was cut above what the store had (†31)", () => {
    const harness = run("group:room", tightLimits, [])
    const late = send(harness.cid(60_000), "late")
    for (let sent = 0; sent < 8; sent++) harness.must("ann", { op: "send", text: String(sent), mentions: [] })
    harness.setFloor(harness.state.seq)
    const need = decide(harness.state, caller("ann"), false, late, harness.now, {})
    if (need._tag !== "Need") throw new Error("no need")
    const stale = harness.store().answer(need.need, need.floor)
    // While the store answers, the same mutation comes in by another way, is executed, stored, and leaves window and tail.
    harness.do("ann", late)
    harness.commitAll()
    for (let sent = 0; sent < 8; sent++) {
      harness.now += 1
      harness.must("ann", { op: "send", text: String(sent), mentions: [] })
    }
    harness.setFloor(harness.state.seq)
    expect(harness.state.window.get("ann", late.cid)).toBeUndefined()
    expect(decide(harness.state, caller("ann"), false, late, harness.now, stale)._tag).toBe("Need")
    expect(harness.resolve("ann", late)._tag).toBe("Duplicate")
  })

  it("that were executed while the store was asked are found in the tail (†29)", () => {
    const harness = run("group:room", tightLimits, [])
    const late = send(harness.cid(60_000), "late")
    for (let sent = 0; sent < 8; sent++) harness.must("ann", { op: "send", text: String(sent), mentions: [] })
    harness.setFloor(harness.state.seq)
    const need = decide(harness.state, caller("ann"), false, late, harness.now, {})
    if (need._tag !== "Need") throw new Error("no need")
    const stale = harness.store().answer(need.need, need.floor)
    harness.do("ann", late)
    harness.commitAll()
    harness.setFloor(harness.state.seq)
    expect(harness.state.window.get("ann", late.cid)).toBeUndefined()
    expect(decide(harness.state, caller("ann"), false, late, harness.now, stale)).toMatchObject({
      _tag: "Duplicate",
      seq: harness.state.seq
    })
  })

  it("older than the window are refused and never executed, as are those of the future (†30)", () => {
    const harness = run("group:room", tightLimits, [])
    harness.now = start + Limits.idempotencyWindowMs
    expect(harness.resolve("ann", send(clientId(start - 1, 99)))).toEqual({
      _tag: "Reject",
      failure: { code: "id_expired" }
    })
    expect(harness.resolve("ann", send(clientId(start, 99)))._tag).toBe("Accept")
    const ahead = harness.now + Limits.clientIdAheadMsMax
    expect(harness.resolve("ann", send(clientId(ahead, 99)))._tag).toBe("Accept")
    expect(harness.resolve("ann", send(clientId(ahead + 1, 99)))).toEqual({
      _tag: "Reject",
      failure: { code: "id_ahead", server_time: harness.now }
    })
  })

  it("get their ack also when the sender was removed since", () => {
    const harness = run("group:room", tightLimits, [])
    const { cid, seq } = harness.must("ben", { op: "send", text: "hi", mentions: [] })
    harness.must("ann", { op: "remove_members", members: ["ben"] })
    expect(harness.resolve("ben", send(cid))).toMatchObject({ _tag: "Duplicate", seq })
    expect(harness.refusal("ben", { op: "send", text: "more", mentions: [] })).toBe("not_found")
  })

  it("of a create that is repeated get its ack, and another create a conflict", () => {
    const harness = new Harness("group:new", channelLimitsDefault)
    const create = harness.mutation({ op: "create", name: "New", topic: "", members: ["ben"] })
    expect(harness.do("ann", create)._tag).toBe("Accept")
    harness.commitAll()
    expect(harness.resolve("ann", create)).toMatchObject({ _tag: "Duplicate", seq: 1 })
    expect(harness.refusal("ann", { op: "create", name: "New", topic: "", members: ["ben"] })).toBe("conflict")
  })

  it("that a cold channel may have executed are looked up, also without its window (†29)", () => {
    const harness = run("group:room", channelLimitsDefault, [])
    const { cid, seq } = harness.must("ann", { op: "send", text: "hi", mentions: [] })
    harness.setFloor(seq)
    const { state } = harness
    const row = {
      channel: "group:room",
      generation: 1,
      seq,
      n: 1,
      name: "Room",
      topic: "",
      fanout: "write",
      createdAt: start,
      members: 3,
      idBound: 0
    } as const
    const stays = ["ann", "ben", "cat"].flatMap((user) => harness.store().stays(user))
    harness.state = ChannelState.fromStore(
      row,
      { generation: 1, seq, n: 1 },
      stays,
      state.tailEvents(0, seq, 10),
      channelLimitsDefault
    )
    expect(harness.resolve("ann", send(cid))).toMatchObject({ _tag: "Duplicate", seq })
    expect(harness.needs).toBe(1)
  })
})

describe("the idempotency window", () => {
  const entry = (seq: number, time: number) => ({
    topic: "channel" as const,
    id: "c",
    generation: 1,
    seq,
    kind: "message",
    at: time,
    by: "ann",
    cid: clientId(time, seq),
    bodyHash: String(seq),
    n: seq,
    target: 0,
    hidden: "",
    body: ""
  })

  it("has every id after T, and T only grows to what was evicted (†29)", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ time: fc.integer({ min: start, max: start + 50 }), floor: fc.boolean() }), {
          maxLength: 40
        }),
        fc.integer({ min: 0, max: 6 }),
        (steps, idsMax) => {
          const window = new IdempotencyWindow(idsMax, 0)
          let bound = 0
          steps.forEach(({ floor, time }, index) => {
            window.remember(entry(index + 1, time))
            if (floor) window.settle(index + 1)
            expect(window.bound).toBeGreaterThanOrEqual(bound)
            bound = window.bound
            for (const kept of [window, IdempotencyWindow.restore(idsMax, window.snapshot(2, index + 1), index + 1)]) {
              steps.slice(0, index + 1).forEach(({ time }, at) => {
                const remembered = kept.get("ann", clientId(time, at + 1))
                if (remembered === undefined) expect(time).toBeLessThanOrEqual(kept.bound)
                else expect(remembered.seq).toBe(at + 1)
              })
            }
          })
          window.settle(steps.length)
          expect(window.size).toBeLessThanOrEqual(idsMax)
        }
      )
    )
  })

  it("does not let one fast clock drive T", () => {
    const window = new IdempotencyWindow(4, 0)
    window.remember(entry(1, start + 300_000))
    for (let seq = 2; seq < 50; seq++) window.remember(entry(seq, start + seq))
    window.settle(50)
    expect(window.bound).toBe(start + 46)
  })

  it("keeps the ids of the last seconds beyond its size, so that a hot channel asks the store for none of them", () => {
    const remember = (window: IdempotencyWindow, seq: number, at: number) =>
      window.remember({ ...entryOf(seq), cid: clientId(start + seq, seq), at })
    const window = new IdempotencyWindow(5, 0, 50)
    for (let seq = 1; seq <= 40; seq++) remember(window, seq, start + seq)
    window.settle(40)
    expect([window.size, window.bound]).toEqual([40, 0])
    for (let seq = 41; seq <= 100; seq++) remember(window, seq, start + seq)
    window.settle(100)
    expect(window.size).toBe(50)
    window.shrink(2)
    expect(window.size).toBe(50)
    remember(window, 101, start + 60_000)
    window.settle(101)
    expect(window.size).toBe(5)
    const { bound } = window
    window.shrink(2)
    expect([window.size, window.bound]).toEqual([2, bound + 3])
    expect([101, 100, 99].map((seq) => window.get("ann", clientId(start + seq, seq)) !== undefined)).toEqual([
      true,
      true,
      false
    ])
  })

  it("keeps ids of several senders apart though they be the same, taken back and evicted one by one", () => {
    const window = new IdempotencyWindow(2, 0, 2)
    const cid = clientId(start, 1)
    const of = (by: string, seq: number) => ({ ...entryOf(seq), by, cid })
    for (const [index, by] of ["ann", "ben", "cem"].entries()) window.remember(of(by, index + 1))
    expect(["ann", "ben", "cem", "dan"].map((by) => window.get(by, cid)?.seq)).toEqual([1, 2, 3, undefined])
    window.forget(of("cem", 3))
    expect(["ann", "ben", "cem"].map((by) => window.get(by, cid)?.seq)).toEqual([1, 2, undefined])
    window.remember(of("dan", 3))
    window.settle(3)
    expect(window.size).toBe(2)
    expect(["ann", "ben", "dan"].map((by) => window.get(by, cid)?.seq)).toEqual([undefined, 2, 3])
    expect(window.snapshot(5, 3).ids.map(({ sender }) => sender)).toEqual(["ben", "dan"])
  })
})
