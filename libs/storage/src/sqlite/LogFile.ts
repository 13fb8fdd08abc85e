/**
 * The embedded log's file: one transaction a batch, reads that check what they read, purging in steps, checkpoints, and
 * a full disk that can be purged out of. Synchronous; it lives in the log's worker, which hands it one thing at a time.
 * Hot path, plain TypeScript: `bench send` watches it.
 *
 * A method that throws leaves the file in doubt: it must be closed and opened anew before it takes more. Opening always
 * checkpoints what it finds: after a failed fsync the kernel may hold pages as clean that never reached the disk, so
 * what can be read is written once more, into the main file, and synced there, before it counts.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { DiskReserve } from "./DiskReserve.ts"
import { type LogBatch, Outcome } from "./LogBatch.ts"
import { causeText, isCorrupt, isDiskFull, type OpenDatabase, openLogDatabase } from "./LogDatabase.ts"
import type { Damage, LogFileOptions, StoredPosition } from "./LogWorkerMessages.ts"
import { positionOfKey, recordChecksum, recordKey, rowOverheadBytes } from "./RecordRow.ts"
import { ShardIndex } from "./ShardIndex.ts"

/** Records one read gives at most, however small they are. */
const readRecordsMax = 4_096
/** Purging frees about this much a transaction, so that an append waits a few milliseconds for it at most. */
const purgeStepBytes = 1_048_576
/** While the disk is full, how often space is looked for. */
const restoreIntervalMs = 1_000
const vacuumStepPages = 64
const pageBytes = 4_096
/** A page in the write-ahead file, with its header. */
const frameBytes = pageBytes + 24

/** A record as it is read: its own buffer, so that it can be transferred. */
export interface FileRecord {
  readonly position: number
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Records, or what is wrong with the first one that can't be served. */
export type ReadResult = ReadonlyArray<FileRecord> | Damage
export const isDamage = (result: ReadResult): result is Damage => "what" in result

export interface CommitResult {
  /** What made outcomes ambiguous; empty if none is. */
  readonly cause: string
  readonly positionsStored: boolean
  /** The file is in doubt: close it. */
  readonly broken: boolean
}

export class LogFile {
  private readonly database: DatabaseSync
  private readonly options: LogFileOptions
  private readonly reserve: DiskReserve
  private readonly index: ShardIndex
  private readonly statements: Record<"begin" | "commit" | "insert" | "position" | "range", StatementSync>
  private lastRestoreAt = Number.NEGATIVE_INFINITY

  private constructor(database: DatabaseSync, options: LogFileOptions) {
    this.database = database
    this.options = options
    this.reserve = new DiskReserve(`${options.file}.reserve`, options.reserveBytes)
    const reserved = this.reserve.take()
    this.checkpoint(reserved)
    this.index = ShardIndex.load(database)
    this.statements = {
      begin: database.prepare("BEGIN IMMEDIATE"),
      commit: database.prepare("COMMIT"),
      insert: database.prepare("INSERT INTO records (id, crc, bytes) VALUES (?, ?, ?)"),
      position: database.prepare(
        "INSERT INTO consumers VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET position = max(position, excluded.position)"
      ),
      range: database.prepare("SELECT id, crc, bytes FROM records WHERE id BETWEEN ? AND ? ORDER BY id")
    }
  }

  static open(options: LogFileOptions, open?: OpenDatabase): LogFile {
    const database = openLogDatabase(options.file, options.synchronous, open)
    try {
      return new LogFile(database, options)
    } catch (error) {
      database.close()
      throw error
    }
  }

  damage(): ReadonlyArray<Damage> {
    return [...this.index.damaged.values()]
  }

  /** Whether the disk has room for what the log holds back; without, only reserved records are taken. */
  hasReserve(): boolean {
    return this.reserve.held
  }

  positions(): ReadonlyArray<StoredPosition> {
    return this.database.prepare("SELECT consumer, shard, position FROM consumers").all().map((row) => ({
      consumer: String(row["consumer"]),
      shard: Number(row["shard"]),
      position: Number(row["position"])
    }))
  }

  bytes(): number {
    return this.index.bytes
  }

  shards(): ReadonlyArray<number> {
    return this.index.list()
  }

  /** Writes a batch and consumers' positions in one transaction, and each record's outcome into the batch. */
  commit(batch: LogBatch, positions: ReadonlyArray<StoredPosition>): CommitResult {
    let unreservedToo = this.reserve.held || this.restoreReserve()
    for (let tries = 0; ; tries++) {
      try {
        const cause = this.write(batch, positions, unreservedToo)
        return { cause, positionsStored: true, broken: false }
      } catch (error) {
        this.index.rollback()
        if (!isDiskFull(error) || !this.rolledBack()) {
          for (let i = 0; i < batch.count; i++) batch.setOutcome(i, Outcome.ambiguous, 0)
          return { cause: causeText(error), positionsStored: false, broken: true }
        }
        unreservedToo = false
        // With the reserve given up there may be room for what a full log must still take (†28).
        if (this.makeRoom() || tries === 0) continue
        return { cause: this.refuse(batch), positionsStored: false, broken: false }
      }
    }
  }

