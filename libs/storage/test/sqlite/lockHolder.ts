/** Takes a data directory, says so, and holds it until it is killed. */
import { writeSync } from "node:fs"
import { Effect } from "effect"
import { DataDirectoryLock } from "../../src/sqlite/DataDirectoryLock.ts"

await Effect.runPromise(
  Effect.scoped(
    Effect.gen(function* () {
      yield* DataDirectoryLock.acquire(process.argv[2] ?? "")
      writeSync(1, "held\n")
      // The process lives as long as the timer.
      return yield* Effect.sleep("1 minute")
    })
  )
)
