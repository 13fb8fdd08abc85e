/** The checker itself: a good run passes, and each thing that can go wrong with it is found, by the right name. */
import type { ChannelEvent } from "@parley/protocol/Event"
import { describe, expect, it } from "vitest"
import { check } from "./check.ts"
import type { FinalState, FreshView } from "./FinalState.ts"
import { channel, cidOfSeq, eventAt, goodRun, personal, type Run } from "./GoodRun.ts"
import type { Fact, FactOf } from "./History.ts"
import type { Invariant } from "./Violation.ts"

type Spoil = (run: Run) => Run

const isTag =
  <Tag extends Fact["_tag"]>(tag: Tag) =>
  (fact: Fact): fact is FactOf<Tag> =>
    fact._tag === tag

/** Replaces the first fact of a kind that fits; spoiling nothing would be a mistake of the test. */
const replace =
  <Tag extends Fact["_tag"]>(
    tag: Tag,
    fits: (fact: FactOf<Tag>) => boolean,
    by: (fact: FactOf<Tag>) => ReadonlyArray<Fact>
  ): Spoil =>
  (run) => {
    const at = run.history.findIndex((fact) => isTag(tag)(fact) && fits(fact))
    const found = run.history[at]
    if (found === undefined || !isTag(tag)(found)) throw new Error(`there is no such ${tag}`)
    return { ...run, history: [...run.history.slice(0, at), ...by(found), ...run.history.slice(at + 1)] }
  }

const add =
  (...facts: ReadonlyArray<Fact>): Spoil =>
  (run) => ({ ...run, history: [...run.history, ...facts] })

const inFinal =
  (change: (final: FinalState) => Partial<FinalState>): Spoil =>
  (run) => ({ ...run, final: { ...run.final, ...change(run.final) } })

const events = (change: (events: ReadonlyArray<ChannelEvent>) => ReadonlyArray<ChannelEvent>): Spoil =>
  inFinal(({ channels }) => ({
    channels: channels.map((final) => {
      const events = change(final.events)
      const messages = events.filter((event) => event.kind === "message")
      return { ...final, events, messages, head: events.at(-1)?.seq ?? 0, n: messages.length }
    })
  }))

const view = (
  user: string,
  change: (view: Pick<FreshView, "channels">) => Partial<FreshView>,
  of: "fresh" | "devices"
): Spoil =>
  inFinal((final) => ({ [of]: final[of].map((view) => (view.user === user ? { ...view, ...change(view) } : view)) }))

const channelView = (user: string, change: Readonly<Record<string, unknown>>, of: "fresh" | "devices"): Spoil =>
  view(user, ({ channels }) => ({ channels: new Map([[channel, { ...channels.get(channel)!, ...change }]]) }), of)

const ben = { user: "ben", device: "ben-1", connection: 2 } as const
const cleo = { user: "cleo", device: "cleo-1", connection: 3 } as const
const live = (seat: typeof ben | typeof cleo, seq: number, from = seq - 1): Fact => ({
  ...seat,
  _tag: "Shown",
  how: "live",
  channel,
  from,
  to: seq,
  events: [eventAt(seq)]
})
const acked = (seq: number) => (fact: FactOf<"Acked">) => fact.seq === seq
const shownTo = (user: string, seq: number) => (fact: FactOf<"Shown">) =>
  fact.user === user && fact.how === "live" && fact.to === seq

