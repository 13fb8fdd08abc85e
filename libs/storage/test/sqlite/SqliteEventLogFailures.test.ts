import { spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { DatabaseSync } from "node:sqlite"
import { Worker } from "node:worker_threads"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { type AppendOutcome, type EventLog, LogUnavailable } from "../../src/EventLog.ts"
import { spawnLogWorker } from "../../src/sqlite/LogWorkerClient.ts"
import type { LogReply } from "../../src/sqlite/LogWorkerMessages.ts"
import { SqliteEventLog, type SqliteEventLogOptions } from "../../src/sqlite/SqliteEventLog.ts"
import { append, commit, text } from "../EventLogContract.ts"
import { recordOf } from "./killedWriter.ts"
import { temporaryDirectory } from "./LogDirectory.ts"
import { reserveBytesForTests } from "./reserveBytesForTests.ts"

const optionsFor = (directory: string): SqliteEventLogOptions => ({
  file: join(directory, "log.sqlite"),
  softBytes: 100_000_000,
  hardBytes: 110_000_000,
  reserveBytes: reserveBytesForTests
})

/** Waits until the log answers again after it lost its worker. */
const untilOpen = (log: EventLog["Service"]): Effect.Effect<void> =>
  log.usage.pipe(
    Effect.asVoid,
    Effect.catch(() => Effect.suspend(() => untilOpen(log)).pipe(Effect.delay("10 millis")))
  )

describe("a lost worker", () => {
  it.live("†21 leaves what it had ambiguous; written or not, the log that is opened anew knows", () => {
    const options = optionsFor(temporaryDirectory())
    return Effect.scoped(
      Effect.gen(function* () {
        const workers: Array<Worker> = []
        const log = yield* SqliteEventLog.make(options, (options) => {
          const worker = spawnLogWorker(options)
          workers.push(worker)
          if (workers.length === 1) losesItsAnswers(worker)
          if (workers.length === 2) losesItsQuestions(worker)
          return worker
        })
        const first = yield* append(log, 1, 0, "written")
        assert.strictEqual(first._tag, "Ambiguous")
        yield* untilOpen(log)
        assert.deepStrictEqual(Option.map(yield* log.last(1), text), Option.some("written"))

        yield* log.setConsumerPosition("persister", 1, 1)
        const second = yield* append(log, 1, 1, "not written")
        assert.strictEqual(second._tag, "Ambiguous")
        yield* untilOpen(log)
        assert.deepStrictEqual(Option.map(yield* log.last(1), text), Option.some("written"))
        assert.deepStrictEqual(yield* append(log, 1, 0, "written"), { _tag: "WrongSequence", actual: 1 })
        assert.strictEqual(yield* commit(log, 1, 1, "not written"), 2)
        assert.lengthOf(workers, 3)
      })
    ).pipe(
      Effect.andThen(Effect.scoped(SqliteEventLog.make(options))),
      Effect.flatMap((log) => log.consumerPosition("persister", 1)),
      // The batch that was lost had it with it.
      Effect.map((position) => assert.strictEqual(position, 1))
    )
  })

  it.live("†21 a failed fsync leaves the batch ambiguous, and the file is opened anew before it takes more", () =>
    Effect.scoped(
      Effect.gen(function* () {
        let workers = 0
        const log = yield* SqliteEventLog.make(optionsFor(temporaryDirectory()), (options) =>
          ++workers === 1
            ? new Worker(new URL("./failingLogWorker.ts", import.meta.url), { workerData: options })
            : spawnLogWorker(options)
        )
        assert.deepStrictEqual(yield* append(log, 1, 0, "a"), { _tag: "Ambiguous", cause: "disk I/O error" })
        assert.deepStrictEqual(yield* append(log, 1, 0, "a"), { _tag: "WrongSequence", actual: 1 })
        assert.strictEqual(workers, 2)
        assert.deepStrictEqual(Option.map(yield* log.read(1, 1), text), Option.some("a"))
      })
    )
  )

  it.live("lets appends wait, unsealed, and fails reads, until the log is open again", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const workers: Array<Worker> = []
        const log = yield* SqliteEventLog.make(optionsFor(temporaryDirectory()), (options) => {
          const worker = spawnLogWorker(options)
          workers.push(worker)
          return worker
        })
        yield* log.setConsumerPosition("persister", 1, 4)
        yield* Effect.promise(() => workers[0]?.terminate() ?? Promise.resolve(0))
        const down = yield* Effect.flip(log.last(1))
        assert.instanceOf(down, LogUnavailable)
        let sealedWith = 0
        const outcome = yield* Effect.callback<AppendOutcome>((resume) =>
          log.append({
            shard: 1,
            expectedLast: 0,
            seal: () => Buffer.from(`sealed by worker ${(sealedWith = workers.length)}`),
            reserved: false,
            settle: (outcome) => resume(Effect.succeed(outcome))
          })
        )
        assert.deepStrictEqual(outcome, { _tag: "Committed", position: 1 })
        assert.strictEqual(sealedWith, 2)
        assert.strictEqual(yield* log.consumerPosition("persister", 1), 4)
      })
    )
  )

  it.live("settles what comes after closing, and what was queued before is committed", () =>
    Effect.gen(function* () {
      const options = optionsFor(temporaryDirectory())
      const outcomes: Array<AppendOutcome> = []
      const log = yield* Effect.scoped(
        Effect.tap(SqliteEventLog.make(options), (log) =>
          Effect.sync(() =>
            log.append({
              shard: 1,
              expectedLast: 0,
              seal: () => Buffer.from("queued"),
              reserved: false,
              settle: (outcome) => outcomes.push(outcome)
            })
          )
        )
      )
      assert.deepStrictEqual(outcomes, [{ _tag: "Committed", position: 1 }])
      assert.strictEqual((yield* append(log, 1, 1, "late"))._tag, "Ambiguous")
      assert.instanceOf(yield* Effect.flip(log.usage), LogUnavailable)
    })
  )
})

