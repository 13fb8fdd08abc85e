/** The log's worker on a disk whose first fsync fails after the bytes are written: its COMMIT throws, once. */
import { DatabaseSync } from "node:sqlite"

const prepare = DatabaseSync.prototype.prepare
let failed = false

DatabaseSync.prototype.prepare = function (sql, options) {
  const statement = Reflect.apply(prepare, this, [sql, options])
  if (sql !== "COMMIT") return statement
  const run = statement.run.bind(statement)
  statement.run = () => {
    const changes = run()
    if (failed) return changes
    failed = true
    // SQLITE_IOERR_FSYNC
    throw Object.assign(new Error("disk I/O error"), { errcode: 1034 })
  }
  return statement
}

await import("../../src/sqlite/SqliteLogWorker.ts")
