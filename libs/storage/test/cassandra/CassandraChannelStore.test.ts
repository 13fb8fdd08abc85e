/** Channels over history in the real Cassandra keep the contract of every ChannelStore. */
import { Layer } from "effect"
import { layerComposed } from "../../src/ChannelStore.ts"
import { layer } from "../../src/cassandra/CassandraMessageStore.ts"
import { layerMemory as directory } from "../../src/memory/MemoryDirectory.ts"
import { layerMemory as inbox } from "../../src/memory/MemoryInbox.ts"
import { channelStoreContract } from "../ChannelStoreContract.ts"
import { layerFresh } from "./TestKeyspace.ts"

const seams = Layer.mergeAll(Layer.provide(layer, layerFresh()), directory, inbox)
channelStoreContract("Cassandra", Layer.provideMerge(layerComposed, seams))
