/**
 * `parley doctor`: looks at the machine and at a data directory, and says what is wrong. It reads the whole log (every
 * record's checksum, number and predecessor) and asks the store to check itself; it changes nothing that counts.
 */
import { existsSync, statfsSync } from "node:fs"
import { join, resolve } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { Effect, Exit, Cause, Result } from "effect"
import { decodeRecord } from "@parley/actors/log/Record"
import { EventLog } from "@parley/storage/EventLog"
import { DataDirectoryLock } from "@parley/storage/sqlite/DataDirectoryLock"
import { SqliteEventLog } from "@parley/storage/sqlite/SqliteEventLog"
import { parseFlags, unknownFlag } from "./Flags.ts"

/** Less room than this on the disk is worth a word. */
const freeBytesMin = 1024 ** 3
const readBytes = 4 * 1024 * 1024
const large = 2 ** 52

interface Finding {
  readonly ok: boolean
  readonly what: string
}

const machine = (): ReadonlyArray<Finding> => [
  {
    ok: Number(process.versions.node.split(".")[0]) >= 24,
    what: `Node ${process.version} on ${process.platform} ${process.arch}`
  }
]

const disk = (directory: string): Finding => {
  const { bavail, bsize } = statfsSync(directory)
  const free = bavail * bsize
  return { ok: free >= freeBytesMin, what: `${(free / 1024 ** 3).toFixed(1)} GiB free on the disk of ${directory}` }
}

/** Follows one shard's chain of records. */
const checkShard = Effect.fnUntraced(function* (shard: number) {
  const log = yield* EventLog
  let after = 0
  let records = 0
  let entries = 0
  let previous: { readonly number: number; readonly hash: string } | undefined
  while (true) {
    const chunk = yield* log.readAfter(shard, after, readBytes)
    for (const { bytes, position } of chunk) {
      const decoded = decodeRecord(bytes)
      if (Result.isFailure(decoded))
        return { ok: false, what: `shard ${shard}, record at ${position}: ${decoded.failure.what}` }
      const record = decoded.success
      if (previous !== undefined && (record.number !== previous.number + 1 || record.previous !== previous.hash)) {
        return { ok: false, what: `shard ${shard}, record at ${position} does not follow the one before it` }
      }
      previous = record
      after = position
      records++
      entries += record.entries.length
    }
    if (chunk.length === 0)
      return { ok: true, what: `shard ${shard}: ${records} records with ${entries} events, whole` }
  }
})

const checkLog = (directory: string) =>
  Effect.gen(function* () {
    yield* DataDirectoryLock.acquire(directory)
    const findings: Array<Finding> = []
    const check = Effect.gen(function* () {
      const log = yield* EventLog
      for (const shard of yield* log.shards) findings.push(yield* checkShard(shard))
    })
    yield* check.pipe(
      Effect.provide(
        SqliteEventLog.layer({ file: join(directory, "log.sqlite"), softBytes: large, hardBytes: large * 2 })
      )
    )
    return findings
  }).pipe(Effect.scoped)

const checkStore = (directory: string): Finding => {
  const database = new DatabaseSync(join(directory, "store.sqlite"), { readOnly: true })
  try {
    const rows = database.prepare("PRAGMA quick_check(1)").all()
    const answer = String(rows[0]?.["quick_check"])
    return { ok: answer === "ok", what: `store: ${answer}` }
  } catch (error) {
    return { ok: false, what: `store: ${error instanceof Error ? error.message : String(error)}` }
  } finally {
    database.close()
  }
}

const data = async (directory: string): Promise<ReadonlyArray<Finding>> => {
  if (!existsSync(directory)) return [{ ok: true, what: `${directory} does not exist yet; parley serve makes it` }]
  if (!existsSync(join(directory, "parley.json")))
    return [disk(directory), { ok: false, what: `${directory} is no data directory of Parley` }]
  const exit = await Effect.runPromiseExit(checkLog(directory))
  if (Exit.isFailure(exit)) {
    const failure = Cause.squash(exit.cause)
    return [disk(directory), { ok: false, what: failure instanceof Error ? failure.message : String(failure) }]
  }
  return [
    disk(directory),
    ...exit.value,
    ...(existsSync(join(directory, "store.sqlite")) ? [checkStore(directory)] : [])
  ]
}

export const doctor = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const wrong = rest[0] === undefined ? unknownFlag(flags, ["data"]) : `unexpected ${rest[0]}`
  if (wrong !== undefined) {
    process.stderr.write(`parley doctor: ${wrong}\n`)
    return 2
  }
  const findings = [...machine(), ...(await data(resolve(flags["data"] ?? "data")))]
  for (const { ok, what } of findings) process.stdout.write(`${ok ? "ok    " : "WRONG "} ${what}\n`)
  return findings.every((finding) => finding.ok) ? 0 : 1
}
