import { join } from "node:path"
import { recordBytesMax, SqliteEventLog } from "../../src/sqlite/SqliteEventLog.ts"
import { eventLogContract } from "../EventLogContract.ts"
import { temporaryDirectory } from "./LogDirectory.ts"
import { reserveBytesForTests } from "./reserveBytesForTests.ts"

eventLogContract(
  "the SQLite log",
  (bounds) =>
    SqliteEventLog.layer({
      file: join(temporaryDirectory(), "log.sqlite"),
      ...bounds,
      reserveBytes: reserveBytesForTests
    }),
  { persistent: true, keepsOwn: true, recordBytesMax }
)
