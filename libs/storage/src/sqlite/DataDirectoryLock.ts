/**
 * Makes the embedded server's data directory and keeps it to one process. Node has no flock, so the lock is SQLite's own
 * on a database file: it goes with the process, kill -9 included, and needs no clearing up. The holder's pid lies in a
 * file beside it, for the message that the second server prints.
 *
 * Nothing else in this process may open the file `lock`: closing any descriptor of a file drops the process's locks on it.
 */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Schema, type Scope } from "effect"
import { DataDirectoryDamaged, DataDirectoryInUse, DataDirectoryUnusable } from "../DataDirectory.ts"
import { causeText, isBusy, isCorrupt, syncDirectory } from "./LogDatabase.ts"

/** What this version writes and reads. */
const format = 1
const markerFile = "parley.json"
const lockFile = "lock"
const pidFile = "lock.pid"

const Marker = Schema.fromJsonString(Schema.Struct({ format: Schema.Int }))
const decodeMarker = Schema.decodeUnknownEffect(Marker)

type Failure = DataDirectoryInUse | DataDirectoryDamaged | DataDirectoryUnusable

/** Holds the directory until the scope closes; makes it (mode 0700) and marks it where it is new. */
const acquire = (path: string): Effect.Effect<void, Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const directory = resolve(path)
    yield* attempt(directory, () => makeDirectory(directory))
    yield* Effect.acquireRelease(lock(directory), (held) => Effect.sync(() => unlock(directory, held)))
    yield* checkMarker(directory)
  })

const attempt = <A>(directory: string, body: () => A): Effect.Effect<A, DataDirectoryUnusable> =>
  Effect.try({
    try: body,
    catch: (error) => new DataDirectoryUnusable({ directory, what: causeText(error) })
  })

const makeDirectory = (directory: string): void => {
  if (mkdirSync(directory, { recursive: true, mode: 0o700 }) === undefined) return
  // The umask does not widen what holds people's messages, nor narrow it so that the server can't read it.
  chmodSync(directory, 0o700)
  syncDirectory(dirname(directory))
}

const lock = (directory: string): Effect.Effect<DatabaseSync, Failure> =>
  Effect.try({
    try: () => {
      const database = new DatabaseSync(join(directory, lockFile))
      try {
        database.exec("BEGIN EXCLUSIVE")
        writeFileSync(join(directory, pidFile), `${process.pid}\n`, { mode: 0o600 })
      } catch (error) {
        database.close()
        throw error
      }
      return database
    },
    catch: (error) => {
      if (isBusy(error)) return new DataDirectoryInUse({ directory, pid: holder(directory) })
      if (isCorrupt(error)) return new DataDirectoryDamaged({ directory, what: `${lockFile} is not what Parley wrote` })
      return new DataDirectoryUnusable({ directory, what: causeText(error) })
    }
  })

/** The holder's pid; 0 in the moment between its lock and its note. */
const holder = (directory: string): number => {
  try {
    const pid = Number.parseInt(readFileSync(join(directory, pidFile), "utf8"), 10)
    return Number.isSafeInteger(pid) ? pid : 0
  } catch {
    return 0
  }
}

const unlock = (directory: string, database: DatabaseSync): void => {
  rmSync(join(directory, pidFile), { force: true })
  database.close()
}

const checkMarker = Effect.fnUntraced(function* (directory: string) {
  const damaged = (what: string) => new DataDirectoryDamaged({ directory, what })
  const file = join(directory, markerFile)
  if (!existsSync(file)) {
    const names = yield* attempt(directory, () => readdirSync(directory))
    const data = names.find((name) => name.endsWith(".sqlite"))
    if (data !== undefined) return yield* damaged(`${data} is there, but ${markerFile} is missing`)
    return yield* attempt(directory, () => writeMarker(directory, file))
  }
  const text = yield* attempt(directory, () => readFileSync(file, "utf8"))
  const marker = yield* decodeMarker(text).pipe(Effect.mapError(() => damaged(`${markerFile} can't be understood`)))
  if (marker.format !== format) {
    return yield* damaged(`${markerFile} says format ${marker.format}, this version knows ${format}`)
  }
})

/** Under another name first: a marker is there whole or not at all. */
const writeMarker = (directory: string, file: string): void => {
  writeFileSync(`${file}.new`, `${JSON.stringify({ format })}\n`, { mode: 0o600, flush: true })
  renameSync(`${file}.new`, file)
  syncDirectory(directory)
}

export const DataDirectoryLock = { acquire }