/** The worker commits, and dies before its answer arrives. */
const losesItsAnswers = (worker: Worker): void => {
  const emit = worker.emit.bind(worker)
  worker.emit = (event: string | symbol, ...values: Array<unknown>) => {
    // Only SqliteLogWorker sends.
    const reply = values[0] as LogReply | undefined
    if (event !== "message" || reply?._tag !== "BatchDone") return Reflect.apply(emit, worker, [event, ...values])
    void worker.terminate()
    return true
  }
}

/** The worker dies before a batch reaches it. */
const losesItsQuestions = (worker: Worker): void => {
  const post = worker.postMessage.bind(worker)
  worker.postMessage = (message: { readonly _tag: string }, transfer) => {
    if (message._tag === "Batch") void worker.terminate()
    else Reflect.apply(post, worker, [message, transfer])
  }
}

describe("opening", () => {
  const failure = (options: SqliteEventLogOptions) => Effect.flip(Effect.scoped(SqliteEventLog.make(options)))

  it.live("a second time while it is open fails, and does not disturb the first", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const options = optionsFor(temporaryDirectory())
        const log = yield* SqliteEventLog.make(options)
        yield* commit(log, 1, 0, "a")
        const second = yield* failure(options)
        assert.instanceOf(second, LogUnavailable)
        assert.include(String(second.cause), "another process has it open")
        yield* commit(log, 1, 1, "b")
      })
    )
  )

  const damaged: Record<string, (file: string) => void> = {
    "whose header is garbage": (file) => writeFileSync(file, Buffer.alloc(8_192, 0x5a)),
    "that was cut short": (file) => truncateSync(file, 12_288),
    "of a later format": (file) => changeDatabase(file, "PRAGMA user_version = 2"),
    "that belongs to something else": (file) => changeDatabase(file, "PRAGMA application_id = 1"),
    "whose tables are gone": (file) => changeDatabase(file, "DROP TABLE records")
  }
  for (const [what, damage] of Object.entries(damaged)) {
    it.live(`a file ${what} says that the data directory is damaged, and changes nothing`, () =>
      Effect.gen(function* () {
        const options = optionsFor(temporaryDirectory())
        yield* Effect.scoped(
          Effect.flatMap(SqliteEventLog.make(options), (log) => commit(log, 1, 0, new Uint8Array(50_000)))
        )
        damage(options.file)
        const before = readFileSync(options.file)
        const error = yield* failure(options)
        assert.strictEqual(error._tag, "DataDirectoryDamaged")
        assert.include(error.message, "log.sqlite")
        assert.isTrue(readFileSync(options.file).equals(before))
      })
    )
  }
})

