/**
 * How far each shard's log has come, in Cassandra: one partition a log, named by its prefix in JetStream. A row's write
 * timestamp is its position, so that of many nodes the furthest stays, in whatever order they write (†32). Shards that
 * are opened at once are asked for together.
 */
import { Effect, Layer } from "effect"
import { LogPlaces, type LogPlacesService } from "../LogPlaces.ts"
import { Cassandra, type Row } from "./Cassandra.ts"
import { big, numberOf } from "./Columns.ts"
import { select, timestampOf, Upsert } from "./Cql.ts"
import { makeGathered } from "./Gathered.ts"
import { allRows, PartitionWrites } from "./Partitions.ts"

const place = new Upsert({ table: "log_places", key: ["log", "shard"], set: ["position"] })
const ofShards = select("SELECT shard, position FROM log_places WHERE log = ? AND shard > ? AND shard <= ? LIMIT ?")
/** Shards of one question. */
const shardsMax = 4_096

/** `log`: the prefix of the log's streams. */
export const layerCassandra = (log: string): Layer.Layer<never, never, Cassandra> =>
  Layer.effect(
    LogPlaces,
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      const known = yield* makeGathered(shardsMax, (shards: ReadonlySet<number>) => {
        const last = Math.max(...shards)
        return allRows((after: Row | undefined, limit) => {
          const from = after === undefined ? Math.min(...shards) - 1 : numberOf(after, "shard")
          return cassandra.read(ofShards, [log, from, last, limit])
        }).pipe(
          Effect.map((rows) => {
            const positions = new Map(rows.map((row) => [numberOf(row, "shard"), numberOf(row, "position")]))
            return (shard: number) => positions.get(shard) ?? 0
          })
        )
      })
      return {
        known,
        note: (places) => {
          const writes = new PartitionWrites()
          for (const { position, shard } of places) {
            // One sequence owns it: the stream's.
            writes.add(log, place.at(timestampOf({ generation: 0, seq: position }), big(position), log, shard))
          }
          return writes.run(cassandra)
        }
      } satisfies LogPlacesService
    })
  )
