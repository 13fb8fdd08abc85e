/**
 * A consumer of the log: reads each shard's records in order behind the commit, hands their entries to `apply`, and
 * moves its own durable position only after that is done (WRITE-BEHIND-SAFE). Positions are the consumer's, the log is
 * cut below the lowest. A failing `apply` is tried again with growing waits; nothing is skipped.
 */
import { Effect, Schedule } from "effect"
import { EventLog, type LogPosition } from "@parley/storage/EventLog"
import type { Entry } from "../log/Entry.ts"
import { decodeRecord } from "../log/Record.ts"
import { CommitSignal } from "./CommitSignal.ts"

/** Bytes of records taken in one step, which bounds a batch and what is in memory. */
export const consumerBytesMax = 1_048_576
/** Time between two rounds while events are few, and while they are many: then larger batches are worth the wait. */
export const consumerGatherMs = 50
export const consumerGatherBusyMs = 400
/** Entries in one round that are many. */
const busyEntries = 512
/** A shard is looked at this often without a signal. */
export const consumerPollMs = 2_000
const retryMsMin = 100
const retryMsMax = 5_000
/** Shards worked on at the same time. */
const shardsAtOnce = 4

export interface ConsumedEntry {
  readonly entry: Entry
  readonly position: LogPosition
}

export interface ConsumerOptions<E> {
  readonly name: string
  readonly shardCount: number
  readonly apply: (shard: number, entries: ReadonlyArray<ConsumedEntry>) => Effect.Effect<void, E>
  /** Makes durable what `apply` wrote; the positions move only after it. One call for all shards of a round. */
  readonly sync?: Effect.Effect<void, E>
  /** Told after the position moved. */
  readonly moved?: (shard: number, position: LogPosition) => void
  /** The consumer may not go beyond this position now (another consumer goes first); undefined: as far as the log goes. */
  readonly limit?: (shard: number) => LogPosition | undefined
}

/** Runs until its scope closes. */
export const runConsumer = <E>(options: ConsumerOptions<E>) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const signal = yield* CommitSignal
    const dirty = new Set<number>()
    let done = 0
    const positions = new Map<number, LogPosition>()
    yield* Effect.acquireRelease(
      Effect.sync(() => signal.onCommitted((shard) => dirty.add(shard))),
      (unsubscribe) => Effect.sync(unsubscribe)
    )

    /** Takes the shard's next records; answers up to where, undefined where there are none. */
    const step = Effect.fnUntraced(function* (shard: number) {
      const after = positions.get(shard) ?? (yield* log.consumerPosition(options.name, shard))
      positions.set(shard, after)
      const limit = options.limit?.(shard)
      const records = (yield* log.readAfter(shard, after, consumerBytesMax)).filter(
        (record) => limit === undefined || record.position <= limit
      )
      const last = records.at(-1)
      if (last === undefined) return undefined
      const entries: Array<ConsumedEntry> = []
      for (const record of records) {
        const decoded = yield* Effect.fromResult(decodeRecord(record.bytes))
        for (const entry of decoded.entries) entries.push({ entry, position: record.position })
      }
      if (entries.length > 0) yield* options.apply(shard, entries)
      done += entries.length
      return { shard, position: last.position }
    })

    const persistently =
      (annotations: Record<string, unknown>) =>
      <A, E2, R>(effect: Effect.Effect<A, E2, R>) =>
        effect.pipe(
          Effect.tapError((error) => Effect.logWarning("consumer step failed, trying again", error)),
          Effect.retry(Schedule.min([Schedule.exponential(retryMsMin), Schedule.spaced(retryMsMax)])),
          Effect.annotateLogs({ consumer: options.name, ...annotations })
        )

    /** One step of each shard that has something, one sync for all, then their positions. */
    const round = Effect.gen(function* () {
      const shards = [...dirty]
      dirty.clear()
      const steps = yield* Effect.forEach(shards, (shard) => persistently({ shard })(step(shard)), {
        concurrency: shardsAtOnce
      })
      const moved = steps.filter((taken) => taken !== undefined)
      if (moved.length === 0) return
      if (options.sync !== undefined) yield* persistently({})(options.sync)
      for (const { position, shard } of moved) {
        yield* persistently({ shard })(log.setConsumerPosition(options.name, shard, position))
        positions.set(shard, position)
        dirty.add(shard)
        options.moved?.(shard, position)
      }
    })
    const all = Effect.sync(() => {
      for (let shard = 1; shard <= options.shardCount; shard++) dirty.add(shard)
    })

    yield* all
    const pause = Effect.suspend(() => {
      const busy = done >= busyEntries
      done = 0
      return Effect.sleep(busy ? consumerGatherBusyMs : consumerGatherMs)
    })
    yield* round.pipe(Effect.andThen(pause), Effect.forever, Effect.forkScoped)
    yield* all.pipe(Effect.delay(consumerPollMs), Effect.forever, Effect.forkScoped)
  })