describe("a damaged shard", () => {
  it.live("†24 is neither read, written nor purged, and the others go on", () =>
    Effect.gen(function* () {
      const options = optionsFor(temporaryDirectory())
      yield* Effect.scoped(
        Effect.gen(function* () {
          const log = yield* SqliteEventLog.make(options)
          yield* commit(log, 1, yield* commit(log, 1, 0, "a"), "b")
          yield* commit(log, 2, 0, "x")
        })
      )
      changeDatabase(options.file, "UPDATE records SET bytes = x'00' WHERE bytes = CAST('b' AS BLOB)")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const log = yield* SqliteEventLog.make(options)
          const error = yield* Effect.flip(log.last(1))
          assert.deepInclude(error, { _tag: "LogDamaged", shard: 1, position: 2 })
          assert.strictEqual((yield* Effect.flip(log.purge(1, 1)))._tag, "LogUnavailable")
          assert.strictEqual((yield* append(log, 1, 2, "c"))._tag, "Ambiguous")
          assert.lengthOf(yield* log.readAfter(1, 0, 1_000), 1)
          yield* commit(log, 2, 1, "y")
        })
      )
    })
  )
})

const changeDatabase = (file: string, sql: string): void => {
  const database = new DatabaseSync(file)
  database.exec(sql)
  database.close()
}

describe("kill -9", () => {
  it.live("DURABLE-BEFORE-ACK: loses no record that was acknowledged, however often it strikes", () =>
    Effect.gen(function* () {
      const options = optionsFor(temporaryDirectory())
      const acknowledged = new Map<number, number>()
      for (let round = 1; round <= 3; round++) {
        yield* Effect.promise(() => runUntilKilled(options.file, acknowledged, round * 400))
        yield* Effect.scoped(
          Effect.gen(function* () {
            const log = yield* SqliteEventLog.make(options)
            for (const [shard, last] of acknowledged) yield* expectAll(log, shard, last)
          })
        )
      }
    })
  )
})

/** Starts the writer, kills it once `count` records are acknowledged in all, notes the last one of each shard. */
const runUntilKilled = async (file: string, acknowledged: Map<number, number>, count: number): Promise<void> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, "killedWriter.ts"), file], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const exited = once(child, "exit")
  let total = [...acknowledged.values()].reduce((sum, last) => sum + last, 0)
  for await (const line of createInterface({ input: child.stdout })) {
    const [shard = 0, position = 0] = line.split(" ").map(Number)
    total += position - (acknowledged.get(shard) ?? 0)
    acknowledged.set(shard, position)
    if (total >= count) child.kill("SIGKILL")
  }
  // Its output ends a moment before it lets go of the file.
  const [, signal] = await exited
  assert.strictEqual(signal, "SIGKILL")
  assert.isAtLeast(total, count)
}

const expectAll = Effect.fnUntraced(function* (log: EventLog["Service"], shard: number, last: number) {
  let next = 1
  while (next <= last) {
    const records = yield* log.readAfter(shard, next - 1, 1_000_000)
    assert.isNotEmpty(records)
    for (const record of records) {
      assert.strictEqual(record.position, next)
      assert.isTrue(Buffer.from(record.bytes).equals(recordOf(shard, next)), `${shard}/${next}`)
      next += 1
    }
  }
})
