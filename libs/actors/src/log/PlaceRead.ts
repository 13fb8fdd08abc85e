/** The read that decides about a record in flight: what is at the place that a refusal named, from the leader (†22). */
import type { EventLog, LogPosition } from "@parley/storage/EventLog"
import { Effect, Option, Result } from "effect"
import type { Seen } from "./LogRules.ts"
import { decodeRecord } from "./Record.ts"

export const readSeen = (log: EventLog["Service"], shard: number, position: LogPosition): Effect.Effect<Seen> =>
  log.read(shard, position).pipe(
    Effect.map((found): Seen => {
      if (Option.isNone(found)) return { _tag: "Nothing" }
      const decoded = decodeRecord(found.value.bytes)
      if (Result.isFailure(decoded)) return { _tag: "Damaged", what: `at ${position}: ${decoded.failure.what}` }
      const { epoch, number, hash } = decoded.success
      return { _tag: "Record", epoch, number, hash }
    }),
    Effect.catchTags({
      LogUnavailable: () => Effect.succeed<Seen>({ _tag: "Nothing" }),
      LogDamaged: ({ what }) => Effect.succeed<Seen>({ _tag: "Damaged", what: `at ${position}: ${what}` })
    })
  )
