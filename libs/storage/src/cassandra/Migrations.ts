/**
 * The keyspace and its tables, by numbered migrations: each applied once, in order, by one process at a time, and
 * recorded. A migration that was cut off is run again, so its statements must bear repetition (IF NOT EXISTS). A schema
 * that is newer than this program is refused and left as it is. The lock is the only lightweight transaction there is.
 */
import { type Client, types } from "cassandra-driver"
import { Effect, Schedule, Schema } from "effect"
import { createHash, randomUUID } from "node:crypto"
import type { StoreUnavailable } from "../StoreError.ts"
import { type CassandraOptions, isPassing, makeClient, unavailable } from "./CassandraClient.ts"
import { directory } from "./migrations/Directory.ts"
import { history } from "./migrations/History.ts"
import { places } from "./migrations/Places.ts"

export interface Migration {
  readonly number: number
  readonly name: string
  readonly statements: ReadonlyArray<string>
}

/** One file each; numbers ascend without a hole, and a released one never changes. */
const migrations: ReadonlyArray<Migration> = [history, directory, places]

/** A newer Parley migrated the keyspace. It is left as it is. */
export class SchemaNewer extends Schema.TaggedError<SchemaNewer>()("SchemaNewer", {
  keyspace: Schema.String,
  found: Schema.Int,
  known: Schema.Int
}) {
  override get message() {
    return (
      `keyspace ${this.keyspace} was migrated by a newer Parley (schema ${this.found}, this one knows up to ${this.known}): ` +
      "start the newer version again, or restore the snapshot from before the upgrade"
    )
  }
}

/** The lock ends by itself after this, so a process that died in the midst of it is waited for no longer. */
const lockSeconds = 60
const lockPollMs = 250
const lockWaitMsMax = 90_000
/** Changing a schema may take longer than a request. */
const schemaMsMax = 60_000
/** A statement is sent so often: processes that start at once see what another is making before all of it is there. */
const attemptsMax = 20
const retryMs = 250

const keyspaceName = /^[a-z][a-z0-9_]{0,47}$/
const datacenterName = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/

