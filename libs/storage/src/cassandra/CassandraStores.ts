/**
 * The stores behind the log of a cluster: history, directory, cursors, mentions and parked events in Cassandra, with hot
 * cursors and inboxes in Redis. Either may be away: what needs it is answered StoreUnavailable, and the log keeps what
 * is not written (WRITE-BEHIND-SAFE).
 */
import { Layer } from "effect"
import { layerRedis as hotCursors } from "../redis/RedisCursorStore.ts"
import { layerRedis as inbox } from "../redis/RedisInbox.ts"
import { layerCassandra as channels } from "./CassandraChannelStore.ts"
import { layerCassandra as cursors } from "./CassandraCursorStore.ts"
import { layerCassandra as directory } from "./CassandraDirectory.ts"
import { layerCassandra as messages } from "./CassandraMessageStore.ts"
import { layerCassandra as parkedEvents } from "./CassandraParkedEvents.ts"
import { layerCassandra as storeSync, type StoreSyncOptions } from "./CassandraStoreSync.ts"

/** Over a `Cassandra` and a `Redis`. */
export const layer = (options: StoreSyncOptions = {}) =>
  channels.pipe(
    Layer.provideMerge(
      Layer.mergeAll(messages, directory, parkedEvents, inbox(), Layer.provide(hotCursors, cursors), storeSync(options))
    )
  )
