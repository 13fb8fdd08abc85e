/** History in the real Cassandra keeps the contract of every MessageStore. */
import { Layer } from "effect"
import { layer } from "../../src/cassandra/CassandraMessageStore.ts"
import { messageStoreContract } from "../MessageStoreContract.ts"
import { layerFresh } from "./TestKeyspace.ts"

messageStoreContract("Cassandra", Layer.provide(layer, layerFresh()))
