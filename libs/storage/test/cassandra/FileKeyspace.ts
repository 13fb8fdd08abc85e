/** One keyspace for all tests of a file, whose names are fresh anyway: making one takes longer than most tests. */
import { Effect, Layer } from "effect"
import { afterAll, beforeAll } from "vitest"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import type { CassandraOptions } from "../../src/cassandra/CassandraClient.ts"
import { migrate } from "../../src/cassandra/Migrations.ts"
import { dropKeyspace, freshKeyspace } from "./TestKeyspace.ts"

const makingMsMax = 120_000

/** Called at a file's top: made before its tests, so that none of them has to wait for it, and dropped after them. */
export const keyspaceOfFile = (): Effect.Effect<CassandraOptions> => {
  let made: Promise<CassandraOptions> | undefined
  const keyspace = () => (made ??= freshKeyspace())
  beforeAll(async () => Effect.runPromise(migrate(await keyspace())), makingMsMax)
  afterAll(async () => Effect.runPromise(dropKeyspace(await keyspace())), makingMsMax)
  return Effect.promise(keyspace)
}

/** Cassandra with the file's keyspace: each build is a connection of its own. */
export const layerOfFile = () => Layer.fresh(Layer.unwrap(Effect.map(keyspaceOfFile(), Cassandra.layer)))
