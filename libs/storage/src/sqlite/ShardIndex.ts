/**
 * Where each shard of the embedded log begins and ends and what its live records weigh: the fence (SINGLE-WRITER) is
 * decided here, from memory, and only what a commit made durable gets in. Loaded from the file at opening, where holes
 * and damaged last records are found.
 */
import type { DatabaseSync } from "node:sqlite"
import type { Damage } from "./LogWorkerMessages.ts"
import { positionMax, positionOfKey, recordChecksum, recordKey, rowOverheadBytes, shardOfKey } from "./RecordRow.ts"

interface Shard {
  readonly shard: number
  first: number
  last: number
  /** What the transaction that is open adds. */
  staged: number
}

export class ShardIndex {
  private readonly shards = new Map<number, Shard>()
  private readonly touched: Array<Shard> = []
  private stagedBytes = 0
  /** Live records' bytes, with the overhead of their rows. */
  bytes = 0
  /** Shards that were found damaged at opening: they are not written any more (†24). */
  readonly damaged = new Map<number, Damage>()

  /** The last position, with what is staged; 0 for an empty shard. */
  last(shard: number): number {
    const found = this.shards.get(shard)
    return found === undefined ? 0 : found.last + found.staged
  }

  first(shard: number): number {
    return this.shards.get(shard)?.first ?? 0
  }

  /** Shards with a committed record, ascending. */
  list(): ReadonlyArray<number> {
    const shards: Array<number> = []
    for (const found of this.shards.values()) if (found.last > 0) shards.push(found.shard)
    return shards.sort((a, b) => a - b)
  }

  /** Bytes in use with what is staged. */
  bytesStaged(): number {
    return this.bytes + this.stagedBytes
  }

  /** Notes a record of an open transaction; its position is the answer. */
  stage(shard: number, bytes: number): number {
    let found = this.shards.get(shard)
    if (found === undefined) this.shards.set(shard, (found = { shard, first: 1, last: 0, staged: 0 }))
    if (found.staged === 0) this.touched.push(found)
    found.staged += 1
    this.stagedBytes += bytes + rowOverheadBytes
    return found.last + found.staged
  }

  /** The transaction is durable. */
  commit(): void {
    for (const found of this.touched) {
      found.last += found.staged
      found.staged = 0
    }
    this.touched.length = 0
    this.bytes += this.stagedBytes
    this.stagedBytes = 0
  }

  /** The transaction was rolled back. */
  rollback(): void {
    for (const found of this.touched) {
      found.staged = 0
      if (found.last === 0) this.shards.delete(found.shard)
    }
    this.touched.length = 0
    this.stagedBytes = 0
  }

  /** Records before `first` are gone. */
  purged(shard: number, first: number, bytes: number): void {
    const found = this.shards.get(shard)
    if (found === undefined) return
    found.first = first
    this.bytes -= bytes
  }

  static load(database: DatabaseSync): ShardIndex {
    const index = new ShardIndex()
    const next = database.prepare("SELECT id FROM records WHERE id >= ? ORDER BY id LIMIT 1")
    // length() of a blob reads the row's head only, so this costs the leaf pages and not the records.
    const extent = database.prepare(
      "SELECT min(id) AS first, max(id) AS last, count(*) AS rows, sum(length(bytes)) AS bytes FROM records WHERE id BETWEEN ? AND ?"
    )
    for (let row = next.get(0); row !== undefined;) {
      const shard = shardOfKey(Number(row["id"]))
      const found = extent.get(recordKey(shard, 0), recordKey(shard, positionMax))
      const first = positionOfKey(Number(found?.["first"]))
      const last = positionOfKey(Number(found?.["last"]))
      const rows = Number(found?.["rows"])
      index.shards.set(shard, { shard, first, last, staged: 0 })
      index.bytes += Number(found?.["bytes"]) + rows * rowOverheadBytes
      const damage = findDamage(database, shard, first, last, rows)
      if (damage !== undefined) index.damaged.set(shard, damage)
      row = next.get(recordKey(shard + 1, 0))
    }
    return index
  }
}

/** The first thing that is wrong with a shard as it lies in the file. */
const findDamage = (
  database: DatabaseSync,
  shard: number,
  first: number,
  last: number,
  rows: number
): Damage | undefined => {
  if (rows !== last - first + 1) {
    const ids = database.prepare("SELECT id FROM records WHERE id BETWEEN ? AND ? ORDER BY id")
    let position = first
    for (const row of ids.iterate(recordKey(shard, first), recordKey(shard, last))) {
      if (positionOfKey(Number(row["id"])) !== position) return { shard, position, what: "the record is missing" }
      position += 1
    }
  }
  const row = database.prepare("SELECT crc, bytes FROM records WHERE id = ?").get(recordKey(shard, last))
  const bytes = row?.["bytes"]
  return bytes instanceof Uint8Array && recordChecksum(recordKey(shard, last), bytes) === row?.["crc"]
    ? undefined
    : { shard, position: last, what: "the checksum does not match" }
}
