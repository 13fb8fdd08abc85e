import { fromWire } from "@parley/protocol/WireText"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { channelLimitsDefault, type ChannelState } from "../../src/channel/ChannelState.ts"
import { Receipts } from "../../src/channel/Receipts.ts"
import { syncNow } from "../../src/owner/ChannelSync.ts"
import type { SyncItem } from "../../src/owner/OwnerProtocol.ts"
import { type Harness, history, run, tightLimits, users } from "./ChannelHarness.ts"

const eventsMax = 3

/** The same from the state's own answers, each made for this user alone. */
const expected = (state: ChannelState, user: string, held: number, cursor: number) => {
  const stay = state.stayOf(user)
  if (stay === undefined || stay === null || stay.to !== null || held > state.committedSeq) return undefined
  const readableAfter = state.readableAfter(user)
  const after = Math.max(held, readableAfter)
  const counts = state.unreadInTail(Math.max(cursor, readableAfter), user)
  if (after < state.tailFrom || counts === undefined) return undefined
  const events = state.tailEvents(after, state.committedSeq, eventsMax)
  const { channel, committedN: n, committedSeq: seq, fanout, generation, memberCount: members, name, topic } = state
  const { last } = state.tail
  const receipts = state.receipts?.list((user) => state.isMember(user) === true)
  return {
    head: {
      channel,
      generation,
      seq,
      n,
      name,
      topic,
      members,
      role: stay.role,
      fanout,
      cursor: { generation: 0, seq: cursor },
      ...counts,
      last: last === null || last.seq <= readableAfter ? null : JSON.parse(fromWire(last.body)),
      receipts
    },
    from: held,
    to: events.length < eventsMax ? seq : events.at(-1)?.seq,
    reload: false,
    events: events.map((event) => JSON.parse(fromWire(event.body)))
  }
}

const sync = (state: ChannelState, user: string, item: Omit<SyncItem, "channel">) =>
  syncNow([state], user, [{ channel: state.channel, ...item }], eventsMax)[0]
const ask = (state: ChannelState, user: string, held: number, cursor: number, generation = state.generation) =>
  sync(state, user, { held: { generation, seq: held }, cursor: { generation: 0, seq: cursor } })
const answer = (...asked: Parameters<typeof ask>): unknown => {
  const result = ask(...asked)
  return result?._tag === "Sync" ? JSON.parse(fromWire(result.sync)) : result
}

describe("a sync of a channel in memory", () => {
  it("says to each what the channel is for him, whoever asked before him and whatever happened since", () => {
    let answers = 0
    fc.assert(
      fc.property(history, fc.constantFrom(tightLimits, channelLimitsDefault), ({ channel, steps }, limits) => {
        run(channel, limits, steps, ({ state }) => {
          state.receipts ??= new Receipts()
          state.receipts.loaded = true
          const head = state.committedSeq
          if (head % 4 === 0) state.receipts.advance("ann", head, head - 1, head)
          for (const back of [0, 0, 2, 5]) {
            const held = Math.max(0, head - back)
            for (const user of users) {
              const cursor = users.indexOf(user) % 2 === 0 ? held : Math.max(0, held - 2)
              const found = answer(state, user, held, cursor)
              // Of a few it may have to ask others: of one who has been out before, say.
              if (found === undefined) continue
              answers++
              const whole = expected(state, user, held, cursor)
              expect(found).toEqual(JSON.parse(JSON.stringify(whole ?? null)))
            }
          }
        })
      }),
      { numRuns: 60 }
    )
    expect(answers).toBeGreaterThan(1_000)
  })

  const room = (): Harness => {
    const harness = run("group:room", channelLimitsDefault, [])
    harness.state.receipts = new Receipts()
    harness.state.receipts.loaded = true
    return harness
  }

  it("is one text for all who stand at the same place", () => {
    const harness = room()
    harness.must("ann", { op: "send", text: "hi", mentions: [] })
    const [ben, cat] = [ask(harness.state, "ben", 1, 0), ask(harness.state, "cat", 1, 0)]
    expect(ben).toEqual(cat)
    expect(answer(harness.state, "ben", 1, 0)).toMatchObject({ head: { unread: 1, role: "member" }, from: 1, to: 2 })
    expect(answer(harness.state, "ann", 1, 0)).toMatchObject({ head: { unread: 0, role: "owner" } })
    expect(answer(harness.state, "cat", 2, 2)).toMatchObject({ head: { unread: 0 }, from: 2, events: [] })
  })

  it("is nothing for one who is out, also right after others got theirs (REVOKED-IS-OUT, †7, †15)", () => {
    const harness = room()
    harness.must("ann", { op: "send", text: "hi", mentions: [] })
    expect(ask(harness.state, "cat", 2, 2)).toBeDefined()
    expect(ask(harness.state, "dan", 2, 2)).toBeUndefined()
    harness.must("ann", { op: "remove_members", members: ["cat"] })
    expect(ask(harness.state, "ben", 3, 3)).toBeDefined()
    expect(ask(harness.state, "cat", 3, 3)).toBeUndefined()
    harness.must("ann", { op: "add_members", members: ["dan"] })
    // What was said before he came is not for him, though the channel's newest message is kept for the others.
    expect(answer(harness.state, "ben", 4, 4)).toMatchObject({ head: { last: { text: "hi" } } })
    expect(answer(harness.state, "dan", 4, 4)).toMatchObject({ head: { last: null, unread: 0 } })
  })

  it("tells to reload whoever holds another generation, more than there is, or nothing (†4)", () => {
    const { state } = room()
    for (const [held, generation] of [
      [1, 2],
      [9, 1],
      [0, 0]
    ] as const) {
      expect(answer(state, "ben", held, 0, generation)).toMatchObject({ from: 1, to: 1, reload: true, events: [] })
      expect(answer(state, "ben", 1, 0)).toMatchObject({ from: 1, reload: false })
    }
    expect(sync(state, "ben", { held: null, cursor: { generation: 0, seq: 0 } })).toEqual(ask(state, "ben", 0, 0, 0))
  })

  it("is one of many: each place has its own channel's, and none where somebody has to be asked", () => {
    const [first, second, third] = [room(), room(), room()]
    second.must("ann", { op: "remove_members", members: ["cat"] })
    third.must("ann", { op: "send", text: "hi", mentions: [] })
    const states = [first.state, undefined, second.state, third.state]
    const items = [1, 1, 2, 1].map((seq) => ({
      channel: "group:room",
      held: { generation: 1, seq },
      cursor: { generation: 0, seq: 0 }
    }))
    const results = syncNow(states, "cat", items, eventsMax)
    expect(results).toEqual([ask(first.state, "cat", 1, 0), undefined, undefined, ask(third.state, "cat", 1, 0)])
    expect(results.map((result) => result?._tag)).toEqual(["Sync", undefined, undefined, "Sync"])
    expect(syncNow(states, "ben", items, eventsMax)[2]).toEqual(ask(second.state, "ben", 2, 0))
  })

  it("shows a receipt to whoever asks after it", () => {
    const { state } = room()
    expect(answer(state, "ben", 1, 1)).toMatchObject({ head: { receipts: [] } })
    state.receipts?.advance("ann", 1, 1, 1)
    expect(answer(state, "ben", 1, 1)).toMatchObject({ head: { receipts: [{ user: "ann", delivered: 1, read: 1 }] } })
  })
})
