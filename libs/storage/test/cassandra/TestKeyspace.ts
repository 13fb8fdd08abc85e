/** A keyspace of a test's own in the Cassandra that tests are given, dropped when the test's layer ends. */
import { Effect, Layer } from "effect"
import { randomBytes } from "node:crypto"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { type CassandraOptions, makeClient } from "../../src/cassandra/CassandraClient.ts"
import { cassandraContactPoint } from "../Services.ts"

export const freshKeyspace = async (): Promise<CassandraOptions> => {
  const localDatacenter = process.env["PARLEY_TEST_CASSANDRA_DATACENTER"] ?? "datacenter1"
  return {
    contactPoints: [await cassandraContactPoint()],
    localDatacenter,
    keyspace: `parley_test_${randomBytes(6).toString("hex")}`,
    replication: { [localDatacenter]: 1 }
  }
}

/** What can't be asked through `Cassandra`: any statement, by a client without a keyspace. */
export const administer = (
  options: CassandraOptions,
  cql: string,
  params: ReadonlyArray<unknown> = []
): Effect.Effect<ReadonlyArray<{ get(column: string): unknown }>> =>
  Effect.acquireUseRelease(
    Effect.sync(() => makeClient({ ...options, requestMsMax: 60_000 }, undefined)),
    (client) => Effect.promise(async () => (await client.execute(cql, [...params], { prepare: false })).rows ?? []),
    (client) => Effect.promise(() => client.shutdown())
  )

export const dropKeyspace = (options: CassandraOptions): Effect.Effect<void> =>
  Effect.asVoid(administer(options, `DROP KEYSPACE IF EXISTS ${options.keyspace}`))

/** Cassandra with a keyspace that is there as long as the layer. */
export const layerFresh = (change: Partial<CassandraOptions> = {}) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const options = { ...(yield* Effect.promise(freshKeyspace)), ...change }
      yield* Effect.addFinalizer(() => dropKeyspace(options))
      return Cassandra.layer(options)
    })
  )
