/** Channels in the real Cassandra and Redis, composed of their other seams, keep the contract of every ChannelStore. */
import { Layer } from "effect"
import { layerCassandra as directory } from "../../src/cassandra/CassandraDirectory.ts"
import { layerCassandra as messageStore } from "../../src/cassandra/CassandraMessageStore.ts"
import { layerComposed } from "../../src/ChannelStore.ts"
import { layerRedis as inbox } from "../../src/redis/RedisInbox.ts"
import { channelStoreContract } from "../ChannelStoreContract.ts"
import { layerShared } from "../redis/TestRedis.ts"
import { layerFresh } from "./TestKeyspace.ts"

const seams = Layer.provide(Layer.mergeAll(messageStore, directory, inbox()), Layer.mergeAll(layerFresh(), layerShared))
channelStoreContract("Cassandra", Layer.provideMerge(layerComposed, seams), { lateRows: "by column", effort: 0.1 })
