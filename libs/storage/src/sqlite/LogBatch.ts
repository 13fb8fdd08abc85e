/**
 * The records of one commit in one ArrayBuffer: written by the main thread, transferred to the worker, which writes
 * the outcomes over the same header and transfers it back to be filled again. So a commit costs one message each way
 * and one copy of each record, however many shards are in it. Hot path, plain TypeScript: `bench send` watches it.
 *
 * The header is doubles: the count, then for each record shard, expected last position, 1 if reserved, offset, length,
 * outcome, and the outcome's position. The bytes follow.
 */
import type { AppendOutcome } from "../EventLog.ts"

const fields = 7
const doubleBytes = 8

/** What the worker makes of a record; the numbers are the wire between the threads. */
export const Outcome = { committed: 1, full: 2, tooLarge: 3, wrongSequence: 4, ambiguous: 5 } as const

export interface SealedRecord {
  readonly shard: number
  readonly expectedLast: number
  readonly reserved: boolean
  readonly bytes: Uint8Array
}

export const headerBytes = (count: number): number => (1 + count * fields) * doubleBytes

/** Packs records into `spare` when it is large enough, else into a new buffer with some room to grow. */
export const packBatch = (records: ReadonlyArray<SealedRecord>, spare: ArrayBuffer | undefined): ArrayBuffer => {
  let offset = headerBytes(records.length)
  let size = offset
  for (const record of records) size += record.bytes.length
  const buffer = spare !== undefined && spare.byteLength >= size ? spare : new ArrayBuffer(roundUp(size))
  const header = new Float64Array(buffer, 0, 1 + records.length * fields)
  const bytes = new Uint8Array(buffer)
  header[0] = records.length
  let at = 1
  for (const record of records) {
    header[at] = record.shard
    header[at + 1] = record.expectedLast
    header[at + 2] = record.reserved ? 1 : 0
    header[at + 3] = offset
    header[at + 4] = record.bytes.length
    bytes.set(record.bytes, offset)
    offset += record.bytes.length
    at += fields
  }
  return buffer
}

const bufferBytesMin = 65_536
/** The next power of two, so that a buffer that grew once serves the batches after it. */
const roundUp = (size: number): number => Math.max(bufferBytesMin, 2 ** Math.ceil(Math.log2(size)))

/** Reads a packed batch in place, and writes the outcomes into it. */
export class LogBatch {
  readonly buffer: ArrayBuffer
  readonly count: number
  private readonly header: Float64Array

  constructor(buffer: ArrayBuffer) {
    this.buffer = buffer
    this.count = new Float64Array(buffer, 0, 1)[0] ?? 0
    this.header = new Float64Array(buffer, 0, 1 + this.count * fields)
  }

  private field(index: number, name: number): number {
    return this.header[1 + index * fields + name] ?? 0
  }

  shard(index: number): number {
    return this.field(index, 0)
  }

  expectedLast(index: number): number {
    return this.field(index, 1)
  }

  reserved(index: number): boolean {
    return this.field(index, 2) === 1
  }

  length(index: number): number {
    return this.field(index, 4)
  }

  /** A view, valid until the buffer is transferred. */
  bytes(index: number): Uint8Array {
    return new Uint8Array(this.buffer, this.field(index, 3), this.field(index, 4))
  }

  setOutcome(index: number, outcome: number, position: number): void {
    this.header[1 + index * fields + 5] = outcome
    this.header[1 + index * fields + 6] = position
  }

  rawOutcome(index: number): number {
    return this.field(index, 5)
  }

  /** The outcome as the log's callers know it; `cause` is the batch's, for what is ambiguous. */
  outcome(index: number, cause: string): AppendOutcome {
    const position = this.field(index, 6)
    switch (this.field(index, 5)) {
      case Outcome.committed:
        return { _tag: "Committed", position }
      case Outcome.full:
        return { _tag: "Refused", reason: "full" }
      case Outcome.tooLarge:
        return { _tag: "Refused", reason: "too_large" }
      case Outcome.wrongSequence:
        return { _tag: "WrongSequence", actual: position }
      default:
        return { _tag: "Ambiguous", cause }
    }
  }
}
