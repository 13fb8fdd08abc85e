/**
 * Roles at Cassandra, on a node of the test's own that asks for logins and client certificates: the stores keep their
 * contracts with the rights that the manual gives, and get no further.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect } from "node:util"
import { type RunningServices, startServices } from "../../../../infra/services/Services.ts"
import { makeAuthority } from "../../../../infra/test/Certificates.ts"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { layerCassandra as layerChannels } from "../../src/cassandra/CassandraChannelStore.ts"
import { type CassandraOptions, makeClient } from "../../src/cassandra/CassandraClient.ts"
import { layerCassandra as layerDirectory } from "../../src/cassandra/CassandraDirectory.ts"
import { edgeGrants, ownerGrants, runnerGrants, workerGrants } from "../../src/cassandra/CassandraGrants.ts"
import { layerCassandra as layerMessages } from "../../src/cassandra/CassandraMessageStore.ts"
import { layerCassandra as layerParked } from "../../src/cassandra/CassandraParkedEvents.ts"
import { migrate } from "../../src/cassandra/Migrations.ts"
import { Directory } from "../../src/Directory.ts"
import { Redis } from "../../src/redis/Redis.ts"
import { layerRedis as layerRedisInbox } from "../../src/redis/RedisInbox.ts"
import { channelStoreContract } from "../ChannelStoreContract.ts"
import { parkedEventsContract } from "../ParkedEventsContract.ts"

const folder = mkdtempSync(join(tmpdir(), "parley-login-"))
const authority = makeAuthority(folder)
const password = "s3cret' of a role"
const keyspace = "chat"
let services: RunningServices | undefined

const read = (file: string) => readFileSync(file, "utf8")
const certificate = (from = authority, name = "a1") => {
  const { certFile, keyFile } = from.issue(name)
  return { cert: read(certFile), key: read(keyFile) }
}
const own = certificate()

/** As a node is configured that has this role. */
const optionsOf = (username: string, secret = password, tls: object = own): CassandraOptions => ({
  contactPoints: services?.state.cassandraContactPoints ?? [],
  localDatacenter: "datacenter1",
  keyspace,
  replication: { datacenter1: 1 },
  credentials: { username, password: Redacted.make(secret) },
  tls: { ca: [read(authority.caFile)], ...tls }
})

const execute = async (options: CassandraOptions, statements: ReadonlyArray<string>): Promise<void> => {
  const client = makeClient({ ...options, requestMsMax: 60_000 }, undefined)
  try {
    for (const statement of statements) await client.execute(statement, [], { prepare: false })
  } finally {
    await client.shutdown()
  }
}

beforeAll(async () => {
  const pair = authority.issue("cassandra")
  const certificateAndKeyFile = join(folder, "server.pem")
  writeFileSync(certificateAndKeyFile, read(pair.keyFile) + read(pair.certFile))
  services = await startServices({
    data: join(folder, "services"),
    temporary: true,
    environment: { ...process.env, PARLEY_CASSANDRA: "" },
    cassandra: { brief: true, logins: true, tls: { certificateAndKeyFile, authorityFile: authority.caFile } }
  })
  const quoted = password.replaceAll("'", "''")
  const role = (name: string) => `CREATE ROLE ${name} WITH PASSWORD = '${quoted}' AND LOGIN = true`
  await execute(optionsOf("cassandra", "cassandra"), [
    `CREATE KEYSPACE ${keyspace} WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}`,
    "CREATE KEYSPACE foreign_one WITH replication = {'class': 'NetworkTopologyStrategy', 'datacenter1': 1}",
    "CREATE TABLE foreign_one.rows (id int PRIMARY KEY)",
    ...["owner", "runner", "worker", "edge"].map(role),
    ...ownerGrants(keyspace, "owner"),
    ...runnerGrants(keyspace, "runner")
  ])
  await Effect.runPromise(migrate(optionsOf("owner")))
  await execute(optionsOf("cassandra", "cassandra"), [
    ...edgeGrants(keyspace, "edge"),
    ...workerGrants(keyspace, "worker")
  ])
}, 400_000)
afterAll(async () => {
  await services?.stop()
  rmSync(folder, { recursive: true, force: true })
}, 60_000)

const layerOf = (role: string) => Layer.fresh(Layer.unwrap(Effect.sync(() => Cassandra.layer(optionsOf(role)))))

