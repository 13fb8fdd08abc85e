/**
 * Reading the embedded log: every record is checked against its checksum and its place, a damaged or missing one is
 * named and never skipped, and what lies before it can still be served.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { causeText, isCorrupt } from "./LogDatabase.ts"
import type { Damage } from "./LogWorkerMessages.ts"
import { positionOfKey, recordChecksum, recordKey } from "./RecordRow.ts"
import type { ShardIndex } from "./ShardIndex.ts"

/** Records one read gives at most, however small they are. */
const readRecordsMax = 4_096

/** A record as it is read: its own buffer, so that it can be transferred. */
export interface FileRecord {
  readonly position: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Records, or what is wrong with the first one that can't be served. */
export type ReadResult = ReadonlyArray<FileRecord> | Damage
export const isDamage = (result: ReadResult): result is Damage => "what" in result

export class LogReads {
  private readonly index: ShardIndex
  private readonly range: StatementSync

  constructor(database: DatabaseSync, index: ShardIndex) {
    this.index = index
    this.range = database.prepare("SELECT id, crc, bytes FROM records WHERE id BETWEEN ? AND ? ORDER BY id")
  }

  last(shard: number): ReadResult {
    const damage = this.index.damaged.get(shard)
    if (damage !== undefined) return damage
    const last = this.index.last(shard)
    return last === 0 ? [] : this.read(shard, last)
  }

  read(shard: number, position: number): ReadResult {
    if (position < this.index.first(shard) || position > this.index.last(shard) || position < 1) return []
    return this.between(shard, position, position, Number.POSITIVE_INFINITY)
  }

  readAfter(shard: number, after: number, bytesMax: number): ReadResult {
    const last = this.index.last(shard)
    const from = Math.max(after + 1, this.index.first(shard))
    return last === 0 || from > last
      ? []
      : this.between(shard, from, Math.min(last, from + readRecordsMax - 1), bytesMax)
  }

  /** Records from `from` to `to` without a hole, fewer where `bytesMax` says so. */
  private between(shard: number, from: number, to: number, bytesMax: number): ReadResult {
    const records: Array<FileRecord> = []
    // What came before the damage is served; the next read begins at it and says so.
    const damage = (what: string): ReadResult =>
      records.length > 0 ? records : { shard, position: from + records.length, what }
    let size = 0
    try {
      for (const row of this.range.iterate(recordKey(shard, from), recordKey(shard, to))) {
        const position = from + records.length
        const bytes = row["bytes"]
        if (positionOfKey(Number(row["id"])) !== position) return damage("the record is missing")
        if (!(bytes instanceof Uint8Array) || recordChecksum(recordKey(shard, position), bytes) !== row["crc"]) {
          return damage("the checksum does not match")
        }
        if (records.length > 0 && size + bytes.length > bytesMax) return records
        size += bytes.length
        // node:sqlite gives each blob a buffer of its own, never a shared one.
        records.push({ position, bytes: bytes as Uint8Array<ArrayBuffer> })
      }
    } catch (error) {
      if (!isCorrupt(error)) throw error
      return damage(causeText(error))
    }
    return from + records.length <= to ? damage("the record is missing") : records
  }
}
