/**
 * The embedded log's file: one transaction a batch, purging in steps, consumers' positions. Synchronous; it lives in
 * the log's worker, which hands it one thing at a time. Hot path, plain TypeScript: `bench send` watches it.
 *
 * A method that throws anything but a full disk leaves the file in doubt: it must be closed and opened anew before it
 * takes more. Opening checkpoints what it finds: after a failed fsync the kernel may hold pages as clean that never
 * reached the disk, so what can be read is written once more, into the main file, and synced there, before it counts.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { type LogBatch, Outcome } from "./LogBatch.ts"
import { causeText, isDiskFull, type OpenDatabase, openLogDatabase } from "./LogDatabase.ts"
import { LogReads } from "./LogReads.ts"
import { LogSpace } from "./LogSpace.ts"
import type { Damage, LogFileOptions, StoredPosition } from "./LogWorkerMessages.ts"
import { recordChecksum, recordKey, rowOverheadBytes } from "./RecordRow.ts"
import { ShardIndex } from "./ShardIndex.ts"

/** Purging frees about this much a transaction, so that an append waits a few milliseconds for it at most. */
const purgeStepBytes = 1_048_576

export interface CommitResult {
  /** What made outcomes ambiguous; empty if none is. */
  readonly cause: string
  readonly positionsStored: boolean
  /** The file is in doubt: close it. */
  readonly broken: boolean
}

export class LogFile {
  readonly reads: LogReads
  readonly space: LogSpace
  private readonly database: DatabaseSync
  private readonly options: LogFileOptions
  private readonly index: ShardIndex
  private readonly statements: Record<"begin" | "commit" | "insert" | "position" | "lengths" | "remove", StatementSync>

