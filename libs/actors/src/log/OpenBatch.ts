/**
 * Entries that gather for one record, encoded as they come, with those who wait for them. One is in flight and one
 * open in a shard's log. Hot path (bench `send`).
 */
import type { Entry } from "./Entry.ts"
import { type RecordHeader, RecordWriter, type SealedRecord } from "./Record.ts"
import { SealedEntries } from "./SealedEntries.ts"

/** What an owner gives the log: the entry, and whatever it wants back with the outcome. */
export interface Pending {
  readonly entry: Entry
  /** A consumer waits for it that holds the log: it may use the reserved room, or a full log could never be cut (†28). */
  readonly reserved?: boolean
}

/** Entries of one record at most; with the bytes it bounds what one commit has to tell. */
export const recordEntriesMax = 8_192

export class OpenBatch<P extends Pending> {
  readonly #writer: RecordWriter
  #entries: Array<P> = []
  #since: Array<number> = []
  #told = 0
  #reserved = 0
  #sealed: SealedRecord | null = null
  /** Full: what comes later has to go behind it, also if it were small enough to fit. */
  #closed = false

  constructor(recordBytesMax: number) {
    this.#writer = new RecordWriter(recordBytesMax)
  }

  get count(): number {
    return this.#entries.length
  }

  get bytes(): number {
    return this.#writer.bytes
  }

  /** All of it may use the reserved room. */
  get reserved(): boolean {
    return this.#reserved > 0 && this.#reserved === this.#entries.length
  }

  get entries(): ReadonlyArray<P> {
    return this.#entries
  }

  get sealed(): SealedRecord | null {
    return this.#sealed
  }

  /** False: sealed, or full (and then closed for good, so that order is kept). */
  add(pending: P, now: number): boolean {
    if (this.#sealed !== null || this.#closed) return false
    if (this.#entries.length >= recordEntriesMax || !this.#writer.add(pending.entry)) {
      this.#closed = this.#entries.length > 0
      return false
    }
    this.#entries.push(pending)
    if (pending.reserved === true) this.#reserved++
    this.#since.push(now)
    return true
  }

  /** The same bytes each time (†19). */
  seal(header: RecordHeader): SealedRecord {
    this.#sealed ??= this.#writer.seal(header)
    return this.#sealed
  }

  /** What the record was sealed of: nothing is added to it any more. */
  content(): SealedEntries {
    return new SealedEntries(this.#entries)
  }

  /** Those who have waited since `before` or longer and were not told yet. */
  overdue(before: number): ReadonlyArray<P> {
    const from = this.#told
    while (this.#told < this.#since.length && this.#waitedSince(this.#told) <= before) this.#told++
    return this.#entries.slice(from, this.#told)
  }

  /** Since when the oldest waits that was not told; Infinity if nobody does. */
  get oldest(): number {
    return this.#waitedSince(this.#told)
  }

  #waitedSince(index: number): number {
    return this.#since[index] ?? Infinity
  }

  /** Empties it; the array of entries that was given out stays as it is. */
  reset(): void {
    this.#reserved = 0
    this.#writer.reset()
    this.#entries = []
    this.#since = []
    this.#told = 0
    this.#sealed = null
    this.#closed = false
  }
}
