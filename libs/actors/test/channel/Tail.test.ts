import { fromWire } from "@parley/protocol/WireText"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { editBody, messageBody, plainBody } from "../../src/channel/EventBody.ts"
import { channelLimitsDefault, replay } from "../../src/channel/ChannelState.ts"
import { changedAuthor, type SeqRange, storedTailEvent, Tail } from "../../src/channel/Tail.ts"
import type { Entry } from "../../src/log/Entry.ts"
import { type Harness, history, run, StoreModel, tightLimits, users } from "./ChannelHarness.ts"

const room = (limits = tightLimits): Harness => run("group:room", limits, [])

/** Unread of a user by counting the whole log, and those that name him. */
const recount = (harness: Harness, after: number, user: string) => {
  const unread = new StoreModel(harness.log)
    .messages()
    .filter((row) => row.seq > after && !row.deleted && row.by !== user)
  // as: a message's body
  const mentionsOf = (body: string) => (JSON.parse(fromWire(body)) as { mentions?: Array<string> }).mentions
  const naming = unread.filter((row) => mentionsOf(row.body)?.includes(user))
  return { unread: unread.length, mentions: naming.length }
}

const targetOf = ({ kind, target }: Entry): ReadonlyArray<number> =>
  kind === "edit" || kind === "delete" ? [target] : []

const isIn = (ranges: ReadonlyArray<SeqRange>, seq: number): boolean =>
  ranges.some(({ after, upTo }) => seq > after && seq <= upTo)

