/** One keyspace for all tests of a file, whose names are fresh anyway: making one takes longer than most tests. */
import { Effect, Layer } from "effect"
import { afterAll } from "vitest"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import type { CassandraOptions } from "../../src/cassandra/CassandraClient.ts"
import { dropKeyspace, freshKeyspace } from "./TestKeyspace.ts"

/** Called at a file's top: made with the first layer that is built, dropped when the file is done. */
export const keyspaceOfFile = (): Effect.Effect<CassandraOptions> => {
  let made: Promise<CassandraOptions> | undefined
  afterAll(async () => {
    if (made !== undefined) await Effect.runPromise(dropKeyspace(await made))
  })
  return Effect.promise(() => (made ??= freshKeyspace()))
}

/** Cassandra with the file's keyspace: each build is a connection of its own. */
export const layerOfFile = () => Layer.fresh(Layer.unwrap(Effect.map(keyspaceOfFile(), Cassandra.layer)))
