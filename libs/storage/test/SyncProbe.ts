/** Writes to the store named first and syncs as often as the second argument says; run under strace by StoreSync.test. */
import { Effect } from "effect"
import { Directory } from "../src/Directory.ts"
import { layer } from "../src/sqlite/SqliteStores.ts"
import { StoreSync } from "../src/StoreSync.ts"

const [file = "", times = "0"] = process.argv.slice(2)

await Effect.runPromise(
  Effect.gen(function* () {
    const directory = yield* Directory
    for (let i = 0; i < 20; i++) yield* directory.putUser({ user: `u${i}`, name: "n", createdAt: i })
    for (let i = 0; i < Number(times); i++) yield* (yield* StoreSync).sync
  }).pipe(Effect.provide(layer({ file })))
)
