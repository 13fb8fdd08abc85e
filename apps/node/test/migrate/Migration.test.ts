/**
 * `parley migrate` against real NATS, Cassandra and Redis: what is refused and why, what the cluster has afterwards, and
 * that it may be cut off. That people go on chatting is `test/migrate.test.ts`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger, Option, Result } from "effect"
import { randomBytes } from "node:crypto"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { memberFanoutConsumer, persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { decodeRecord } from "@parley/actors/log/Record"
import { makeClient } from "@parley/storage/cassandra/CassandraClient"
import { JetStreamSetup } from "@parley/storage/jetstream/JetStreamSetup"
import { DataDirectoryLock } from "@parley/storage/sqlite/DataDirectoryLock"
import { layerClusterStorage } from "../../src/ClusterStorage.ts"
import { migrate } from "../../src/migrate/Migration.ts"
import { stores, type Stores } from "../../src/migrate/Stores.ts"
import { NodeConfig, type NodeSettings, readSettings } from "../../src/NodeConfig.ts"
import { makeOldDirectory, parkedEvent, quiet, records, shards, team } from "./OldDirectory.ts"

/** Cassandra makes tables slowly where others use the machine. */
const moveMsMax = 240_000

const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "parley-migration-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

const given = (variable: string): string => {
  const value = process.env[variable] ?? ""
  if (value === "") throw new Error(`This test needs services: set ${variable}, or run it by \`npm test\`.`)
  return value
}
const address = (servers: string): string => servers.replaceAll("nats://", "")

/** Of a cluster of this test's own. */
const ownCluster = Effect.gen(function* () {
  const id = randomBytes(5).toString("hex")
  const data = yield* folder
  const datacenter = process.env["PARLEY_TEST_CASSANDRA_DATACENTER"] ?? "datacenter1"
  const settings = yield* readSettings({
    flags: {
      mode: "development",
      data,
      shards: String(shards),
      cluster: `m-${id}`,
      "unsafe-log": "true",
      nats: address(given("PARLEY_TEST_NATS")),
      "nats-user": process.env["PARLEY_TEST_NATS_USER"],
      "nats-password": process.env["PARLEY_TEST_NATS_PASSWORD"],
      cassandra: given("PARLEY_TEST_CASSANDRA"),
      "cassandra-datacenter": datacenter,
      "cassandra-keyspace": `parley_migrate_${id}`,
      "cassandra-replication": `${datacenter}:1`,
      "cassandra-sync-ms": "0",
      "log-streams": "1",
      "log-soft-bytes": "8000000",
      "log-hard-bytes": "10000000",
      redis: given("PARLEY_TEST_REDIS")
    }
  })
  return settings
})

const asAdministrator = (settings: NodeSettings, cql: string) =>
  Effect.promise(async () => {
    const { cassandra, cassandraDatacenter, cassandraKeyspace: keyspace } = settings
    const options = { contactPoints: cassandra, localDatacenter: cassandraDatacenter, keyspace, replication: {} }
    const client = makeClient({ ...options, requestMsMax: 60_000 }, undefined)
    await client.execute(cql, [], { prepare: false })
    await client.shutdown()
  })

/** The cluster as its nodes have it, while it is looked at; what is in it goes with the scope. */
const opened = (settings: NodeSettings) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(clusterOf(settings))
    const { manager, streams } = Context.get(context, JetStreamSetup)
    const eachStream = (use: (name: string) => Promise<unknown>) =>
      Effect.promise(async () => {
        for await (const name of manager.streams.names()) if (name.includes(settings.cluster)) await use(name)
      })
    const keyspace = settings.cassandraKeyspace
    yield* Effect.addFinalizer(() =>
      Effect.andThen(
        eachStream((name) => manager.streams.delete(name)),
        asAdministrator(settings, `DROP KEYSPACE IF EXISTS ${keyspace}`)
      )
    )
    const makeEmpty = Effect.andThen(
      asAdministrator(settings, `TRUNCATE ${keyspace}.users`),
      eachStream(async (name) => {
        if (streams.names.includes(name)) await manager.streams.purge(name)
      })
    )
    return { ...(yield* Effect.provideContext(stores, context)), makeEmpty }
  })

/** One user and one record, as of somebody who tried it out. */
const useALittle = ({ directory, log }: Stores) =>
  Effect.andThen(
    directory.putUser({ user: "early", name: "", createdAt: 1 }),
    Effect.callback<void>((resume) =>
      log.append({
        shard: 1,
        expectedLast: 0,
        seal: () => Uint8Array.of(1),
        reserved: false,
        settle: () => resume(Effect.void)
      })
    )
  )

