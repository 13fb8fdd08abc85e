/**
 * Where the log's bytes lie on the disk: the write-ahead file, the main file and the reserve. Checkpoints, and what is
 * done when the disk is full: the reserve is given up, the write-ahead file starts from its beginning, and once there is
 * room again, by purging or because somebody else made it, the reserve is taken back.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { DiskReserve } from "./DiskReserve.ts"
import { causeText, isDiskFull } from "./LogDatabase.ts"
import type { LogFileOptions } from "./LogWorkerMessages.ts"

/** While the disk is full, how often space is looked for. */
const restoreIntervalMs = 1_000
const vacuumStepPages = 64
const pageBytes = 4_096
/** A page in the write-ahead file, with its header. */
const frameBytes = pageBytes + 24

export class LogSpace {
  private readonly database: DatabaseSync
  private readonly options: LogFileOptions
  private readonly reserve: DiskReserve
  private readonly state: StatementSync
  private lastRestoreAt = Number.NEGATIVE_INFINITY

  /** Brings what the write-ahead file has into the main one. */
  constructor(database: DatabaseSync, options: LogFileOptions) {
    this.database = database
    this.options = options
    this.reserve = new DiskReserve(`${options.file}.reserve`, options.reserveBytes)
    this.state = database.prepare("PRAGMA wal_checkpoint(NOOP)")
    this.reserve.take()
    this.checkpoint()
  }

  /** Whether ordinary records may be written: the reserve is held, or can be had again now. */
  hasRoom(): boolean {
    if (this.reserve.held) return true
    return performance.now() - this.lastRestoreAt >= restoreIntervalMs && this.restore()
  }

  /** Bytes in the write-ahead file that are not in the main one yet. */
  walBytes(): number {
    const row = this.state.get()
    return (Number(row?.["log"]) - Number(row?.["checkpointed"])) * frameBytes
  }

  /**
   * Brings the write-ahead file into the main one, after which it is written from its beginning again. On a full disk it
   * takes the reserve; where that doesn't help it is tried again with the next one.
   */
  checkpoint(): void {
    if (!this.tryCheckpoint() && this.reserve.giveUp()) this.tryCheckpoint()
  }

  private tryCheckpoint(): boolean {
    try {
      this.database.exec("PRAGMA wal_checkpoint(PASSIVE)")
      return true
    } catch (error) {
      if (!isDiskFull(error)) throw error
      return false
    }
  }

  /** On a full disk: gives up the reserve (true if there was one) and starts the write-ahead file from its beginning. */
  makeRoom(): boolean {
    const gave = this.reserve.giveUp()
    this.tryCheckpoint()
    return gave
  }

  /** Tries to hold the reserve again, shrinking the main file by as much where it has free pages. */
  restore(): boolean {
    this.lastRestoreAt = performance.now()
    if (this.reserve.take()) return true
    try {
      // In small steps, each brought into the main file, because the write-ahead file can't grow now.
      for (let step = 0; step * vacuumStepPages * pageBytes < 2 * this.options.reserveBytes; step++) {
        if (Number(this.database.prepare("PRAGMA freelist_count").get()?.["freelist_count"]) === 0) break
        this.database.exec(`PRAGMA incremental_vacuum(${vacuumStepPages})`)
        this.tryCheckpoint()
      }
    } catch (error) {
      if (!isDiskFull(error) || !this.rolledBack()) throw error
    }
    return this.reserve.take()
  }

  /** A transaction without an fsync: the next synced one carries it to the disk. */
  unsynced(body: () => void): void {
    const { synchronous } = this.options
    if (synchronous === "FULL") this.database.exec("PRAGMA synchronous = NORMAL")
    try {
      this.database.exec("BEGIN IMMEDIATE")
      body()
      this.database.exec("COMMIT")
    } catch (error) {
      if (!this.rolledBack()) {
        throw new Error(`a transaction failed and could not be rolled back: ${causeText(error)}`, { cause: error })
      }
      throw error
    } finally {
      if (synchronous === "FULL") this.database.exec("PRAGMA synchronous = FULL")
    }
  }

  /** Whether nothing is open any more: SQLite rolls some failures back by itself. */
  rolledBack(): boolean {
    try {
      if (this.database.isTransaction) this.database.exec("ROLLBACK")
      return !this.database.isTransaction
    } catch {
      return false
    }
  }
}
