/** Reads and writes over many partitions: writes grouped by partition, ordered reads merged, and rows past one answer. */
import { Effect } from "effect"
import type { StoreRefused, StoreUnavailable } from "../StoreError.ts"
import type { Cassandra } from "./Cassandra.ts"
import { answerRowsMax } from "./CassandraClient.ts"
import type { Write } from "./Cql.ts"
import { PartitionBatches } from "./PartitionBatches.ts"

/** Rows of one request: more are no faster. */
const batchRowsMax = 50
/** Partitions that one ordered read asks at once. */
const lanesAtOnce = 32

/** Writes by the partition that they are of, which each `partition` names: its table and key. */
export class PartitionWrites {
  readonly #batches = new PartitionBatches(batchRowsMax)
  readonly #once = new Set<string>()

  /** All of these are there, or none. */
  add(partition: string, ...writes: ReadonlyArray<Write>): void {
    this.#batches.addTogether(partition, writes)
  }

  /** A write that many rows ask for, of which `partition` and `row` say all. */
  addOnce(partition: string, row: string | number, write: () => Write): void {
    const key = `${partition}/${row}`
    if (this.#once.has(key)) return
    this.#once.add(key)
    this.add(partition, write())
  }

  /** In as few requests as bounds of rows and bytes allow; any of them may be done when one fails. */
  run(cassandra: Cassandra["Service"]): Effect.Effect<void, StoreUnavailable | StoreRefused> {
    return Effect.tap(cassandra.writeAll(this.#batches.batches), () => Effect.sync(() => this.#batches.letGo()))
  }
}

/** All rows of a partition, in as many answers as it takes. */
export const allRows = Effect.fnUntraced(function* <Row, E>(
  fetch: (after: Row | undefined, limit: number) => Effect.Effect<ReadonlyArray<Row>, E>
) {
  const all: Array<Row> = []
  for (let full = true; full;) {
    const page = yield* fetch(all.at(-1), answerRowsMax)
    for (const row of page) all.push(row)
    full = page.length === answerRowsMax
  }
  return all
})

/** One partition's rows in their order, from after a row or from the beginning. */
export type Lane<Row> = (after: Row | undefined, limit: number) => Effect.Effect<ReadonlyArray<Row>, StoreUnavailable>

export interface Merge<Row> {
  readonly lanes: ReadonlyArray<Lane<Row>>
  readonly order: (a: Row, b: Row) => number
  /** Rows that are wanted in all, roughly: what each lane is asked for follows from it. */
  readonly about: number
  /** Is given the rows one by one, ascending; false: no more are wanted. */
  readonly take: (row: Row) => boolean
}

interface Reading<Row> {
  readonly lane: Lane<Row>
  rows: ReadonlyArray<Row>
  at: number
  ended: boolean
}

/** The rows of all lanes in order. A lane is asked again when its rows are used up and more may be wanted. */
export const mergeLanes = Effect.fnUntraced(function* <Row>({ about, lanes, order, take }: Merge<Row>) {
  // Spread by a hash, so each has about its part; a little more, and few have to be asked twice.
  const part = Math.ceil(about / Math.max(1, lanes.length))
  const limit = Math.min(answerRowsMax, lanes.length === 1 ? about + 1 : Math.ceil(part + 2 * Math.sqrt(part)) + 2)
  const readings = lanes.map((lane): Reading<Row> => ({ lane, rows: [], at: 0, ended: false }))
  const refill = (reading: Reading<Row>) =>
    Effect.map(reading.lane(reading.rows.at(-1), limit), (rows) => {
      reading.rows = rows
      reading.at = 0
      reading.ended = rows.length < limit
    })
  while (true) {
    const usedUp = readings.filter(({ at, ended, rows }) => at === rows.length && !ended)
    yield* Effect.forEach(usedUp, refill, { concurrency: lanesAtOnce, discard: true })
    while (true) {
      const next = first(readings, order)
      const row = next?.rows[next.at]
      if (next === undefined || row === undefined) return
      if (!take(row)) return
      next.at++
      if (next.at === next.rows.length && !next.ended) break
    }
  }
})

const first = <Row>(
  readings: ReadonlyArray<Reading<Row>>,
  order: (a: Row, b: Row) => number
): Reading<Row> | undefined => {
  let least: Reading<Row> | undefined
  let leastRow: Row | undefined
  for (const reading of readings) {
    const row = reading.rows[reading.at]
    if (row === undefined || (leastRow !== undefined && order(leastRow, row) <= 0)) continue
    least = reading
    leastRow = row
  }
  return least
}

/** Ids are ASCII: the order of chars is that of bytes, which is Cassandra's. */
export const byId = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
