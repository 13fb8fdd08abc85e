/**
 * Which tables of a keyspace have a row at all. What it asks goes over the whole ring: quick where there is nothing, or
 * much, and for an operator's command only, never for a node.
 */
import { Effect } from "effect"
import type { StoreUnavailable } from "../StoreError.ts"
import type { Cassandra, Row } from "./Cassandra.ts"
import { numberOf, textOf } from "./Columns.ts"
import { select } from "./Cql.ts"

const columns = select(
  "SELECT table_name, column_name, kind, position FROM system_schema.columns WHERE keyspace_name = ?"
)
/** The smallest token that a row can have. */
const ringStart = -(2n ** 63n)
const tablesAtOnce = 4

/** Names in order; the schema's own bookkeeping is no use of the keyspace. */
export const usedTables = Effect.fnUntraced(function* (
  cassandra: Cassandra["Service"],
  keyspace: string
): Effect.fn.Return<ReadonlyArray<string>, StoreUnavailable> {
  const keys = new Map<string, Array<string>>()
  for (const row of (yield* cassandra.read(columns, [keyspace])).filter(isOfKey)) {
    const table = textOf(row, "table_name")
    const key = keys.get(table) ?? []
    key[numberOf(row, "position")] = textOf(row, "column_name")
    keys.set(table, key)
  }
  const tables = [...keys].filter(([table]) => !table.startsWith("schema_")).sort(([a], [b]) => (a < b ? -1 : 1))
  const used = yield* Effect.forEach(
    tables,
    ([table, key]) =>
      Effect.map(
        // Names are the schema's own.
        cassandra.read(select(`SELECT ${key[0]} FROM ${table} WHERE token(${key.join(", ")}) >= ? LIMIT 1`), [
          ringStart
        ]),
        (rows) => (rows.length > 0 ? [table] : [])
      ),
    { concurrency: tablesAtOnce }
  )
  return used.flat()
})

const isOfKey = (row: Row): boolean => textOf(row, "kind") === "partition_key"
