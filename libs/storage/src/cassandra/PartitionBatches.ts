/**
 * Writes on their way to Cassandra, gathered by partition: an unlogged batch of one partition is one mutation, applied
 * as a whole, and costs little more than a single row. Out of Effect: every row of the write-behind passes here,
 * watched by the `persister` bench.
 */
import type { Write } from "./Cql.ts"

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

interface Batch {
  readonly writes: Array<Write>
  bytes: number
}

export class PartitionBatches {
  readonly #rowsMax: number
  readonly #open = new Map<string, Batch>()
  readonly #full: Array<ReadonlyArray<Write>> = []

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax
  }

  /** `partition` names the values of the partition key: tables with the same ones share their batches. */
  add(partition: string, write: Write): void {
    let batch = this.#open.get(partition)
    const bytes = sizeOf(write)
    if (batch !== undefined && (batch.writes.length >= this.#rowsMax || batch.bytes + bytes > batchBytesMax)) {
      this.#full.push(batch.writes)
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

  get batches(): ReadonlyArray<ReadonlyArray<Write>> {
    return [...this.#full, ...Array.from(this.#open.values(), ({ writes }) => writes)]
  }
}

/** About so many bytes: texts decide. */
const sizeOf = ({ params }: Write): number => {
  let bytes = 0
  for (const value of params) bytes += Buffer.isBuffer(value) ? value.length : 8
  return bytes
}
