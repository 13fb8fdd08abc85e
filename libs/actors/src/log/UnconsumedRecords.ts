/**
 * Records that a consumer has still to read lie below what an opening replays where it is far behind: they are read
 * once, so that a damaged one is found soon, and not by the consumer when the store is back (†24).
 */
import { type EventLog, LogDamaged, type LogPosition, type LogUnavailable } from "@parley/storage/EventLog"
import { Effect, Result } from "effect"
import { decodeRecord } from "./Record.ts"

/** Bytes read at a time. */
const chunkBytesMax = 4_000_000

/** How damage is said, wherever it is found: at opening, by the owner, or by a consumer. */
export const damageText = ({ position, what }: { readonly position: LogPosition; readonly what: string }): string =>
  `at ${position}: ${what}`

/** Fails with the first record in `(after, upTo]` that can't be read. */
export const checkUnconsumed = Effect.fnUntraced(function* (
  log: EventLog["Service"],
  shard: number,
  after: LogPosition,
  upTo: LogPosition
): Effect.fn.Return<void, LogUnavailable | LogDamaged> {
  for (let position = after; position < upTo;) {
    const records = yield* log.readAfter(shard, position, chunkBytesMax)
    for (const record of records) {
      const decoded = decodeRecord(record.bytes)
      if (Result.isFailure(decoded)) {
        return yield* new LogDamaged({ shard, position: record.position, what: decoded.failure.what })
      }
      position = record.position
    }
    if (records.length === 0) return
  }
})
