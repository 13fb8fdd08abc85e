/** History in the real Cassandra keeps the contract of every MessageStore. */
import { Layer } from "effect"
import { layerCassandra } from "../../src/cassandra/CassandraMessageStore.ts"
import { messageStoreContract } from "../MessageStoreContract.ts"
import { layerFresh } from "./TestKeyspace.ts"

messageStoreContract("Cassandra", Layer.provide(layerCassandra, layerFresh()), { effort: 0.3 })
