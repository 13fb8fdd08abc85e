/**
 * The embedded log: SQLite in a file of its own, all shards in one group commit, one worker thread. A record is on
 * stable storage before it settles (DURABLE-BEFORE-ACK); positions are 1, 2, 3 … a shard and go on after a purge.
 * What the bytes mean is not looked at, but each row has a checksum, and what fails it is never served.
 */
import { dirname } from "node:path"
import { Effect, Layer, Option, type Scope } from "effect"
import { DataDirectoryDamaged } from "../DataDirectory.ts"
import { type Append, EventLog, LogDamaged, type LogPosition, type LogRecord, LogUnavailable } from "../EventLog.ts"
import { batchBytesMax } from "./CommitQueue.ts"
import { LogWorkerClient, type SpawnLogWorker } from "./LogWorkerClient.ts"
import type { LogAnswer, LogAsk } from "./LogWorkerMessages.ts"
import { RecentRecords } from "./RecentRecords.ts"
import { isShard, shardsMax } from "./RecordRow.ts"

/** The largest record this backend takes. */
export const recordBytesMax = batchBytesMax
/** A checkpoint of so much takes about as long as a commit window here; twice as much shows in the acks. */
const walBytesMax = 2_097_152
/** More than the write-ahead file grows to: its bound, one batch, and the pages around them. */
const reserveBytes = 16_777_216

export interface SqliteEventLogOptions {
  readonly file: string
  /** Ordinary records are refused beyond this, in bytes of live records. */
  readonly softBytes: number
  /** Epoch records and checkpoints are refused beyond this (†28). */
  readonly hardBytes: number
  /** Least time between two commits under load. */
  readonly commitWindowMs?: number
  /** Anything but FULL loses acknowledged records when the power goes; for tests. */
  readonly synchronous?: "FULL" | "NORMAL" | "OFF"
  readonly recordBytesMax?: number
  readonly walBytesMax?: number
  /** Disk space held back so that a full disk can be purged out of. */
  readonly reserveBytes?: number
}

const make = (
  options: SqliteEventLogOptions,
  spawn?: SpawnLogWorker
): Effect.Effect<EventLog["Service"], DataDirectoryDamaged | LogUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const client = new LogWorkerClient(
      {
        file: options.file,
        softBytes: options.softBytes,
        hardBytes: options.hardBytes,
        synchronous: options.synchronous ?? "FULL",
        recordBytesMax: Math.min(options.recordBytesMax ?? recordBytesMax, recordBytesMax),
        walBytesMax: options.walBytesMax ?? walBytesMax,
        reserveBytes: options.reserveBytes ?? reserveBytes
      },
      options.commitWindowMs ?? 3,
      (what) => runFork(Effect.logError("The log failed").pipe(Effect.annotateLogs({ file: options.file, what }))),
      spawn
    )
    yield* Effect.acquireRelease(open(client, options.file), () => Effect.promise(() => client.close()))
    return serve(client, options)
  })

const open = Effect.fnUntraced(function* (client: LogWorkerClient, file: string) {
  const opening = yield* Effect.promise(() => client.start())
  if (opening._tag === "NotOpened") {
    return yield* opening.damaged
      ? new DataDirectoryDamaged({ directory: dirname(file), what: `${file}: ${opening.what}` })
      : new LogUnavailable({ cause: `${file}: ${opening.what}` })
  }
  for (const damage of opening.damage) {
    yield* Effect.logError("A shard of the log is damaged and not written any more").pipe(
      Effect.annotateLogs({ ...damage })
    )
  }
  if (opening.diskFull) yield* Effect.logWarning("The disk is full: the log takes no messages until it has room")
})

