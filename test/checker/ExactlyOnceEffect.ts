/**
 * EXACTLY-ONCE-EFFECT: however often a mutation was sent, it is in the log at most once and all its acks are the same;
 * nothing is there that nobody asked for, or that was refused for good; and each message says what was asked.
 */
import type { ChannelEvent } from "@parley/protocol/Event"
import type { FactOf, History, Mutation, MutationOp } from "./History.ts"
import { cidOf, idKey, type Truth } from "./Truth.ts"
import type { Violation } from "./Violation.ts"

const invariant = "EXACTLY-ONCE-EFFECT" as const

export const exactlyOnceEffect = (history: History, truth: Truth): ReadonlyArray<Violation> => [
  ...onceInLog(truth),
  ...sameAcks(history),
  ...askedFor(truth),
  ...refusedHasNone(history, truth)
]

const onceInLog = (truth: Truth): ReadonlyArray<Violation> =>
  [...truth.byId]
    .filter(([, events]) => events.length > 1)
    .map(([id, events]) => ({ invariant, what: `${id} is in the log ${events.length} times`, evidence: events }))

const sameAcks = (history: History): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const first = new Map<string, FactOf<"Acked">>()
  for (const fact of history) {
    if (fact._tag !== "Acked") continue
    const key = idKey(fact.channel, fact.user, fact.cid)
    const before = first.get(key)
    if (before === undefined) first.set(key, fact)
    else if (before.seq !== fact.seq || before.at !== fact.at || before.n !== fact.n) {
      found.push({ invariant, what: `${key} got two different acks`, evidence: { before, then: fact } })
    }
  }
  return found
}

const kinds: Readonly<Partial<Record<MutationOp, ChannelEvent["kind"]>>> = {
  send: "message",
  edit: "edit",
  delete: "delete",
  create: "created",
  update: "updated",
  join: "added",
  leave: "removed",
  add_members: "added",
  remove_members: "removed"
}

const askedFor = (truth: Truth): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  for (const [channel, { bySeq }] of truth.channels) {
    const texts = textsOf(channel, bySeq, truth)
    for (const event of bySeq.values()) {
      const cid = cidOf(event)
      if (cid === undefined) continue
      const mutation = truth.asked.get(idKey(channel, event.by, cid))
      if (mutation === undefined)
        found.push({ invariant, what: `nobody asked for this in ${channel}`, evidence: event })
      else if (kinds[mutation.op] !== event.kind) {
        found.push({ invariant, what: `this was asked as ${mutation.op}`, evidence: event })
      } else if (event.kind === "message" && event.text !== texts.get(event.seq)) {
        const evidence = { asked: texts.get(event.seq), event }
        found.push({ invariant, what: `a message of ${channel} says something else than was asked`, evidence })
      }
    }
  }
  return found
}

/** The text each message should have: what was asked, then each edit in order, nothing after a delete. */
const textsOf = (
  channel: string,
  bySeq: ReadonlyMap<number, ChannelEvent>,
  truth: Truth
): ReadonlyMap<number, string> => {
  const asked = (event: ChannelEvent): Mutation | undefined =>
    truth.asked.get(idKey(channel, event.by, cidOf(event) ?? ""))
  const texts = new Map<number, string>()
  for (const event of bySeq.values()) {
    if (event.kind === "message") texts.set(event.seq, asked(event)?.text ?? "")
    else if (event.kind === "edit") texts.set(event.target, asked(event)?.text ?? "")
    else if (event.kind === "delete") texts.set(event.target, "")
  }
  return texts
}

/** Every try was answered, each with a refusal that says "not now, not later": then it was not done. */
const refusedHasNone = (history: History, truth: Truth): ReadonlyArray<Violation> => {
  const tries = new Map<string, { asked: number; refused: number; last: string }>()
  for (const fact of history) {
    if (fact._tag === "Asked") {
      const key = idKey(fact.mutation.channel, fact.user, fact.mutation.cid)
      const known = tries.get(key)
      tries.set(key, { asked: (known?.asked ?? 0) + 1, refused: known?.refused ?? 0, last: known?.last ?? "" })
    } else if (fact._tag === "Refused" && !fact.retryable) {
      const known = tries.get(idKey(fact.channel, fact.user, fact.cid))
      if (known !== undefined) Object.assign(known, { refused: known.refused + 1, last: fact.code })
    }
  }
  return [...tries].flatMap(([key, { asked, last, refused }]) =>
    asked === refused && truth.byId.has(key)
      ? [{ invariant, what: `${key} was refused (${last}), and is in the log`, evidence: truth.byId.get(key) }]
      : []
  )
}