type Execute = (cql: string, params?: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<Row>, StoreUnavailable>
interface Row {
  get(column: string): unknown
}

/** Brings the keyspace to this program's schema. Of many processes that start together one does it, the others wait. */
export const migrate = (
  options: CassandraOptions,
  known: ReadonlyArray<Migration> = migrations
): Effect.Effect<void, StoreUnavailable | SchemaNewer> =>
  Effect.acquireUseRelease(
    Effect.sync(() => makeClient({ ...options, requestMsMax: schemaMsMax }, undefined)),
    (client) => run(options, known, executeOn(client)),
    (client) => Effect.ignore(Effect.tryPromise(() => client.shutdown()))
  )

/** Of all datacenters: a schema is everybody's, and so is the lock. */
const everywhere = { consistency: types.consistencies.quorum, serialConsistency: types.consistencies.serial }

const executeOn =
  (client: Client): Execute =>
  (cql, params = []) =>
    Effect.tryPromise({
      try: () => client.execute(cql, [...params], { ...everywhere, prepare: params.length > 0 }),
      catch: unavailable
    }).pipe(
      // All of them bear repetition: one that timed out may have been done.
      Effect.retry({
        while: ({ cause }) => isPassing(cause),
        times: attemptsMax - 1,
        schedule: Schedule.spaced(retryMs)
      }),
      Effect.map(({ rows }) => rows ?? [])
    )

const run = Effect.fnUntraced(function* (options: CassandraOptions, known: ReadonlyArray<Migration>, execute: Execute) {
  const { keyspace } = options
  yield* makeKeyspace(options, execute)
  if ((yield* missing(keyspace, known, execute)).length === 0) return
  const lock = schemaLock(keyspace, execute)
  yield* Effect.acquireUseRelease(
    lock.take,
    () =>
      Effect.gen(function* () {
        for (const migration of yield* missing(keyspace, known, execute)) {
          yield* lock.keep
          for (const statement of migration.statements) yield* execute(inKeyspace(keyspace, statement))
          yield* execute(`INSERT INTO ${keyspace}.schema_migrations (id, number, name) VALUES (1, ?, ?)`, [
            migration.number,
            migration.name
          ])
        }
      }),
    () => Effect.ignore(lock.release)
  )
})

const makeKeyspace = Effect.fnUntraced(function* ({ keyspace, replication }: CassandraOptions, execute: Execute) {
  if (!keyspaceName.test(keyspace)) return yield* unavailable(new Error(`${keyspace} can't name a keyspace`))
  const found = yield* execute("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?", [keyspace])
  if (found.length === 0) {
    const copies = Object.entries(replication)
    if (copies.length === 0 || copies.some(([name, count]) => !datacenterName.test(name) || !(count >= 1))) {
      return yield* unavailable(new Error(`no replication to make the keyspace ${keyspace} with: name each datacenter`))
    }
    const by = copies.map(([name, count]) => `'${name}': ${Math.floor(count)}`).join(", ")
    yield* execute(
      `CREATE KEYSPACE IF NOT EXISTS ${keyspace} WITH replication = {'class': 'NetworkTopologyStrategy', ${by}} AND durable_writes = true`
    )
  }
  const tables = yield* execute("SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?", [keyspace])
  for (const [table, columns] of bookkeeping) {
    if (tables.some((row) => row.get("table_name") === table)) continue
    yield* execute(`CREATE TABLE IF NOT EXISTS ${keyspace}.${table} (${columns}) WITH ID = ${tableId(keyspace, table)}`)
  }
})

/** Made before there is a lock: of a fixed id, so that two processes which make them at once make the same. */
const bookkeeping = [
  ["schema_lock", "id int PRIMARY KEY, owner text"],
  ["schema_migrations", "id int, number int, name text, PRIMARY KEY (id, number)"]
] as const

const tableId = (keyspace: string, table: string): string => {
  const hex = createHash("sha256").update(`${keyspace}.${table}`).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

const missing = Effect.fnUntraced(function* (keyspace: string, known: ReadonlyArray<Migration>, execute: Execute) {
  const rows = yield* execute(`SELECT number FROM ${keyspace}.schema_migrations WHERE id = 1`)
  const applied = new Set(rows.map((row) => Number(row.get("number"))))
  const newest = known.at(-1)?.number ?? 0
  const found = Math.max(0, ...applied)
  if (found > newest) return yield* new SchemaNewer({ keyspace, found, known: newest })
  return known.filter(({ number }) => !applied.has(number))
})

/** `CREATE TABLE x` of a migration, in its keyspace. */
const inKeyspace = (keyspace: string, statement: string): string =>
  statement.replace(/^(\s*CREATE TABLE IF NOT EXISTS )/, `$1${keyspace}.`)

const schemaLock = (keyspace: string, execute: Execute) => {
  const owner = randomUUID()
  /** An answer that did not come may have been a yes: then the owner that is found is this one. */
  const applied = (rows: ReadonlyArray<Row>): boolean =>
    rows[0]?.get("[applied]") === true || rows[0]?.get("owner") === owner
  const held = unavailable(new Error(`another process has migrated ${keyspace} for ${lockWaitMsMax / 1_000} s`))
  const take = Effect.flatMap(
    execute(`INSERT INTO ${keyspace}.schema_lock (id, owner) VALUES (1, ?) IF NOT EXISTS USING TTL ${lockSeconds}`, [
      owner
    ]),
    (rows) => (applied(rows) ? Effect.void : Effect.fail(held))
  ).pipe(
    Effect.retry({
      while: (error) => error === held,
      schedule: Schedule.spaced(lockPollMs),
      times: Math.ceil(lockWaitMsMax / lockPollMs)
    })
  )
  const keep = Effect.flatMap(
    execute(`UPDATE ${keyspace}.schema_lock USING TTL ${lockSeconds} SET owner = ? WHERE id = 1 IF owner = ?`, [
      owner,
      owner
    ]),
    (rows) =>
      applied(rows)
        ? Effect.void
        : Effect.fail(unavailable(new Error(`lost the lock on the schema of ${keyspace}: try again`)))
  )
  const release = execute(`DELETE FROM ${keyspace}.schema_lock WHERE id = 1 IF owner = ?`, [owner])
  return { take, keep, release }
}