const serve = (client: LogWorkerClient, options: SqliteEventLogOptions): EventLog["Service"] => {
  const ask = (question: LogAsk): Effect.Effect<LogAnswer, LogUnavailable | LogDamaged> =>
    Effect.callback((resume) => {
      const forget = client.ask(question, (answer) => {
        if (answer._tag === "Failed") resume(Effect.fail(new LogUnavailable({ cause: answer.cause })))
        else if (answer._tag === "Damaged") resume(Effect.fail(new LogDamaged(answer.damage)))
        else resume(Effect.succeed(answer))
      })
      return Effect.sync(forget)
    })
  const records = (question: LogAsk) => ask(question).pipe(Effect.map((answer) => recordsOf(answer)))
  /** For questions that look at no record: damage is not among their answers. */
  const askPlain = (question: LogAsk) =>
    ask(question).pipe(Effect.catchTag("LogDamaged", (damage) => Effect.fail(new LogUnavailable({ cause: damage }))))

  const recent = new RecentRecords()
  const known = new Map<number, LogPosition>()
  const knows = (shard: number, position: LogPosition): void => {
    if (position > (known.get(shard) ?? 0)) known.set(shard, position)
  }
  const consumers = new Set<string>()
  const position = (consumer: string, shard: number): number => {
    consumers.add(consumer)
    return client.positions.get(consumer, shard)
  }

  const purge = (shard: number, upTo: number) =>
    Effect.suspend(() => {
      recent.drop(shard, upTo)
      return askPlain({ _tag: "Purge", shard, upTo, positions: client.positions.handOver() })
    }).pipe(Effect.asVoid)

  return EventLog.of({
    append: (append: Append) => {
      if (!isShard(append.shard)) throw new RangeError(`shard ${append.shard} is not one of 0 to ${shardsMax - 1}`)
      client.append(remembering(append, recent, knows))
    },
    hurry: () => client.hurry(),
    last: (shard) =>
      records({ _tag: "Last", shard }).pipe(
        Effect.map(([last]) => {
          if (last !== undefined) knows(shard, last.position)
          return Option.fromUndefinedOr(last)
        })
      ),
    read: (shard, position) => records({ _tag: "Read", shard, position }).pipe(Effect.map(first)),
    readAfter: (shard, after, bytesMax) => records({ _tag: "ReadAfter", shard, after, bytesMax }),
    own: (shard, after, bytesMax) => recent.readAfter(shard, after, bytesMax),
    purge,
    // An index finds a shard's records.
    spare: purge,
    known: (shard) => known.get(shard) ?? 0,
    newest: () => 0,
    usage: askPlain({ _tag: "Usage" }).pipe(
      Effect.map((answer) => ({
        bytes: answer._tag === "Usage" ? answer.bytes : 0,
        softBytes: options.softBytes,
        hardBytes: options.hardBytes
      }))
    ),
    shards: askPlain({ _tag: "Shards" }).pipe(Effect.map((answer) => (answer._tag === "Shards" ? answer.shards : []))),
    consumerPosition: (consumer, shard) => Effect.sync(() => position(consumer, shard)),
    setConsumerPosition: (consumer, shard, upTo) =>
      Effect.sync(() => {
        client.advance(consumer, shard, upTo)
        let lowest = position(consumer, shard)
        for (const other of consumers) lowest = Math.min(lowest, position(other, shard))
        recent.drop(shard, lowest)
      })
  })
}

/** Keeps what was committed for the consumers that follow; after an outcome in doubt only the file knows. */
const remembering = (
  append: Append,
  recent: RecentRecords,
  knows: (shard: number, position: LogPosition) => void
): Append => {
  const { shard } = append
  let size = 0
  let content: unknown
  return {
    shard,
    expectedLast: append.expectedLast,
    reserved: append.reserved,
    seal: () => {
      const bytes = append.seal()
      size = bytes.length
      content = append.content?.()
      return bytes
    },
    settle: (outcome) => {
      if (outcome._tag === "Ambiguous") recent.forget(shard)
      else if (outcome._tag === "Committed") {
        knows(shard, outcome.position)
        if (content === undefined) recent.forget(shard)
        else recent.committed(shard, { position: outcome.position, size, content })
      }
      append.settle(outcome)
    }
  }
}

const recordsOf = (answer: LogAnswer): ReadonlyArray<LogRecord> => (answer._tag === "Records" ? answer.records : [])

const first = (records: ReadonlyArray<LogRecord>): Option.Option<LogRecord> => Option.fromUndefinedOr(records[0])

export const SqliteEventLog = {
  /** As a scoped effect, for tests that start the worker themselves. */
  make,
  layer: (options: SqliteEventLogOptions): Layer.Layer<EventLog, DataDirectoryDamaged | LogUnavailable> =>
    Layer.effect(EventLog, make(options))
}