describe("the tail", () => {
  it("takes the text of what was deleted out of the message and of its edits (†16)", () => {
    const harness = room(channelLimitsDefault)
    const { seq } = harness.must("ben", { op: "send", text: "first secret", mentions: ["ann"] })
    harness.must("ben", { op: "edit", target: seq, text: "second secret", mentions: ["cat"] })
    harness.must("ben", { op: "edit", target: seq, text: "third secret", mentions: [] })
    harness.must("ann", { op: "delete", target: seq })
    const events = harness.state.tailEvents(0, 99, 99).map(({ body }) => JSON.parse(body))
    expect(events.slice(1)).toMatchObject([
      { kind: "message", text: "", deleted: 5 },
      { kind: "edit", text: "", void: true },
      { kind: "edit", text: "", void: true },
      { kind: "delete", target: seq }
    ])
    expect(JSON.stringify(events)).not.toContain("mentions")
    expect(Buffer.from(harness.state.encode()).toString("latin1")).not.toContain("secret")
    expect(harness.state.lastMessage()).not.toContain("secret")
  })

  it("blanks edits of a message that is older than itself (†16)", () => {
    const harness = room()
    const { seq } = harness.must("ben", { op: "send", text: "old", mentions: [] })
    for (let sent = 0; sent < 6; sent++) harness.must("ann", { op: "send", text: "x", mentions: [] })
    harness.setFloor(harness.state.seq)
    harness.must("ben", { op: "edit", target: seq, text: "secret", mentions: [] })
    expect(harness.state.changeOf(seq, harness.state.floor)).toEqual({
      text: "secret",
      mentions: [],
      edited: harness.state.seq
    })
    harness.must("ben", { op: "delete", target: seq })
    expect(JSON.stringify(harness.state.tailEvents(0, 99, 99))).not.toContain("secret")
    expect(harness.state.changeOf(seq, harness.state.floor)).toEqual({
      text: "",
      mentions: [],
      deleted: harness.state.seq
    })
    expect(harness.state.changeOf(seq, harness.state.seq)).toBeUndefined()
  })

  it("takes the newest message before it late, with what has been done to that since (†16)", () => {
    const sent = { at: 1, by: "ann", cid: "" }
    const last = {
      seq: 3,
      n: 2,
      by: "ann",
      deleted: false,
      body: messageBody({ ...sent, seq: 3, n: 2 }, "old", [], 0, 0)
    }
    const edit = storedTailEvent(editBody({ ...sent, seq: 4 }, 3, "new", [], false))
    const remove = storedTailEvent(plainBody({ ...sent, seq: 5, kind: "delete", target: 3 }))
    const tail = new Tail(10, 10_000, 3, 3)
    tail.push(edit)
    tail.learnLast(last)
    expect(fromWire(tail.last!.body)).toContain("new")
    const deleted = new Tail(10, 10_000, 3, 3)
    deleted.push(edit)
    deleted.push(remove)
    deleted.learnLast(last)
    expect(fromWire(deleted.last!.body)).not.toMatch(/old|new/)
  })

  it("keeps a deleted message blank, whatever the log has after it (†16)", () => {
    const harness = room(channelLimitsDefault)
    const { seq } = harness.must("ben", { op: "send", text: "one", mentions: [] })
    const edit = harness.do("ben", harness.mutation({ op: "edit", target: seq, text: "secret", mentions: [] }))
    harness.undo(1)
    harness.must("ben", { op: "delete", target: seq })
    if (edit._tag !== "Accept") throw new Error("not accepted")
    replay(harness.state, { ...edit.entry, seq: harness.state.seq + 1 })
    expect(harness.state.lastMessage()).not.toContain("secret")
    expect(harness.state.tailEvents(1, 2, 9)[0]?.body).not.toContain("secret")
    expect(harness.state.changeOf(seq, 0)).toMatchObject({ text: "" })
  })

  it("holds messages in the form that a recount of the log gives, and pages of them", () => {
    const range = fc.record({
      after: fc.nat({ max: 30 }),
      before: fc.nat({ max: 30 }),
      limit: fc.integer({ min: 1, max: 5 }),
      newest: fc.boolean()
    })
    fc.assert(
      fc.property(history, range, ({ channel, steps }, range) => {
        const { log, state } = run(channel, tightLimits, steps)
        const held = new StoreModel(log).messages().filter((row) => row.seq > state.tailFrom)
        expect(state.tailMessages({ after: 0, before: 1_000, limit: 1_000, newest: false })).toEqual(held)
        const inRange = held.filter((row) => row.seq > range.after && row.seq < range.before)
        expect(state.tailMessages(range)).toEqual(
          range.newest ? inRange.slice(-range.limit) : inRange.slice(0, range.limit)
        )
      })
    )
  })

  it("drops nothing that the store may not have, and ends at the committed head", () => {
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        run(channel, tightLimits, steps, ({ state }) => {
          expect(state.tailFrom).toBeLessThanOrEqual(state.floor)
          expect(state.tail.to).toBe(state.committedSeq)
          expect(state.tailEvents(0, 1_000, 1_000).map(({ seq }) => seq)).toEqual(
            Array.from({ length: state.committedSeq - state.tailFrom }, (_, at) => state.tailFrom + at + 1)
          )
        })
      })
    )
  })

  it("counts what the store may not have in bytes, also when a delete shrank it", () => {
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        const harness = run(channel, tightLimits, steps)
        harness.commitAll()
        expect(harness.state.tail.pinnedBytes).toBeLessThanOrEqual(harness.state.tail.bytes)
        harness.setFloor(harness.state.seq)
        expect(harness.state.tail.pinnedBytes).toBe(0)
      })
    )
  })

  it("is bounded in bytes too", () => {
    const harness = room({ ...channelLimitsDefault, tailBytesMax: 10_000 })
    for (let sent = 0; sent < 50; sent++) {
      harness.must("ann", { op: "send", text: "x".repeat(1_000), mentions: [] })
      harness.setFloor(harness.state.seq)
    }
    expect(harness.state.tail.bytes).toBeLessThanOrEqual(10_000)
    expect(harness.state.tail.length).toBeGreaterThan(5)
  })

  it("counts the unread as a recount does, or says that it can't", () => {
    fc.assert(
      fc.property(history, fc.nat({ max: 20 }), fc.constantFrom(...users), ({ channel, steps }, after, user) => {
        run(channel, tightLimits, steps, (harness) => {
          const { state } = harness
          const counted = state.unreadInTail(after, user)
          if (after < state.tailFrom) expect(counted).toBeUndefined()
          else expect(counted).toEqual(recount(harness, after, user))
        })
      })
    )
  })

  it("counts the unread with the store's help as a recount does, however far the store is behind", () => {
    fc.assert(
      fc.property(history, fc.nat({ max: 12 }), fc.constantFrom(...users), ({ channel, steps }, after, user) => {
        run(channel, tightLimits, steps, (harness) => {
          const { inTail, naming, stored } = harness.state.unreadSplit(after, user)
          const store = harness.store()
          const messages = store
            .messages()
            .filter((row) => isIn(stored, row.seq) && !row.deleted && row.by !== user).length
          const mentions = store.mentions(user).filter((seq) => isIn(naming, seq)).length
          expect({ unread: messages + inTail.unread, mentions: mentions + inTail.mentions }).toEqual(
            recount(harness, after, user)
          )
        })
      })
    )
  })

  it("filled up from the store is what it was, whatever the store knew when it was asked (†16)", () => {
    const formsOf = (tail: Tail) => [...tail.after(0)].map(({ body, deleted = 0, seq }) => ({ seq, body, deleted }))
    const filledOf = (entries: ReadonlyArray<Entry>, from: number) => {
      const tail = new Tail(1_000, 1_000_000, from, from)
      for (const entry of entries.slice(from)) tail.push(entry)
      return tail
    }
    fc.assert(
      fc.property(history, fc.nat(), fc.nat(), fc.nat(), ({ channel, steps }, cut, known, less) => {
        const harness = run(channel, channelLimitsDefault, steps)
        harness.commitAll()
        const { log } = harness
        const from = cut % (log.length + 1)
        const stored = filledOf(log.slice(0, from + (known % (log.length - from + 1))), 0)
        const first = less % (from + 1)
        const events = stored.events(first, from, 1_000).map(({ body }) => storedTailEvent(body))
        const tail = filledOf(log, from)
        tail.prepend(events)
        const whole = filledOf(log, 0)
        expect(formsOf(tail)).toEqual(formsOf(whole).slice(first))
        expect(tail.changedAbove(0)).toEqual(new Set(log.slice(first).flatMap(targetOf)))
        for (const user of users) expect(tail.unread(first, user)).toEqual(whole.unread(first, user))
      })
    )
  })

  it("does not take text for a mention", () => {
    const harness = room()
    harness.must("ben", { op: "send", text: "ann", mentions: [] })
    harness.must("ben", { op: "send", text: ',"mentions":["ann"]', mentions: ["cat"] })
    expect(harness.state.unreadInTail(1, "ann")).toEqual({ unread: 2, mentions: 0 })
    expect(harness.state.unreadInTail(1, "cat")).toEqual({ unread: 2, mentions: 1 })
  })

  it("knows whose message a delete or edit changed", () => {
    expect(changedAuthor({ by: "ann", hidden: '{"device":"d","author":"ben"}' })).toBe("ben")
    expect(changedAuthor({ by: "ann", hidden: '{"device":"d"}' })).toBe("ann")
    expect(changedAuthor({ by: "ann", hidden: "" })).toBe("ann")
  })
})
