/**
 * A step of the persister into Cassandra. The same parts in the same order as in `layerComposed`, but what says how far a
 * channel has come, its row's position and its history's head, is one row and goes last, in one mutation: of the partitions
 * that a step writes it is every fourth.
 */
import { Effect, Layer } from "effect"
import { ChannelStore, composedLoad, movesOf } from "../ChannelStore.ts"
import { Directory } from "../Directory.ts"
import { Inbox } from "../Inbox.ts"
import { MessageStore } from "../MessageStore.ts"
import { Cassandra } from "./Cassandra.ts"
import { refused } from "./CassandraClient.ts"
import { moveWithHead, putChannel, putChannelId, unplaced } from "./DirectoryWrites.ts"
import { headsOf, writePlaces } from "./MessageWrites.ts"
import { BatchRows } from "./PartitionBatches.ts"
import { PartitionWrites } from "./Partitions.ts"

export const layerCassandra: Layer.Layer<ChannelStore, never, Cassandra | MessageStore | Directory | Inbox> =
  Layer.effect(
    ChannelStore,
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      const messages = yield* MessageStore
      const directory = yield* Directory
      const inbox = yield* Inbox
      const batchRows = new BatchRows()
      return ChannelStore.of({
        write: ({ events, members, named, rows, taken }) =>
          Effect.gen(function* () {
            const bad = unplaced(rows)
            if (bad !== undefined) return yield* refused(bad)
            yield* writePlaces(cassandra, batchRows, events)
            if (named.length > 0) yield* inbox.addMentions(named)
            if (taken.length > 0) yield* inbox.removeMentions(taken)
            if (members.length > 0) yield* directory.writeMembers(members)
            if (rows.length > 0) {
              const ids = new PartitionWrites()
              for (const { channel } of rows) putChannelId(ids, channel)
              yield* ids.run(cassandra)
            }
            const last = new PartitionWrites()
            const heads = headsOf(events)
            for (const row of rows) putChannel(last, row, heads.get(row.channel))
            const moves = movesOf(events, new Set(rows.map(({ channel }) => channel)))
            for (const move of moves) moveWithHead(last, move, heads.get(move.channel)?.top ?? move.seq)
            yield* last.run(cassandra)
          }),
        load: composedLoad(messages, directory)
      })
    })
  )