  private write(batch: LogBatch, positions: ReadonlyArray<StoredPosition>, unreservedToo: boolean): string {
    let open = false
    let cause = ""
    for (let i = 0; i < batch.count; i++) {
      const decided = this.decide(batch, i, unreservedToo)
      if (decided === Outcome.ambiguous) cause = "the shard is damaged"
      if (decided !== Outcome.committed) {
        batch.setOutcome(i, decided, this.index.last(batch.shard(i)))
        continue
      }
      if (!open) this.statements.begin.run()
      open = true
      const position = this.index.stage(batch.shard(i), batch.length(i))
      const key = recordKey(batch.shard(i), position)
      const bytes = batch.bytes(i)
      this.statements.insert.run(key, recordChecksum(key, bytes), bytes)
      batch.setOutcome(i, Outcome.committed, position)
    }
    if (open) {
      this.writePositions(positions)
      this.statements.commit.run()
      this.index.commit()
    } else {
      this.storePositions(positions)
    }
    return cause
  }

  private decide(batch: LogBatch, i: number, unreservedToo: boolean): number {
    const shard = batch.shard(i)
    if (this.index.damaged.has(shard)) return Outcome.ambiguous
    if (batch.expectedLast(i) !== this.index.last(shard)) return Outcome.wrongSequence
    if (batch.length(i) > this.options.recordBytesMax) return Outcome.tooLarge
    const bytes = this.index.bytesStaged() + batch.length(i) + rowOverheadBytes
    const reserved = batch.reserved(i)
    if (bytes > (reserved ? this.options.hardBytes : this.options.softBytes)) return Outcome.full
    return reserved || unreservedToo ? Outcome.committed : Outcome.full
  }

  /** The disk took nothing: what would have been written is refused, for certain. */
  private refuse(batch: LogBatch): string {
    let cause = ""
    for (let i = 0; i < batch.count; i++) {
      const decided = this.decide(batch, i, true)
      if (decided === Outcome.ambiguous) cause = "the shard is damaged"
      batch.setOutcome(i, decided === Outcome.committed ? Outcome.full : decided, this.index.last(batch.shard(i)))
    }
    return cause
  }

  private rolledBack(): boolean {
    try {
      if (this.database.isTransaction) this.database.exec("ROLLBACK")
      return !this.database.isTransaction
    } catch {
      return false
    }
  }

  private writePositions(positions: ReadonlyArray<StoredPosition>): void {
    for (const { consumer, shard, position } of positions) this.statements.position.run(consumer, shard, position)
  }

  /** Stores consumers' positions on their own, without an fsync: one that a crash takes back costs rework only. */
  storePositions(positions: ReadonlyArray<StoredPosition>): void {
    if (positions.length > 0) this.unsynced(() => this.writePositions(positions))
  }

  /** A transaction that the next synced one carries to the disk. */
  private unsynced(body: () => void): void {
    const { synchronous } = this.options
    if (synchronous === "FULL") this.database.exec("PRAGMA synchronous = NORMAL")
    try {
      this.statements.begin.run()
      body()
      this.statements.commit.run()
    } catch (error) {
      if (!this.rolledBack()) throw new Error(`a failed transaction could not be rolled back: ${causeText(error)}`)
      throw error
    } finally {
      if (synchronous === "FULL") this.database.exec("PRAGMA synchronous = FULL")
    }
  }

  last(shard: number): ReadResult {
    const damage = this.index.damaged.get(shard)
    if (damage !== undefined) return damage
    const last = this.index.last(shard)
    return last === 0 ? [] : this.read(shard, last)
  }

  read(shard: number, position: number): ReadResult {
    if (position < this.index.first(shard) || position > this.index.last(shard) || position < 1) return []
    return this.readRange(shard, position, position, Number.POSITIVE_INFINITY)
  }

  readAfter(shard: number, after: number, bytesMax: number): ReadResult {
    const from = Math.max(after + 1, this.index.first(shard))
    const to = Math.min(this.index.last(shard), from + readRecordsMax - 1)
    return this.index.last(shard) === 0 || from > to ? [] : this.readRange(shard, from, to, bytesMax)
  }

