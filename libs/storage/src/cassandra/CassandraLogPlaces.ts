/**
 * How far each shard's log has come, in Cassandra: one partition a log, named by its prefix in JetStream. A row's write
 * timestamp is its position, so that of many nodes the furthest stays, in whatever order they write (†32).
 */
import { Effect, Layer } from "effect"
import { LogPlaces, type LogPlacesService } from "../LogPlaces.ts"
import { Cassandra } from "./Cassandra.ts"
import { big, numberOf } from "./Columns.ts"
import { select, timestampOf, Upsert } from "./Cql.ts"
import { PartitionWrites } from "./Partitions.ts"

const place = new Upsert({ table: "log_places", key: ["log", "shard"], set: ["position"] })
const ofShard = select("SELECT position FROM log_places WHERE log = ? AND shard = ?")

/** `log`: the prefix of the log's streams. */
export const layerCassandra = (log: string): Layer.Layer<never, never, Cassandra> =>
  Layer.effect(
    LogPlaces,
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      return {
        known: (shard) =>
          Effect.map(cassandra.read(ofShard, [log, shard]), ([row]) =>
            row === undefined ? 0 : numberOf(row, "position")
          ),
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
