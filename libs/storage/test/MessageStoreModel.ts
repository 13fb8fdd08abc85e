/**
 * A random channel and what must be seen of it, found without any store; and the ways a persister may hand it over:
 * shuffled, repeated, cut into batches.
 */
import * as fc from "fast-check"
import type { StoredEvent } from "../src/MessageStore.ts"
import type { History } from "./History.ts"

export const senders = ["ann", "bob", "eve"]

/** One step of a random channel: `target` picks among the messages so far. */
export const step = fc.record({
  op: fc.constantFrom("send", "send", "send", "edit", "delete", "join"),
  by: fc.constantFrom(...senders),
  target: fc.nat(),
  text: fc.string({ unit: "grapheme", maxLength: 8 }),
  gap: fc.integer({ min: 1, max: 700 })
})
export type Step = typeof step extends fc.Arbitrary<infer A> ? A : never

/** What an owner that runs `steps` commits, and what must be seen of it. */
export const runModel = (history: History, steps: ReadonlyArray<Step>) => {
  const events: Array<StoredEvent> = []
  const messages = new Map<number, { by: string; text: string; edited?: number; deleted?: number }>()
  const targets: Array<number> = []
  let seq = 0
  for (const { op, by, target, text, gap } of steps) {
    seq += gap
    const at = targets[target % Math.max(1, targets.length)]
    const message = at === undefined ? undefined : messages.get(at)
    if (op === "send") {
      events.push(history.message(seq, text, { by }))
      messages.set(seq, { by, text })
      targets.push(seq)
    } else if (op === "join" || at === undefined || message === undefined || message.deleted !== undefined) {
      events.push(history.added(seq, { by }))
    } else if (op === "edit") {
      events.push(history.edit(seq, at, text, { by }))
      message.text = text
      message.edited = seq
    } else {
      events.push(history.delete(seq, at, { by }))
      message.text = ""
      message.deleted = seq
    }
  }
  const unread = (after: number, upTo: number, user: string): number =>
    [...messages].filter(([s, it]) => s > after && s <= upTo && it.deleted === undefined && it.by !== user).length
  return { events, messages, unread, top: seq }
}

/** A permutation with repetitions: every event at least once. */
export const shuffled = (events: ReadonlyArray<StoredEvent>, seed: ReadonlyArray<number>): ReadonlyArray<StoredEvent> =>
  [...events, ...events.filter((_, i) => (seed[i % seed.length] ?? 0) % 3 === 0)]
    .map((event, i) => ({ event, key: ((seed[i % seed.length] ?? 0) * 7919 + i * 104_729) % 65_537 }))
    .sort((a, b) => a.key - b.key)
    .map(({ event }) => event)

export const seeds = fc.array(fc.nat(100_000), { minLength: 5, maxLength: 40 })
export const batchSizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 10 })
