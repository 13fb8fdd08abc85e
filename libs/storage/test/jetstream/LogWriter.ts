/**
 * An owner of a shard in the plainest form: one record in flight, what is ambiguous is tried again, a wrong sequence is
 * settled by reading the place that it names. For tests that hurt the log while something writes.
 */
import { Effect, Option } from "effect"
import type { EventLog } from "../../src/EventLog.ts"
import { append } from "../EventLogContract.ts"

export interface Written {
  readonly position: number
  readonly body: string
}

/** Appends `count` records after one another; where each is. `ambiguous` counts the answers that said nothing. */
export const writeAll = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  shard: number,
  count: number,
  seen: { ambiguous: number; wrong: number } = { ambiguous: 0, wrong: 0 },
  written: Array<Written> = []
) {
  while (written.length < count) {
    const body = `${shard}/${written.length}/${"x".repeat(200)}`
    const after = written.at(-1)?.position ?? 0
    const position = yield* writeOne(log, shard, after, body, seen)
    written.push({ position, body })
  }
  return written
})

/** Appends one record until it is known to be in; where it is. */
export const writeOne = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  shard: number,
  after: number,
  body: string,
  seen: { ambiguous: number; wrong: number } = { ambiguous: 0, wrong: 0 }
) {
  for (;;) {
    const outcome = yield* append(log, shard, after, body)
    if (outcome._tag === "Committed") return outcome.position
    if (outcome._tag === "Refused") return yield* Effect.die(new Error(`refused: ${outcome.reason}`))
    if (outcome._tag === "WrongSequence" && outcome.actual > after) {
      seen.wrong++
      const found = yield* log.read(shard, outcome.actual).pipe(Effect.option, Effect.map(Option.flatten))
      if (Option.isSome(found) && Buffer.from(found.value.bytes).toString() === body) return outcome.actual
    }
    seen.ambiguous++
    yield* Effect.sleep(50)
  }
})

/** All that a shard has. */
export const readAll = Effect.fnUntraced(function* (log: EventLog["Service"], shard: number) {
  const found: Array<Written> = []
  for (;;) {
    const page = yield* log.readAfter(shard, found.at(-1)?.position ?? 0, 1_000_000)
    if (page.length === 0) return found
    for (const { bytes, position } of page) found.push({ position, body: Buffer.from(bytes).toString() })
  }
})