const spoiled: ReadonlyArray<readonly [what: string, invariant: Invariant, spoil: Spoil]> = [
  ["the log loses its end", "DURABLE-BEFORE-ACK", events((all) => all.slice(0, 8))],
  [
    "a channel can't be read any more",
    "DURABLE-BEFORE-ACK",
    inFinal(() => ({ channels: [], unreadable: [{ what: channel, why: "lost" }] }))
  ],
  [
    "another event takes the place of an acknowledged one",
    "DURABLE-BEFORE-ACK",
    events((all) => all.map((event) => (event.seq === 9 ? ({ ...event, cid: cidOfSeq(10) } as ChannelEvent) : event))) // still an event
  ],
  [
    "a shown event is gone that nobody got an ack for",
    "DURABLE-BEFORE-ACK",
    (run) => replace("Acked", acked(9), () => [])(events((all) => all.slice(0, 8))(run))
  ],
  [
    "a mark that was acknowledged is forgotten",
    "DURABLE-BEFORE-ACK",
    add({ ...ben, _tag: "Marked", channel, cursor: { generation: 2, seq: 3 } })
  ],
  [
    "a personal event that was shown is gone",
    "DURABLE-BEFORE-ACK",
    view("cleo", () => ({ session: 2, personal: personal("cleo").slice(0, 2) }), "fresh")
  ],
  [
    "another personal event takes the place of one that was shown",
    "DURABLE-BEFORE-ACK",
    view("cleo", () => ({ personal: personal("cleo").map((event) => ({ ...event, at: 5 })) }), "fresh")
  ],
  ["a seq is missing", "ONE-ORDER", events((all) => all.filter((event) => event.seq !== 6))],
  [
    "a seq comes twice",
    "ONE-ORDER",
    events((all) => all.flatMap((event) => (event.seq === 6 ? [event, event] : [event])))
  ],
  [
    "messages are counted wrongly",
    "ONE-ORDER",
    events((all) => all.map((event) => (event.kind === "message" && event.seq === 6 ? { ...event, n: 4 } : event)))
  ],
  [
    "two readers see two events at one seq",
    "ONE-ORDER",
    replace("Shown", shownTo("ben", 3), (fact) => [{ ...fact, events: [{ ...eventAt(3), at: 5 }] }])
  ],
  ["the pushes of a connection change places", "ONE-ORDER", (run) => add(live(ben, 3))(run)],
  [
    "who asked after an ack comes before it",
    "ONE-ORDER",
    (run) => {
      const asked = run.history.find((fact) => fact._tag === "Asked" && fact.mutation.cid === cidOfSeq(3))!
      const ack = run.history.findIndex((fact) => fact._tag === "Acked" && fact.seq === 3)
      const rest = run.history.filter((fact) => fact !== asked)
      const early = run.history.find((fact) => fact._tag === "Acked" && fact.seq === 6)!
      return { ...run, history: [...rest.slice(0, ack - 1), early, asked, ...rest.slice(ack - 1)] }
    }
  ],
  [
    "a retry is executed again",
    "EXACTLY-ONCE-EFFECT",
    events((all) => [...all, { ...eventAt(9), seq: 10, n: 5 } as ChannelEvent]) // a message, as the one it repeats
  ],
  [
    "a retry gets another ack",
    "EXACTLY-ONCE-EFFECT",
    replace("Acked", acked(9), (fact) => [fact, { ...fact, seq: 10 }])
  ],
  [
    "something is there that nobody asked for",
    "EXACTLY-ONCE-EFFECT",
    replace(
      "Asked",
      (fact) => fact.mutation.cid === cidOfSeq(9),
      () => []
    )
  ],
  [
    "a mutation turns into another",
    "EXACTLY-ONCE-EFFECT",
    replace(
      "Asked",
      (fact) => fact.mutation.cid === cidOfSeq(7),
      (fact) => [{ ...fact, mutation: { ...fact.mutation, op: "edit" } }]
    )
  ],
  [
    "a message says something else",
    "EXACTLY-ONCE-EFFECT",
    events((all) =>
      all.map((event) => (event.kind === "message" && event.seq === 6 ? { ...event, text: "tree" } : event))
    )
  ],
  [
    "an edit is lost in the message's current form",
    "EXACTLY-ONCE-EFFECT",
    events((all) => all.map((event) => (event.seq === 2 ? eventAt(2) : event)))
  ],
  [
    "a deleted text is still there",
    "EXACTLY-ONCE-EFFECT",
    events((all) => all.map((event) => (event.seq === 3 ? eventAt(3) : event)))
  ],
  [
    "what was refused for good is done all the same",
    "EXACTLY-ONCE-EFFECT",
    replace("Acked", acked(9), ({ cid, connection, device, user }) => [
      { user, device, connection, _tag: "Refused", channel, cid, code: "forbidden", retryable: false }
    ])
  ],
  [
    "a push skips an event and covers it",
    "NO-GAP-SYNC",
    replace("Shown", shownTo("ben", 3), (fact) => [{ ...fact, events: [] }])
  ],
  ["a wide range hides an event", "NO-GAP-SYNC", replace("Shown", shownTo("ben", 7), (fact) => [{ ...fact, from: 4 }])],
  [
    "a page of history is not full",
    "NO-GAP-SYNC",
    replace(
      "Shown",
      (fact) => fact.how === "history",
      (fact) => [{ ...fact, events: fact.events.slice(1) }]
    )
  ],
  [
    "an event lies outside of what its answer covers",
    "NO-GAP-SYNC",
    replace(
      "Shown",
      (fact) => fact.how === "history",
      (fact) => [{ ...fact, to: 8 }]
    )
  ],
  [
    "more is covered than the log has",
    "NO-GAP-SYNC",
    replace("Shown", shownTo("ben", 9), (fact) => [{ ...fact, to: 10 }])
  ],
  [
    "a personal event is skipped",
    "NO-GAP-SYNC",
    add({ ...ben, _tag: "Personal", how: "live", position: 3, events: [personal("cleo")[2]!] })
  ],
  ["a device is behind", "NO-GAP-SYNC", channelView("ben", { seq: 8 }, "devices")],
  ["a device lacks the last message", "NO-GAP-SYNC", channelView("ben", { last: null }, "devices")],
  ["an unread count is off by one", "NO-GAP-SYNC", channelView("ben", { unread: 2 }, "devices")],
  ["a read mark stands elsewhere", "NO-GAP-SYNC", channelView("ben", { cursor: { generation: 0, seq: 7 } }, "devices")],
  ["a device missed that it is in a channel", "NO-GAP-SYNC", view("cleo", () => ({ channels: new Map() }), "devices")],
  [
    "a device missed that it is out of a channel",
    "NO-GAP-SYNC",
    view("cleo", () => ({ channels: new Map() }), "fresh")
  ],
  ["a device missed a personal event", "NO-GAP-SYNC", view("cleo", () => ({ session: 2 }), "devices")],
  [
    "a device holds a message without its edit",
    "NO-GAP-SYNC",
    inFinal(({ devices }) => ({
      devices: devices.map((device) => ({
        ...device,
        held: new Map([[channel, [{ seq: 2, text: "one", edited: null, deleted: null }]]])
      }))
    }))
  ],
  [
    "history and sync differ",
    "NO-GAP-SYNC",
    inFinal(({ channels }) => ({
      channels: channels.map((final) => ({
        ...final,
        messages: final.messages.map((message) => ({ ...message, text: "?" }))
      }))
    }))
  ],
  ["a removed member gets a push", "REVOKED-IS-OUT", add(live(cleo, 6))],
  [
    "a removed member's sync reaches over the removal",
    "REVOKED-IS-OUT",
    add({
      ...cleo,
      connection: 5,
      _tag: "Shown",
      how: "sync",
      channel,
      from: 5,
      to: 7,
      events: [eventAt(6), eventAt(7)]
    })
  ],
  [
    "what was said while he was out is shown to who came back",
    "REVOKED-IS-OUT",
    add({ ...cleo, _tag: "Glimpsed", channel, event: eventAt(6) })
  ],
  ["a read mark goes back", "CURSORS-MONOTONIC", channelView("ben", { cursor: { generation: 0, seq: 2 } }, "fresh")],
  ["a frame fits no schema", "WIRE-SCHEMA", add({ ...ben, _tag: "Broken", what: "a push without ev" })]
]

describe("the checker", () => {
  it("passes a good run", () => {
    const { final, history } = goodRun()
    expect(check(history, final)).toEqual([])
  })

  it.for(spoiled)("finds that %s (%s)", ([, invariant, spoil]) => {
    const { final, history } = spoil(goodRun())
    expect(check(history, final).map((violation) => violation.invariant)).toContain(invariant)
  })
})
