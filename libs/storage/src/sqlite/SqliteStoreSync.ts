/**
 * `sync` in SQLite: what the writer's thread runs for StoreSync. Under NORMAL a commit only reaches the page cache. One
 * more commit under FULL makes SQLite fsync the WAL, and with it all frames before; older frames were synced, with the
 * database, by the checkpoint that moved them. So one small commit covers everything written so far, and waits for no
 * reader, as a checkpoint would. A test watches the fsync with strace where that is installed.
 *
 * After a failed fsync the kernel may have dropped the pages and call the next one a success. Nothing here can tell
 * then, so no sync succeeds again in this process: the log keeps its records, and the next start writes them anew
 * (WRITE-BEHIND-SAFE).
 */
import type { DatabaseSync } from "node:sqlite"
import { errorCode, inTransaction } from "./StoreFile.ts"

// SQLITE_IOERR, in the low byte of any of its extended codes.
const ioError = 10

export const syncWrites = (db: DatabaseSync) => {
  const mark = db.prepare("UPDATE sync_marker SET number = number + 1")
  let failed: string | undefined
  return {
    sync: (): void => {
      if (failed !== undefined) throw new Error(`an earlier sync failed (${failed}): restart the server`)
      db.exec("PRAGMA synchronous = FULL")
      try {
        inTransaction(db, "BEGIN IMMEDIATE", () => {
          mark.run()
        })
      } catch (error) {
        if ((errorCode(error) & 0xff) === ioError) failed = String(error)
        throw error
      } finally {
        db.exec("PRAGMA synchronous = NORMAL")
      }
    }
  }
}
