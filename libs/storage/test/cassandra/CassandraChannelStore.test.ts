/** Channels in the real Cassandra and Redis, composed of their other seams, keep the contract of every ChannelStore. */
import { Layer } from "effect"
import { layer } from "../../src/cassandra/CassandraStores.ts"
import { channelStoreContract } from "../ChannelStoreContract.ts"
import { layerShared } from "../redis/TestRedis.ts"
import { layerFresh } from "./TestKeyspace.ts"

const stores = Layer.provide(layer(), Layer.mergeAll(layerFresh(), layerShared))
channelStoreContract("Cassandra", stores, { lateRows: "by column", effort: 0.1 })
