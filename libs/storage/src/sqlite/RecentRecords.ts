/**
 * The records committed last, as what this process made them of: consumers follow right behind the commits, and reading back
 * from the file what was in memory a moment ago costs a row, a checksum and a message between threads for each. Bounded
 * in bytes over all shards. It answers only where it is sure to have everything: a shard whose append ended in doubt is
 * forgotten until its next commit, and what it does not have is read from the file. Hot path: `bench send` watches it.
 */
import type { LogPosition, OwnRecord } from "../EventLog.ts"

/** Records kept, in bytes; what a consumer that lags further behind asks for is read from the file. */
export const recentBytesMax = 16_777_216
/** What a record costs besides its bytes, about. */
const recordOverheadBytes = 200

/** The newest records of one shard, without a hole: records[start + i] is at `from + i`. */
interface Shard {
  from: LogPosition
  start: number
  records: Array<OwnRecord>
}

const costOf = ({ size }: OwnRecord): number => size + recordOverheadBytes

export class RecentRecords {
  readonly #bytesMax: number
  readonly #shards = new Map<number, Shard>()
  #bytes = 0

  constructor(bytesMax: number = recentBytesMax) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  committed(shard: number, record: OwnRecord): void {
    const { position } = record
    let held = this.#shards.get(shard)
    if (held === undefined || position !== lastOf(held) + 1) {
      this.forget(shard)
      held = { from: position, start: 0, records: [] }
    }
    // To the end of the map: the shards that are quiet longest give way first.
    this.#shards.delete(shard)
    this.#shards.set(shard, held)
    held.records.push(record)
    this.#bytes += costOf(record)
    if (this.#bytes > this.#bytesMax) this.#shrink()
  }

  /** Nobody knows what the shard's last record is: from here on the file says. */
  forget(shard: number): void {
    const held = this.#shards.get(shard)
    if (held === undefined) return
    this.#cut(held, lastOf(held))
    this.#shards.delete(shard)
  }

  /** The records up to here are gone, or nobody asks for them any more. */
  drop(shard: number, upTo: LogPosition): void {
    const held = this.#shards.get(shard)
    if (held !== undefined) this.#cut(held, upTo)
  }

  /** Undefined: ask the file. Otherwise as `EventLog.readAfter`. */
  readAfter(shard: number, after: LogPosition, bytesMax: number): ReadonlyArray<OwnRecord> | undefined {
    const held = this.#shards.get(shard)
    if (held === undefined || after + 1 < held.from) return undefined
    const found: Array<OwnRecord> = []
    let size = 0
    for (let at = held.start + after + 1 - held.from; at < held.records.length; at++) {
      const record = held.records[at]
      if (record === undefined || (found.length > 0 && size + record.size > bytesMax)) break
      size += record.size
      found.push(record)
    }
    return found
  }

  #cut(held: Shard, upTo: LogPosition): void {
    while (held.from <= upTo && held.start < held.records.length) {
      const first = held.records[held.start]
      if (first !== undefined) this.#bytes -= costOf(first)
      held.start++
      held.from++
    }
    // The front of the array goes when half of it is dead, so that cutting stays O(1) on average.
    if (held.start === held.records.length) {
      held.records = []
      held.start = 0
    } else if (held.start > 16 && held.start * 2 > held.records.length) {
      held.records = held.records.slice(held.start)
      held.start = 0
    }
  }

  /** Half of each shard's records, the quietest shard's first, until it fits. */
  #shrink(): void {
    for (const held of this.#shards.values()) {
      if (this.#bytes <= this.#bytesMax) return
      const count = held.records.length - held.start
      this.#cut(held, held.from + Math.ceil(count / 2) - 1)
    }
  }
}

/** The shard's last record here; `from - 1` where all are cut. */
const lastOf = (held: Shard): LogPosition => held.from + held.records.length - held.start - 1