describe("with the rights of a node that runs shards", () => {
  const layer = layerOf("runner")
  parkedEventsContract("Cassandra with logins", layerParked.pipe(Layer.provide(layer)))
})

describe("with the rights of a worker", () => {
  const layer = layerOf("worker")
  parkedEventsContract("Cassandra with a worker's login", layerParked.pipe(Layer.provide(layer)))
  channelStoreContract(
    "Cassandra with a worker's login",
    layerChannels.pipe(
      Layer.provideMerge(Layer.mergeAll(layerMessages, layerDirectory, layerRedisInbox())),
      Layer.provide([layer, Layer.mock(Redis, { run: () => Effect.succeed(0) })])
    ),
    { lateRows: "by column", effort: 0.02 }
  )
})

/** What the server says to each statement; the empty string: it did it. */
const answersTo = (role: string, statements: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.acquireUseRelease(
    Effect.sync(() => makeClient(optionsOf(role), undefined)),
    (client) =>
      Effect.forEach(statements, (statement) =>
        Effect.tryPromise(() => client.execute(statement, [], { prepare: false })).pipe(
          Effect.match({ onFailure: ({ cause }) => String(cause), onSuccess: () => "" })
        )
      ),
    (client) => Effect.promise(() => client.shutdown())
  )

const refusal = /no \w+ permission|not authorized|not have sufficient privileges|aren't allowed/i

describe("a role at Cassandra", () => {
  it.live("of a node changes no table, no keyspace and no role, and sees no other keyspace", () =>
    Effect.gen(function* () {
      const statements = [
        `DROP TABLE ${keyspace}.messages`,
        `ALTER TABLE ${keyspace}.messages ADD spy text`,
        `CREATE TABLE ${keyspace}.spy (id int PRIMARY KEY)`,
        `DROP KEYSPACE ${keyspace}`,
        "SELECT * FROM foreign_one.rows",
        "SELECT * FROM system_auth.roles",
        "ALTER ROLE runner WITH SUPERUSER = true",
        "CREATE ROLE spy",
        `GRANT ALL ON KEYSPACE ${keyspace} TO runner`
      ]
      const answers = yield* answersTo("runner", statements)
      for (const [at, answer] of answers.entries()) assert.match(answer, refusal, statements[at])
    })
  )

  it.live("of an edge reads and writes users, and nothing that anybody has said", () =>
    Effect.gen(function* () {
      const layer = layerDirectory.pipe(Layer.provide(layerOf("edge")))
      const directory = Context.get(yield* Layer.build(Layer.fresh(layer)), Directory)
      assert.isTrue(Option.isNone(yield* directory.user("nobody")))
      const tables = ["messages", "channel_events", "channels", "sessions", "read_cursors_by_user"]
      const statements = tables.flatMap((table) => [
        `SELECT * FROM ${keyspace}.${table}`,
        `TRUNCATE ${keyspace}.${table}`
      ])
      const answers = yield* answersTo("edge", statements)
      for (const [at, answer] of answers.entries()) assert.match(answer, refusal, statements[at])
    })
  )

  it.live("of a worker reads and writes no users, no cursors, and not how far logs have come", () =>
    Effect.gen(function* () {
      const tables = ["users", "read_cursors_by_user", "read_cursors_by_channel", "log_places", "schema_lock"]
      const statements = tables.flatMap((table) => [
        `SELECT * FROM ${keyspace}.${table}`,
        `TRUNCATE ${keyspace}.${table}`
      ])
      const answers = yield* answersTo("worker", statements)
      for (const [at, answer] of answers.entries()) assert.match(answer, refusal, statements[at])
    })
  )

  it.live("is nobody's with a wrong password, which no error tells, or without a certificate of the authority", () =>
    Effect.gen(function* () {
      const wrong = yield* Effect.flip(migrate(optionsOf("runner", "wr0ng")))
      assert.match(inspect(wrong, { depth: 9 }), /username.*password are incorrect/)
      assert.notInclude(`${wrong.message} ${JSON.stringify(wrong)} ${inspect(wrong, { depth: 9 })}`, "wr0ng")
      const foreign = certificate(makeAuthority(folder, "other"))
      for (const tls of [{}, foreign]) {
        const error = yield* Effect.flip(migrate(optionsOf("runner", password, tls)))
        assert.strictEqual(error._tag, "StoreUnavailable")
      }
    })
  )
})
