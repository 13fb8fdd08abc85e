/**
 * Events on their way to the store's thread: numbers in one array, all text in one string. What a structured clone costs
 * goes by the number of values, not by their bytes: a thousand events are two values here and thirteen thousand as
 * objects, which was a tenth of the main thread's time. Hot path, plain TypeScript: `bench send` watches it.
 */
import type { StoredEvent } from "../MessageStore.ts"

export interface EventColumns {
  readonly count: number
  /** For each event: generation, seq, at, n, target, then the lengths of its strings. */
  readonly numbers: Float64Array
  /** Channel, kind, by, cid, body hash and body of each event, one after the other. */
  readonly text: string
}

const fields = 11

export const packEvents = (events: ReadonlyArray<StoredEvent>): EventColumns => {
  const numbers = new Float64Array(events.length * fields)
  const parts: Array<string> = []
  let at = 0
  for (const { channel, generation, seq, kind, at: time, by, cid, bodyHash, n, target, body } of events) {
    numbers[at] = generation
    numbers[at + 1] = seq
    numbers[at + 2] = time
    numbers[at + 3] = n
    numbers[at + 4] = target
    numbers[at + 5] = channel.length
    numbers[at + 6] = kind.length
    numbers[at + 7] = by.length
    numbers[at + 8] = cid.length
    numbers[at + 9] = bodyHash.length
    numbers[at + 10] = body.length
    parts.push(channel, kind, by, cid, bodyHash, body)
    at += fields
  }
  return { count: events.length, numbers, text: parts.join("") }
}

export const unpackEvents = ({ count, numbers, text }: EventColumns): ReadonlyArray<StoredEvent> => {
  const events: Array<StoredEvent> = []
  let end = 0
  const next = (length: number): string => text.slice(end, (end += length))
  for (let i = 0; i < count; i++) {
    const number = (field: number): number => numbers[i * fields + field] ?? 0
    const channel = next(number(5))
    const kind = next(number(6))
    const by = next(number(7))
    const cid = next(number(8))
    const bodyHash = next(number(9))
    const body = next(number(10))
    const [generation, seq, at, n, target] = [number(0), number(1), number(2), number(3), number(4)]
    events.push({ channel, generation, seq, kind, at, by, cid, bodyHash, n, target, body })
  }
  return events
}
