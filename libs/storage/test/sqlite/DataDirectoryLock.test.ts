import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { DataDirectoryLock } from "../../src/sqlite/DataDirectoryLock.ts"
import { temporaryDirectory } from "./LogDirectory.ts"

const open = (directory: string) => Effect.scoped(DataDirectoryLock.acquire(directory))

/** A directory that was in use and was closed in order. */
const usedBefore = Effect.fnUntraced(function* () {
  const directory = join(temporaryDirectory(), "data")
  yield* open(directory)
  return directory
})

describe("the data directory", () => {
  it.effect("is made with its parents, closed to others, and marked with its format", () =>
    Effect.gen(function* () {
      const directory = join(temporaryDirectory(), "a", "data")
      yield* open(directory)
      assert.strictEqual(statSync(directory).mode & 0o777, 0o700)
      assert.deepStrictEqual(JSON.parse(readFileSync(join(directory, "parley.json"), "utf8")), { format: 1 })
      yield* open(directory)
    })
  )

  it.effect("is held by one server at a time, and the second is told whose it is", () =>
    Effect.gen(function* () {
      const directory = yield* usedBefore()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* DataDirectoryLock.acquire(directory)
          const error = yield* Effect.flip(open(directory))
          assert.strictEqual(error._tag, "DataDirectoryInUse")
          assert.include(error.message, String(process.pid))
          const again = yield* Effect.flip(open(directory))
          assert.strictEqual(again._tag, "DataDirectoryInUse")
        })
      )
      yield* open(directory)
    })
  )

  it.live("is free as soon as its holder is killed", () =>
    Effect.gen(function* () {
      const directory = yield* usedBefore()
      const child = spawn(process.execPath, [join(import.meta.dirname, "lockHolder.ts"), directory], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      yield* Effect.promise(() => once(child.stdout, "data"))
      const error = yield* Effect.flip(open(directory))
      assert.strictEqual(error._tag === "DataDirectoryInUse" && error.pid, child.pid)
      child.kill("SIGKILL")
      yield* Effect.promise(() => once(child, "exit"))
      yield* open(directory)
    })
  )

  it.effect("of an unknown format is refused, and left as it is", () =>
    Effect.gen(function* () {
      for (const text of ['{"format":2}', '{"format":"1"}', "{", ""]) {
        const directory = yield* usedBefore()
        writeFileSync(join(directory, "parley.json"), text)
        const error = yield* Effect.flip(open(directory))
        assert.strictEqual(error._tag, "DataDirectoryDamaged")
        assert.include(error.message, "parley.json")
        assert.strictEqual(readFileSync(join(directory, "parley.json"), "utf8"), text)
      }
    })
  )

  it.effect("with data but without a marker is refused: it is not begun anew over what is there", () =>
    Effect.gen(function* () {
      const directory = yield* usedBefore()
      writeFileSync(join(directory, "log.sqlite"), "")
      rmSync(join(directory, "parley.json"))
      const error = yield* Effect.flip(open(directory))
      assert.strictEqual(error._tag, "DataDirectoryDamaged")
      assert.isFalse(existsSync(join(directory, "parley.json")))
    })
  )

  it.effect("whose lock file is garbage is damaged", () =>
    Effect.gen(function* () {
      const directory = yield* usedBefore()
      writeFileSync(join(directory, "lock"), Buffer.alloc(4_096, 0x5a))
      const error = yield* Effect.flip(open(directory))
      assert.strictEqual(error._tag, "DataDirectoryDamaged")
    })
  )

  it.effect("that can't be made says why", () =>
    Effect.gen(function* () {
      const file = join(temporaryDirectory(), "file")
      writeFileSync(file, "")
      const error = yield* Effect.flip(open(join(file, "data")))
      assert.strictEqual(error._tag, "DataDirectoryUnusable")
      assert.include(error.message, "ENOTDIR")
    })
  )

  it.effect("that was there already keeps its mode", () =>
    Effect.gen(function* () {
      const directory = temporaryDirectory()
      chmodSync(directory, 0o750)
      yield* open(directory)
      assert.strictEqual(statSync(directory).mode & 0o777, 0o750)
    })
  )
})
