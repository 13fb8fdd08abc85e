/**
 * ONE-ORDER: a channel's seqs are 1, 2, 3 … without hole or repeat, the same event at each for everybody who ever saw
 * it, pushed to each connection in that order (but for what it caused itself: that may come when its ack failed to, as
 * late as that would have); and who asked after somebody else's ack comes after it.
 */
import type { ChannelEvent } from "@parley/protocol/Event"
import type { FinalChannel, FinalState } from "./FinalState.ts"
import type { FactOf, History } from "./History.ts"
import { cidOf, idKey, type Truth } from "./Truth.ts"
import type { Violation } from "./Violation.ts"

const invariant = "ONE-ORDER" as const

export const oneOrder = (history: History, truth: Truth, final: FinalState): ReadonlyArray<Violation> => [
  ...final.channels.flatMap(dense),
  ...sameForAll(history, truth),
  ...pushedInOrder(history),
  ...afterAcks(history)
]

const dense = ({ channel, events, head, messages, n }: FinalChannel): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  let count = 0
  for (const [index, event] of events.entries()) {
    if (event.seq !== index + 1) {
      found.push({ invariant, what: `${channel} has ${event.seq} where ${index + 1} should be`, evidence: event })
      break
    }
    if (event.kind !== "message") continue
    count++
    if (event.n !== count)
      found.push({ invariant, what: `message ${count} of ${channel} has n ${event.n}`, evidence: event })
  }
  if (head !== events.length || n !== count || messages.length !== count) {
    const evidence = {
      channel,
      head,
      n,
      events: events.length,
      messagesInEvents: count,
      messagesInHistory: messages.length
    }
    found.push({ invariant, what: "head, n, events and history don't agree", evidence })
  }
  return found
}

/** What makes two events the same one, whatever happened to the text. */
const identity = (event: ChannelEvent): string =>
  JSON.stringify([event.kind, event.by, cidOf(event), event.at, "n" in event ? event.n : null])

const sameForAll = (history: History, truth: Truth): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const seen = new Map<string, ChannelEvent>()
  for (const [channel, { bySeq }] of truth.channels) {
    for (const event of bySeq.values()) seen.set(`${channel} ${event.seq}`, event)
  }
  const look = (user: string, channel: string, event: ChannelEvent): void => {
    const key = `${channel} ${event.seq}`
    const first = seen.get(key)
    if (first === undefined) seen.set(key, event)
    else if (identity(first) !== identity(event)) {
      found.push({ invariant, what: `${user} saw another event at ${key}`, evidence: { event, elsewhere: first } })
    }
  }
  for (const fact of history) {
    if (fact._tag === "Shown") for (const event of fact.events) look(fact.user, fact.channel, event)
    else if (fact._tag === "Glimpsed") look(fact.user, fact.channel, fact.event)
  }
  return found
}

const pushedInOrder = (history: History): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const last = new Map<string, FactOf<"Shown">>()
  const asked = new Set<string>()
  for (const fact of history) {
    if (fact._tag === "Asked") asked.add(`${fact.connection} ${fact.mutation.cid}`)
    if (fact._tag !== "Shown" || fact.how !== "live") continue
    if (fact.events.some((event) => asked.has(`${fact.connection} ${cidOf(event)}`))) continue
    const key = `${fact.connection} ${fact.channel}`
    const before = last.get(key)
    if (fact.to <= (before?.to ?? fact.from)) {
      found.push({ invariant, what: `pushed out of order to ${fact.device}`, evidence: { before, then: fact } })
    }
    last.set(key, fact)
  }
  return found
}

/** An event whose mutation was first asked after another's ack was here has a larger seq. */
const afterAcks = (history: History): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const acked = new Map<string, number>()
  const askedAfter = new Map<string, number>()
  for (const fact of history) {
    if (fact._tag === "Asked") {
      const { channel, cid } = fact.mutation
      const key = idKey(channel, fact.user, cid)
      if (!askedAfter.has(key)) askedAfter.set(key, acked.get(channel) ?? 0)
    } else if (fact._tag === "Acked") {
      const after = askedAfter.get(idKey(fact.channel, fact.user, fact.cid)) ?? 0
      if (fact.seq <= after)
        found.push({ invariant, what: `asked after the ack of ${after}, and before it`, evidence: fact })
      acked.set(fact.channel, Math.max(acked.get(fact.channel) ?? 0, fact.seq))
    }
  }
  return found
}
