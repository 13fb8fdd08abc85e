/**
 * Opens the database file of the embedded log with the settings that DURABLE-BEFORE-ACK and the hot path ask for, and
 * tells SQLite's errors apart by what the log does about them. No Effect here: it runs in the log's worker.
 */
import { closeSync, fsyncSync, openSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync } from "node:sqlite"

/** "Prly": says whose file it is, to `file(1)` and to us. */
const applicationId = 0x50726c79
const format = 1
/** Pages the worker keeps in memory (KiB); larger transactions spill into the write-ahead file. */
const cacheKibMax = 16_384

/** How long opening waits for a holder that was killed and is not quite gone. */
const dyingHolderMsMax = 500

/** It is not a log of this format: nothing was changed. */
export class NotALog extends Error {}

const primaryCode = (error: unknown): number =>
  error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : 0

/** SQLITE_FULL: the disk is full; what was begun is rolled back, for certain. */
export const isDiskFull = (error: unknown): boolean => primaryCode(error) === 13
/** SQLITE_CORRUPT, SQLITE_NOTADB: the file's structure is not what SQLite wrote. */
export const isCorrupt = (error: unknown): boolean => primaryCode(error) === 11 || primaryCode(error) === 26
/** SQLITE_BUSY: another connection has it. */
export const isBusy = (error: unknown): boolean => primaryCode(error) === 5

export const causeText = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export type OpenDatabase = (file: string) => DatabaseSync

export const openLogDatabase = (
  file: string,
  synchronous: "FULL" | "NORMAL" | "OFF",
  open: OpenDatabase = (file) => new DatabaseSync(file, { timeout: dyingHolderMsMax })
): DatabaseSync => {
  const database = open(file)
  try {
    // Exclusive before WAL: one connection, so no shared memory and no locks to take for each transaction.
    database.exec("PRAGMA locking_mode = EXCLUSIVE")
    const known = pragma(database, "application_id")
    const version = pragma(database, "user_version")
    // A crash at the very first opening leaves a database without tables: it is begun again.
    const tables = Number(database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()?.["tables"])
    const fresh = known === 0 && version === 0 && tables === 0
    if (!fresh && known !== applicationId) throw new NotALog("it is a database, but not Parley's log")
    if (!fresh && version !== format) throw new NotALog(`it has format ${version}, this version knows ${format}`)
    // Incremental vacuum, so that a log that filled the disk can give space back to it.
    if (fresh) database.exec("PRAGMA auto_vacuum = INCREMENTAL")
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${synchronous};
      PRAGMA wal_autocheckpoint = 0;
      PRAGMA cache_size = -${cacheKibMax};
      PRAGMA cell_size_check = ON;
    `)
    if (fresh) createTables(database)
    checkTables(database)
    syncDirectory(dirname(file))
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

const pragma = (database: DatabaseSync, name: string): number =>
  Number(database.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0)

const createTables = (database: DatabaseSync): void =>
  database.exec(`
    BEGIN IMMEDIATE;
    CREATE TABLE records (id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE consumers (
      consumer TEXT NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (consumer, shard)
    ) STRICT, WITHOUT ROWID;
    PRAGMA application_id = ${applicationId};
    PRAGMA user_version = ${format};
    COMMIT;
  `)

const checkTables = (database: DatabaseSync): void => {
  const tables = database.prepare("SELECT name FROM sqlite_schema WHERE name IN ('records', 'consumers')").all()
  if (tables.length !== 2) throw new NotALog("its tables are missing")
}

/** SQLite does not sync the directory entry of a new database file: without it a power loss takes the whole log. */
export const syncDirectory = (directory: string): void => {
  const descriptor = openSync(directory, "r")
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
