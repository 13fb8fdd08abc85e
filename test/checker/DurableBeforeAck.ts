/**
 * DURABLE-BEFORE-ACK: what was acknowledged is there at the end, at the seq of the ack; what was shown to anybody is
 * there too, personal events included. A "mark unread" that was acknowledged still stands.
 */
import { isDeepStrictEqual } from "node:util"
import type { FinalState } from "./FinalState.ts"
import type { FactOf, History } from "./History.ts"
import { idKey, type Truth } from "./Truth.ts"
import type { Violation } from "./Violation.ts"

const invariant = "DURABLE-BEFORE-ACK" as const

export const durableBeforeAck = (history: History, truth: Truth, final: FinalState): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  for (const fact of history) {
    if (fact._tag === "Acked") found.push(...ackLost(fact, truth))
    else if (fact._tag === "Shown") found.push(...shownLost(fact, truth))
  }
  return [...found, ...marksLost(history, final), ...personalLost(history, final)]
}

const ackLost = (fact: FactOf<"Acked">, truth: Truth): ReadonlyArray<Violation> => {
  const { channel, cid, seq } = fact
  const why = truth.unreadable.get(channel)
  if (why !== undefined) return [{ invariant, what: `acknowledged, and can't be read: ${why}`, evidence: fact }]
  const events = truth.byId.get(idKey(channel, fact.user, cid)) ?? []
  if (events.some((event) => event.seq === seq)) return []
  const what =
    events.length === 0
      ? "acknowledged, and not in the log"
      : `acknowledged at ${seq}, and in the log at ${events.map((event) => event.seq).join(", ")}`
  return [{ invariant, what, evidence: { fact, instead: truth.channels.get(channel)?.bySeq.get(seq) } }]
}

const shownLost = (fact: FactOf<"Shown">, truth: Truth): ReadonlyArray<Violation> => {
  const channel = truth.channels.get(fact.channel)
  return fact.events
    .filter((event) => channel?.bySeq.get(event.seq) === undefined)
    .map((event) => ({
      invariant,
      what: `shown to ${fact.user}, and not in the log`,
      evidence: { how: fact.how, device: fact.device, channel: fact.channel, head: channel?.head, event }
    }))
}

/** A personal event that was shown is the one at its place; of those too old to be kept only the place is known. */
const personalLost = (history: History, final: FinalState): ReadonlyArray<Violation> => {
  const fresh = new Map(
    final.fresh.map(({ personal, session, user }) => [
      user,
      {
        session,
        first: personal[0]?.user_seq ?? Infinity,
        events: new Map(personal.map((event) => [event.user_seq, event]))
      }
    ])
  )
  return history.flatMap((fact) => {
    if (fact._tag !== "Personal") return []
    const kept = fresh.get(fact.user)
    return fact.events
      .filter((event) => {
        const there = kept?.events.get(event.user_seq)
        if (kept === undefined || event.user_seq > kept.session) return true
        return there === undefined ? event.user_seq > kept.first : !isDeepStrictEqual(there, event)
      })
      .map((event) => ({
        invariant,
        what: `a personal event was shown to ${fact.device}, and is not in the user's log`,
        evidence: { event, instead: kept?.events.get(event.user_seq), session: kept?.session }
      }))
  })
}

/** The generation of a cursor is the place of the last "mark unread" in the user's own log. */
const marksLost = (history: History, final: FinalState): ReadonlyArray<Violation> => {
  const fresh = new Map(final.fresh.map((view) => [view.user, view]))
  return history.flatMap((fact) => {
    if (fact._tag !== "Marked" || fact.cursor.generation === 0) return []
    const view = fresh.get(fact.user)
    if (view !== undefined && view.session >= fact.cursor.generation) return []
    return [{ invariant, what: "a mark that was acknowledged is not in the user's log", evidence: fact }]
  })
}
