/** History in Cassandra: MessageStore, made of MessageWrites, MessageReads and MessageIds. */
import { Effect, Layer } from "effect"
import { MessageStore } from "../MessageStore.ts"
import { Cassandra } from "./Cassandra.ts"
import { findId, forgetIds } from "./MessageIds.ts"
import { readCount, readEvents, readMessages, readNewest, readPosition } from "./MessageReads.ts"
import { writeEvents } from "./MessageWrites.ts"
import { BatchRows } from "./PartitionBatches.ts"

export const layerCassandra: Layer.Layer<MessageStore, never, Cassandra> = Layer.effect(
  MessageStore,
  Effect.gen(function* () {
    const cassandra = yield* Cassandra
    const batchRows = new BatchRows()
    return MessageStore.of({
      write: (events) => writeEvents(cassandra, batchRows, events),
      messages: (channel, range) => readMessages(cassandra, channel, range),
      events: (channel, after, upTo, limit) => readEvents(cassandra, channel, after, upTo, limit),
      countUnread: (channel, after, upTo, user) => readCount(cassandra, channel, after, upTo, user),
      findId: (channel, sender, cid) => findId(cassandra, channel, sender, cid),
      forgetIds: (before) => forgetIds(cassandra, before),
      head: (channel) => readPosition(cassandra, channel),
      newest: (channel, seqs) => readNewest(cassandra, channel, seqs)
    })
  })
)
