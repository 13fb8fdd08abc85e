/** A keyspace as Cassandra has it: every row of a table with every column and its write time, past all of Parley's code. */
import { Context, Effect, Layer } from "effect"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { type CassandraOptions, makeClient } from "../../src/cassandra/CassandraClient.ts"
import { dropKeyspace, freshKeyspace } from "./TestKeyspace.ts"

/** Made by migrations themselves, by the clock. */
const ofSchema = new Set(["schema_lock", "schema_migrations"])

export interface RawColumn {
  readonly table: string
  /** The row's primary key without the channel. */
  readonly row: string
  readonly column: string
  readonly value: string
  readonly writetime: bigint
}

const rawKeyspace = Effect.gen(function* () {
  const options: CassandraOptions = yield* Effect.acquireRelease(Effect.promise(freshKeyspace), dropKeyspace)
  yield* Effect.provide(
    Cassandra.useSync(() => undefined),
    Cassandra.layer(options)
  )
  const client = yield* Effect.acquireRelease(
    Effect.sync(() => makeClient(options, options.keyspace)),
    (client) => Effect.promise(() => client.shutdown())
  )
  const execute = (cql: string, params: ReadonlyArray<unknown> = []) =>
    Effect.promise(async () => (await client.execute(cql, [...params])).rows ?? [])
  const columns = yield* execute(
    "SELECT table_name, column_name, kind, position FROM system_schema.columns WHERE keyspace_name = ?",
    [options.keyspace]
  )
  const namesOf = (table: string, keys: boolean): ReadonlyArray<string> =>
    columns
      .filter((it) => it.get("table_name") === table && (it.get("kind") !== "regular") === keys)
      .map((it) => String(it.get("column_name")))
  const tables = [...new Set(columns.map((it) => String(it.get("table_name"))))].filter((it) => !ofSchema.has(it))

  /** Of one channel, sorted; what has no channel is left out. */
  const rawColumns = Effect.fnUntraced(function* (channel: string, but: ReadonlyArray<string> = []) {
    const found: Array<RawColumn> = []
    for (const table of tables) {
      const keys = namesOf(table, true)
      if (but.includes(table) || !keys.includes("channel")) continue
      const names = namesOf(table, false)
      const asked = [...keys, ...names, ...names.map((name) => `WRITETIME(${name})`)].join(", ")
      for (const row of yield* execute(`SELECT ${asked} FROM ${table} WHERE channel = ? ALLOW FILTERING`, [channel])) {
        const at = keys.filter((key) => key !== "channel").map((key) => `${key} ${String(row.get(key))}`)
        for (const column of names) {
          const value: unknown = row.get(column)
          if (value === null) continue
          const text = Buffer.isBuffer(value) ? value.toString("latin1") : String(value)
          const writetime = BigInt(String(row.get(`writetime(${column})`)))
          found.push({ table, row: at.join(", "), column, value: text, writetime })
        }
      }
    }
    return found.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  })
  return { options, execute, rawColumns }
})

type Raw = typeof rawKeyspace extends Effect.Effect<infer A, infer _E, infer _R> ? A : never

/** A migrated keyspace with any statement at hand, there as long as the layer; channels of tests have fresh names. */
export class RawKeyspace extends Context.Service<RawKeyspace, Raw>()("@parley/storage/test/RawKeyspace") {
  static readonly layer = Layer.effect(RawKeyspace, rawKeyspace)
}

const keyOf = ({ column, row, table }: RawColumn): string => `${table} ${row} ${column}`
