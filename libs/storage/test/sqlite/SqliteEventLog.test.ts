import { join } from "node:path"
import { recordBytesMax, SqliteEventLog } from "../../src/sqlite/SqliteEventLog.ts"
import { eventLogContract } from "../EventLogContract.ts"
import { reserveBytesForTests, temporaryDirectory } from "./LogDirectory.ts"

eventLogContract(
  "the SQLite log",
  (bounds) =>
    SqliteEventLog.layer({
      file: join(temporaryDirectory(), "log.sqlite"),
      ...bounds,
      reserveBytes: reserveBytesForTests
    }),
  { persistent: true, recordBytesMax }
)
