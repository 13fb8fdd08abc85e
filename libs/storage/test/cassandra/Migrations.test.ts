/** Schema migrations against the real Cassandra: once, in order, by one process at a time, never backwards. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { select } from "../../src/cassandra/Cql.ts"
import { type Migration, migrate, SchemaNewer } from "../../src/cassandra/Migrations.ts"
import { StoreUnavailable } from "../../src/StoreError.ts"
import { administer, dropKeyspace, freshKeyspace } from "./TestKeyspace.ts"

const table = (number: number): Migration => ({
  number,
  name: `table ${number}`,
  statements: [`CREATE TABLE IF NOT EXISTS t${number} (id int PRIMARY KEY, value int)`]
})

/** More than a cluster's that are started by one command: each sees what others have half made. */
const processes = 8

const keyspace = Effect.acquireRelease(Effect.promise(freshKeyspace), dropKeyspace)

describe("Migrations of Cassandra's schema", () => {
  it.live(
    "several processes that start together make the keyspace once, and record each migration",
    () =>
      Effect.gen(function* () {
        const options = yield* keyspace
        const known = [table(1), table(2)]
        yield* Effect.all(
          Array.from({ length: processes }, () => migrate(options, known)),
          { concurrency: "unbounded" }
        )
        yield* migrate(options, known)
        const applied = yield* administer(options, `SELECT number, name FROM ${options.keyspace}.schema_migrations`)
        assert.deepStrictEqual(
          applied.map((row) => [row.get("number"), row.get("name")]),
          [
            [1, "table 1"],
            [2, "table 2"]
          ]
        )
        const locks = yield* administer(options, `SELECT * FROM ${options.keyspace}.schema_lock`)
        assert.lengthOf(locks, 0)
      }),
    60_000
  )

  it.live(
    "a migration waits for the one that another process runs, and only what is missing is applied",
    () =>
      Effect.gen(function* () {
        const options = yield* keyspace
        yield* migrate(options, [table(1)])
        yield* administer(options, `INSERT INTO ${options.keyspace}.schema_lock (id, owner) VALUES (1, 'other')`)
        const edited = { ...table(1), statements: ["this was applied already"] }
        const waiting = yield* Effect.forkChild(migrate(options, [edited, table(2)]))
        const tables = `SELECT table_name FROM system_schema.tables WHERE keyspace_name = '${options.keyspace}'`
        const names = Effect.map(administer(options, tables), (rows) => rows.map((row) => row.get("table_name")))
        // Who does not look at the lock is done long before.
        yield* Effect.sleep(1_500)
        assert.notInclude(yield* names, "t2")
        yield* administer(options, `DELETE FROM ${options.keyspace}.schema_lock WHERE id = 1`)
        yield* Fiber.join(waiting)
        assert.include(yield* names, "t2")
      }),
    60_000
  )

  it.live(
    "a newer schema is refused and left as it is",
    () =>
      Effect.gen(function* () {
        const options = yield* keyspace
        yield* migrate(options, [table(1), table(2)])
        const error = yield* Effect.flip(migrate(options, [table(1)]))
        assert.instanceOf(error, SchemaNewer)
        assert.deepInclude(error, { found: 2, known: 1 })
        assert.match(error.message, /start the newer version/)
      }),
    60_000
  )

  it.live("a process starts without Cassandra only if it may, and is told that it can't be used", () =>
    Effect.gen(function* () {
      // Nobody listens at this port.
      const away = { ...(yield* Effect.promise(freshKeyspace)), contactPoints: ["127.0.0.1:9"] }
      const required = yield* Effect.flip(Effect.provide(Cassandra.use(Effect.succeed), Cassandra.layer(away)))
      assert.instanceOf(required, StoreUnavailable)
      const read = Cassandra.use((it) => it.read(select("SELECT before FROM message_id_bound WHERE id = ?"), [1]))
      const optional = Cassandra.layer({ ...away, startWithout: true })
      assert.instanceOf(yield* Effect.flip(Effect.provide(read, optional)), StoreUnavailable)
    })
  )
})