  private constructor(database: DatabaseSync, options: LogFileOptions) {
    this.database = database
    this.options = options
    this.space = new LogSpace(database, options)
    this.index = ShardIndex.load(database)
    this.reads = new LogReads(database, this.index)
    this.statements = {
      begin: database.prepare("BEGIN IMMEDIATE"),
      commit: database.prepare("COMMIT"),
      insert: database.prepare("INSERT INTO records (id, crc, bytes) VALUES (?, ?, ?)"),
      position: database.prepare(
        "INSERT INTO consumers VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET position = max(position, excluded.position)"
      ),
      lengths: database.prepare("SELECT length(bytes) AS size FROM records WHERE id BETWEEN ? AND ? ORDER BY id"),
      remove: database.prepare("DELETE FROM records WHERE id BETWEEN ? AND ?")
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

  /** What was found damaged at opening; such a shard is neither written nor purged any more. */
  damage(): ReadonlyArray<Damage> {
    return [...this.index.damaged.values()]
  }

  damageOf(shard: number): Damage | undefined {
    return this.index.damaged.get(shard)
  }

  positions(): ReadonlyArray<StoredPosition> {
    const rows = this.database.prepare("SELECT consumer, shard, position FROM consumers").all()
    return rows.map((row) => ({
      consumer: String(row["consumer"]),
      shard: Number(row["shard"]),
      position: Number(row["position"])
    }))
  }

  /** Live records' bytes, with the overhead of their rows. */
  bytes(): number {
    return this.index.bytes
  }

  shards(): ReadonlyArray<number> {
    return this.index.list()
  }

  /** Writes a batch and consumers' positions in one transaction, and each record's outcome into the batch. */
  commit(batch: LogBatch, positions: ReadonlyArray<StoredPosition>): CommitResult {
    let ordinaryToo = this.space.hasRoom()
    for (let tries = 0; ; tries++) {
      try {
        const cause = this.write(batch, positions, ordinaryToo)
        return { cause, positionsStored: true, broken: false }
      } catch (error) {
        this.index.rollback()
        if (!isDiskFull(error) || !this.space.rolledBack()) {
          for (let i = 0; i < batch.count; i++) batch.setOutcome(i, Outcome.ambiguous, 0)
          return { cause: causeText(error), positionsStored: false, broken: true }
        }
        // With the reserve given up there may be room for what a full log must still take (†28).
        ordinaryToo = false
        if (this.space.makeRoom() || tries === 0) continue
        return { cause: this.refuse(batch), positionsStored: false, broken: false }
      }
    }
  }

  private write(batch: LogBatch, positions: ReadonlyArray<StoredPosition>, ordinaryToo: boolean): string {
    let open = false
    let cause = ""
    for (let i = 0; i < batch.count; i++) {
      const shard = batch.shard(i)
      const decided = this.decide(batch, i, ordinaryToo)
      if (decided === Outcome.ambiguous) cause = shardIsDamaged
      if (decided !== Outcome.committed) {
        batch.setOutcome(i, decided, this.index.last(shard))
        continue
      }
      if (!open) this.statements.begin.run()
      open = true
      const position = this.index.stage(shard, batch.length(i))
      const key = recordKey(shard, position)
      const bytes = batch.bytes(i)
      this.statements.insert.run(key, recordChecksum(key, bytes), bytes)
      batch.setOutcome(i, Outcome.committed, position)
    }
    if (!open) {
      this.storePositions(positions)
      return cause
    }
    this.writePositions(positions)
    this.statements.commit.run()
    this.index.commit()
    return cause
  }

  private decide(batch: LogBatch, i: number, ordinaryToo: boolean): number {
    const shard = batch.shard(i)
    if (this.index.damaged.has(shard)) return Outcome.ambiguous
    if (batch.expectedLast(i) !== this.index.last(shard)) return Outcome.wrongSequence
    if (batch.length(i) > this.options.recordBytesMax) return Outcome.tooLarge
    const bytes = this.index.bytesStaged() + batch.length(i) + rowOverheadBytes
    const reserved = batch.reserved(i)
    if (bytes > (reserved ? this.options.hardBytes : this.options.softBytes)) return Outcome.full
    return reserved || ordinaryToo ? Outcome.committed : Outcome.full
  }

  /** The disk took nothing: what would have been written is refused, for certain. */
  private refuse(batch: LogBatch): string {
    let cause = ""
    for (let i = 0; i < batch.count; i++) {
      const decided = this.decide(batch, i, true)
      if (decided === Outcome.ambiguous) cause = shardIsDamaged
      batch.setOutcome(i, decided === Outcome.committed ? Outcome.full : decided, this.index.last(batch.shard(i)))
    }
    return cause
  }

  private writePositions(positions: ReadonlyArray<StoredPosition>): void {
    for (const { consumer, shard, position } of positions) this.statements.position.run(consumer, shard, position)
  }

  /** Stores consumers' positions on their own, without an fsync: one that a crash takes back costs rework only. */
  storePositions(positions: ReadonlyArray<StoredPosition>): void {
    if (positions.length > 0) this.space.unsynced(() => this.writePositions(positions))
  }

  /**
   * One step of a purge up to and with `upTo`, never of the last record (†27): true while there is more to purge.
   * Positions go in with it, so that a crash never leaves a consumer before records that are gone.
   */
  purgeStep(shard: number, upTo: number, positions: ReadonlyArray<StoredPosition>): boolean {
    const first = this.index.first(shard)
    const end = Math.min(upTo, this.index.last(shard) - 1)
    if (end < first) {
      this.storePositions(positions)
      return false
    }
    const step = this.purgeExtent(shard, first, end)
    const remove = () => {
      this.writePositions(positions)
      this.statements.remove.run(recordKey(shard, first), recordKey(shard, step.to))
    }
    try {
      this.space.unsynced(remove)
    } catch (error) {
      if (!isDiskFull(error)) throw error
      this.space.makeRoom()
      this.space.unsynced(remove)
    }
    this.index.purged(shard, step.to + 1, step.bytes)
    if (step.to >= end && !this.space.hasRoom()) this.space.restore()
    return step.to < end
  }

  private purgeExtent(shard: number, from: number, end: number): { readonly to: number; readonly bytes: number } {
    let to = from - 1
    let bytes = 0
    for (const row of this.statements.lengths.iterate(recordKey(shard, from), recordKey(shard, end))) {
      to += 1
      bytes += Number(row["size"]) + rowOverheadBytes
      if (bytes >= purgeStepBytes) break
    }
    return { to, bytes }
  }

  /** Brings everything into the main file and closes it. */
  close(positions: ReadonlyArray<StoredPosition>): void {
    try {
      this.storePositions(positions)
      this.space.checkpoint()
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

const shardIsDamaged = "the shard is damaged"