  /** Records from `from` to `to` without a hole, fewer where `bytesMax` says so; damage is never skipped. */
  private readRange(shard: number, from: number, to: number, bytesMax: number): ReadResult {
    const records: Array<FileRecord> = []
    let position = from
    let size = 0
    try {
      for (const row of this.statements.range.iterate(recordKey(shard, from), recordKey(shard, to))) {
        if (positionOfKey(Number(row["id"])) !== position) break
        const bytes = row["bytes"]
        if (!(bytes instanceof Uint8Array) || recordChecksum(recordKey(shard, position), bytes) !== row["crc"]) {
          // What came before it can be served; the next read begins at it and says so.
          return records.length > 0 ? records : { shard, position, what: "the checksum does not match" }
        }
        if (records.length > 0 && size + bytes.length > bytesMax) return records
        size += bytes.length
        // node:sqlite gives each blob a buffer of its own, never a shared one.
        records.push({ position, bytes: bytes as Uint8Array<ArrayBuffer> })
        position += 1
      }
    } catch (error) {
      if (!isCorrupt(error)) throw error
      return records.length > 0 ? records : { shard, position, what: causeText(error) }
    }
    if (position <= to && records.length === 0) return { shard, position, what: "the record is missing" }
    return records
  }

  /**
   * One step of a purge: true while there is more to purge. Positions go in with it, so that a crash never leaves a
   * consumer before records that are gone.
   */
  purgeStep(shard: number, upTo: number, positions: ReadonlyArray<StoredPosition>): boolean {
    const first = this.index.first(shard)
    const end = Math.min(upTo, this.index.last(shard) - 1)
    if (end < first) {
      this.storePositions(positions)
      return false
    }
    const step = this.purgeExtent(shard, first, end)
    const remove = () =>
      this.unsynced(() => {
        this.writePositions(positions)
        this.database
          .prepare("DELETE FROM records WHERE id BETWEEN ? AND ?")
          .run(recordKey(shard, first), recordKey(shard, step.to))
      })
    try {
      remove()
    } catch (error) {
      if (!isDiskFull(error)) throw error
      this.makeRoom()
      remove()
    }
    this.index.purged(shard, step.to + 1, step.bytes)
    if (step.to >= end && !this.reserve.held) this.restoreReserve(true)
    return step.to < end
  }

  private purgeExtent(shard: number, from: number, end: number): { readonly to: number; readonly bytes: number } {
    let to = from - 1
    let bytes = 0
    const lengths = this.database.prepare("SELECT length(bytes) AS size FROM records WHERE id BETWEEN ? AND ? ORDER BY id")
    for (const row of lengths.iterate(recordKey(shard, from), recordKey(shard, end))) {
      to += 1
      bytes += Number(row["size"]) + rowOverheadBytes
      if (bytes >= purgeStepBytes) break
    }
    return { to, bytes }
  }

  /** Bytes in the write-ahead file that are not in the main one yet. */
  walBytes(): number {
    const row = this.database.prepare("PRAGMA wal_checkpoint(NOOP)").get()
    return (Number(row?.["log"]) - Number(row?.["checkpointed"])) * frameBytes
  }

  /**
   * Brings the write-ahead file into the main one, after which it is written from its beginning again. On a full disk it
   * may take the reserve; it is tried again later where that doesn't help.
   */
  checkpoint(useReserve = true): void {
    try {
      this.database.exec("PRAGMA wal_checkpoint(PASSIVE)")
    } catch (error) {
      if (!isDiskFull(error)) throw error
      if (useReserve) this.makeRoom()
    }
  }

  /** On a full disk: gives up the reserve (true if there was one) and starts the write-ahead file from its beginning. */
  private makeRoom(): boolean {
    const gave = this.reserve.giveUp()
    this.checkpoint(false)
    return gave
  }

  /** Tries to hold the reserve again, shrinking the main file by as much where pages are free; at most so often. */
  private restoreReserve(now = false): boolean {
    const at = performance.now()
    if (!now && at - this.lastRestoreAt < restoreIntervalMs) return false
    this.lastRestoreAt = at
    if (this.reserve.take()) return true
    try {
      // In small steps, each brought into the main file, because the write-ahead file can't grow now.
      for (let step = 0; step * vacuumStepPages * pageBytes < 2 * this.options.reserveBytes; step++) {
        if (Number(this.database.prepare("PRAGMA freelist_count").get()?.["freelist_count"]) === 0) break
        this.database.exec(`PRAGMA incremental_vacuum(${vacuumStepPages})`)
        this.checkpoint(false)
      }
    } catch (error) {
      if (!isDiskFull(error) || !this.rolledBack()) throw error
    }
    return this.reserve.take()
  }

  /** Brings everything into the main file and closes it. */
  close(positions: ReadonlyArray<StoredPosition>): void {
    try {
      this.storePositions(positions)
      this.checkpoint()
    } finally {
      this.database.close()
    }
  }

  /** Closes a file that is in doubt. */
  abandon(): void {
    try {
      this.database.close()
    } catch {
      // The descriptor goes with the worker; the next opening finds what there is.
    }
  }
}