const clusterOf = (settings: NodeSettings) =>
  layerClusterStorage.pipe(Layer.provide(Layer.succeed(NodeConfig, settings)), Layer.provide(Logger.layer([])))

const run = (settings: NodeSettings, say: (line: string) => void = () => undefined) =>
  Effect.scoped(migrate(settings, say)).pipe(Effect.provide(Logger.layer([])))
/** Why it is refused. */
const refusal = (settings: NodeSettings) => Effect.map(Effect.flip(run(settings)), (error) => error.message)

describe("parley migrate", () => {
  it.live("refuses a directory that is in use, of another number of shards, or of more than a cluster can have", () =>
    Effect.gen(function* () {
      const data = yield* folder
      const addresses = { nats: "h:1", cassandra: "h:1", redis: "redis://h:1" }
      const flags = {
        mode: "development",
        data,
        cluster: "c",
        shards: String(shards),
        "unsafe-log": "true",
        ...addresses
      }
      const settings = yield* readSettings({ flags })
      assert.include(yield* refusal(settings), "is not the data directory of a server that was alone")
      yield* makeOldDirectory(data)
      const inUse = Effect.andThen(DataDirectoryLock.acquire(data), refusal(settings))
      assert.include(yield* Effect.scoped(inUse), "is in use by process")
      assert.include(yield* refusal({ ...settings, shards: 5 }), `give --shards ${shards}`)
      writeFileSync(join(data, "shards.json"), `{"shards":2000}`)
      assert.include(yield* refusal({ ...settings, shards: 2_000 }), "a cluster has at most 1024")
    })
  )

  it.live(
    "moves log, stores and what is parked into a cluster without a row; what was cut off goes on; nobody else comes in",
    () =>
      Effect.gen(function* () {
        const settings = yield* ownCluster
        const { data } = settings
        yield* makeOldDirectory(data)
        const there = yield* opened(settings)
        yield* useALittle(there)
        const why = yield* refusal(settings)
        assert.include(why, "its log has records")
        assert.include(why, `its keyspace ${settings.cassandraKeyspace} has rows in users.`)
        assert.isFalse(existsSync(join(data, "moved.json")))
        yield* there.makeEmpty

        const cut = run(settings, (line) => {
          if (line.includes("now the log")) throw new Error("cut off")
        })
        assert.include(String(yield* Effect.flip(Effect.catchDefect(cut, (defect) => Effect.fail(defect)))), "cut off")
        const early = yield* Effect.flip(Effect.scoped(Layer.build(clusterOf(settings))))
        assert.include(early.message, "run `parley migrate` again")

        const done = yield* run(settings)
        assert.deepStrictEqual(
          [done.channels, done.events, done.users, done.sessions, done.cursors, done.parked, done.records],
          [2, 11, 2, 2, 2, 2, records]
        )
        assert.match(readFileSync(done.report, "utf8"), new RegExp(`^${team} 8 [0-9a-f]{64}$`, "m"))

        const { directory, log, messages, parked } = there
        const moved = (yield* log.readAfter(2, 0, 1_000_000)).map(({ bytes, position }) => ({
          position,
          ...Result.getOrThrow(decodeRecord(bytes))
        }))
        assert.deepStrictEqual(
          moved.map(({ epoch, kind, number }) => [kind, epoch, number]),
          [
            ["epoch", 3, 1],
            ["events", 3, 2],
            ["full", 3, 3],
            ["events", 3, 4]
          ]
        )
        assert.deepStrictEqual(moved[3]?.full, { position: moved[2]?.position, number: 3 })
        // The persister goes on behind what is stored, the fan-out from the beginning.
        assert.strictEqual(yield* log.consumerPosition(persisterConsumer, 2), moved[1]?.position)
        assert.strictEqual(yield* log.consumerPosition(memberFanoutConsumer, 2), 0)
        assert.deepStrictEqual(yield* messages.head(team), Option.some({ generation: 2, seq: 8, n: 7 }))
        assert.deepStrictEqual(
          (yield* parked.of(persisterConsumer, "channel", quiet, 10)).map(({ seq, why }) => [seq, why]),
          [3, 4].map((seq) => [seq, parkedEvent(seq, seq === 3 ? "its text is nothing that Cassandra takes" : "").why])
        )
        assert.isTrue(Option.isSome(yield* directory.user("carl")))

        assert.include(yield* refusal(settings), "before, all of it")
        const other = yield* folder
        yield* makeOldDirectory(other)
        assert.include(yield* refusal({ ...settings, data: other }), "another data directory was moved")
        assert.isFalse(existsSync(join(other, "moved.json")))
      }),
    moveMsMax
  )
})
