/**
 * Writes on their way to Cassandra, gathered by partition: an unlogged batch of one partition is one mutation, applied
 * as a whole, and costs little more than a single row. Small ones share requests (SharedBatches). Out of Effect: every
 * row of the write-behind passes here, watched by the `persister` bench.
 */
import type { Value, Write } from "./Cql.ts"

const rowsMin = 5
const rowsMax = 100
const rowsAtFirst = 50
/** What goes into one batch unless a single write is larger: small enough to wait for no other one's long. */
const batchBytesMax = 131_072

/** Rows in a batch: fewer after each one that failed, more again by and by. */
export class BatchRows {
  #rows = rowsAtFirst
  get rows(): number {
    return this.#rows
  }
  failed(): void {
    this.#rows = Math.max(rowsMin, this.#rows >> 1)
  }
  succeeded(): void {
    this.#rows = Math.min(rowsMax, this.#rows + 1)
  }
}

/** Writes of one partition that go together. */
export interface PartitionBatch {
  readonly writes: ReadonlyArray<Write>
  readonly bytes: number
}

interface Open {
  readonly writes: Array<Write>
  bytes: number
}

export class PartitionBatches {
  readonly #rowsMax: number
  readonly #open = new Map<string, Open>()
  readonly #full: Array<PartitionBatch> = []

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax
  }

  /** `partition` names the values of the partition key: tables with the same ones share their batches. */
  add(partition: string, write: Write): void {
    let batch = this.#open.get(partition)
    const bytes = sizeOf(write)
    if (batch !== undefined && (batch.writes.length >= this.#rowsMax || batch.bytes + bytes > batchBytesMax)) {
      this.#full.push(batch)
      batch = undefined
    }
    if (batch === undefined) {
      batch = { writes: [], bytes: 0 }
      this.#open.set(partition, batch)
    }
    batch.writes.push(write)
    batch.bytes += bytes
  }

  /** Writes that belong together: in one batch, whatever its size. */
  addTogether(partition: string, writes: ReadonlyArray<Write>): void {
    const [first, ...others] = writes
    if (first === undefined) return
    this.add(partition, first)
    for (const write of others) {
      const batch = this.#open.get(partition)
      batch?.writes.push(write)
      if (batch !== undefined) batch.bytes += sizeOf(write)
    }
  }

  get batches(): ReadonlyArray<PartitionBatch> {
    return [...this.#full, ...this.#open.values()]
  }

  /**
   * All of it is written, and nobody else has these writes. The driver has requests in a Map whose old tables may keep what
   * was in them (as `Pending` says): then they lead to nothing.
   */
  letGo(): void {
    for (const { writes } of this.batches) for (const { params } of writes) params.length = 0
    this.#full.length = 0
    this.#open.clear()
  }
}

/** What Cassandra counts of a cell beside its value: timestamp, time to live, time of deletion. */
const cellBytes = 16
const numberBytesMax = 8

/** As Cassandra counts them, rather a few more: of keys it counts none, or no cells. */
const sizeOf = ({ params }: Write): number => {
  let bytes = 0
  for (const value of params) bytes += cellBytes + valueBytes(value)
  return bytes
}

const valueBytes = (value: Value): number =>
  Buffer.isBuffer(value) ? value.length : typeof value === "string" ? Buffer.byteLength(value) : numberBytesMax
