/**
 * A consumer of the log: reads each shard's records in order behind the commit, hands their entries to `apply`, and
 * moves its own durable position only after that is done (WRITE-BEHIND-SAFE). Positions are the consumer's, the log is
 * cut below the lowest. A failing `apply` is tried again with growing waits; nothing is skipped, and other shards go on.
 * A damaged record ends its shard's consumption for good: it is said, and the shard is taken out of service (†24).
 */
import { Effect, Result } from "effect"
import {
  EventLog,
  type LogPosition,
  type LogRecord,
  type LogUnavailable,
  type OwnRecord
} from "@parley/storage/EventLog"
import type { Entry } from "../log/Entry.ts"
import { entriesOfRecord } from "../log/SealedEntries.ts"
import { damageText } from "../log/UnconsumedRecords.ts"
import { CommitSignal } from "./CommitSignal.ts"
import { ConsumerLags } from "./ConsumerLags.ts"
import { cutOf } from "./ConsumerNames.ts"
import { type Gather, Turns } from "./Turns.ts"
import { WorkedShards } from "./WorkedShards.ts"

/** Bytes of records taken in one step: it bounds a batch, what is in memory, and how long the event loop is held. */
export const consumerBytesMax = 262_144
/** Steps of one shard in one round: a hot channel is all of a shard's load, and one step a round would never keep up. */
export const consumerStepsMax = 64
/**
 * Time between two rounds while events are few, and while they are many: then larger batches are worth the wait. Each
 * round ends in a sync of the store, which takes the disk from the log for as long as it lasts; a round of a whole
 * second's events takes a small machine's core from everybody else for so long that it shows in the acks.
 */
export const consumerGatherMs = 50
export const consumerGatherBusyMs = 300
/** Entries a second that are many. */
export const busyEntriesPerSecond = 512
/**
 * A shard is looked at this often without a signal, which comes with every commit here: it finds what another process
 * appended while the shard was on its way. In a cluster each look is a question to the log.
 */
export const consumerPollMs = 10_000
/** Where the log is written elsewhere (`Work.remote`), a shard that something was committed on is looked at again after this. */
export const consumerAgainMs = 1_000
/** Between two looks at what a store that syncs periodically has to sync. */
const settleEveryMs = 1_000
const retryMsMin = 100
const retryMsMax = 6_400
/** As long as positions can't be moved, all that was written is written again: owners wait for it, so they are not left waiting longer. */
const unmovedMsMax = 1_600
/**
 * Shards worked on at the same time: what they write then shares requests (SharedBatches), and Cassandra writes a request's
 * partitions one after the other. More would be more steps' bytes in memory, for little.
 */
const shardsAtOnce = 32

export interface ConsumedEntry {
  readonly entry: Entry
  readonly position: LogPosition
}

export const gatherDefault: Gather = {
  fewMs: consumerGatherMs,
  busyMs: consumerGatherBusyMs,
  busyPerSecond: busyEntriesPerSecond
}

export interface ConsumerOptions<E> {
  readonly name: string
  /** Where nobody waits for what it does, longer ones are fewer and larger requests to its store. */
  readonly gather?: Gather
  readonly shardCount: number
  readonly apply: (shard: number, entries: ReadonlyArray<ConsumedEntry>) => Effect.Effect<void, E>
  /** Makes durable what `apply` wrote; the positions move only after it. One call for all shards of a round. */
  readonly sync?: Effect.Effect<void, E>
  /**
   * `sync` takes as long as the store's own period (`StoreSync.periodic`): rounds go on, the positions move after it. Where it
   * fails, what was written since the last one may be gone, and is written again.
   */
  readonly syncPeriodic?: boolean
  /** Told after the position moved (with a periodic sync, when it will be), and at each look that finds nothing more. */
  readonly moved?: (shard: number, position: LogPosition) => void
  /** Called before the first step of a shard that is worked on from now on (`WorkedShards`). */
  readonly begin?: (shard: number) => Effect.Effect<void, E | LogUnavailable>
  /** The shard is worked on elsewhere from now on. */
  readonly leave?: (shard: number) => void
  /**
   * Of a consumer that may be cut loose (`LooseConsumers`): takes from the store what the log had in `(after, cut]` and
   * has no longer (†3).
   */
  readonly catchUp?: (shard: number, after: LogPosition, cut: LogPosition) => Effect.Effect<void, E>
}

/** Runs until its scope closes. */
export const runConsumer = <E>(options: ConsumerOptions<E>) =>
  Effect.gen(function* () {
    const log = yield* EventLog
    const signal = yield* CommitSignal
    const { onBegun, remote, works } = yield* WorkedShards
    const dirty = new Set<number>()
    /** Committed on since the last look for these: a replica that was behind then has it by the next. */
    let again = new Set<number>()
    /** Ends the wait for something to do. */
    let wake: () => void = ignore
    let done = 0
    let pausedAt = performance.now()
    /** A shard has more than a round takes: the next one follows at once. */
    let behind = false
    const positions = new Map<number, LogPosition>()
    const turns = new Turns(options.gather ?? gatherDefault)
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        signal.onCommitted(
          (shard) => {
            look(shard)
            if (remote) again.add(shard)
            const now = performance.now()
            committedAt.set(shard, now)
            if (!waiting.has(shard)) waiting.set(shard, now)
            wake()
          },
          remote ? "anywhere" : "here"
        )
      ),
      (unsubscribe) => Effect.sync(unsubscribe)
    )

    yield* Effect.acquireRelease(
      Effect.sync(() =>
        onBegun((shard) => {
          look(shard)
          wake()
        })
      ),
      (unsubscribe) => Effect.sync(unsubscribe)
    )
    const lookAgain = Effect.sync(() => {
      const due = again
      again = new Set()
      for (const shard of due) if (works(shard)) look(shard)
      if (due.size > 0) wake()
    })

    /** Shards whose log is damaged: there is nothing to be had from them by trying again. */
    const givenUp = new Set<number>()
    const look = (shard: number): void => {
      if (!givenUp.has(shard)) dirty.add(shard)
    }
    /** Since when each shard has had something that is not done, and when it last got something. */
    const waiting = new Map<number, number>()
    const committedAt = new Map<number, number>()
    /** Shards of which all was read that was there at this time. */
    const readAll = new Map<number, number>()
    /** What was read is done: only what came after that is waiting. */
    const settled = (shard: number): void => {
      const at = readAll.get(shard)
      if (at === undefined) return
      if ((committedAt.get(shard) ?? 0) < at) waiting.delete(shard)
      else waiting.set(shard, at)
    }
    const lags = yield* ConsumerLags
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        lags.register(options.name, () => {
          const since = Math.min(...waiting.values())
          return since === Number.POSITIVE_INFINITY ? 0 : performance.now() - since
        })
      ),
      (unregister) => Effect.sync(unregister)
    )
    const giveUp = (damage: { readonly shard: number; readonly position: LogPosition; readonly what: string }) => {
      givenUp.add(damage.shard)
      dirty.delete(damage.shard)
      waiting.delete(damage.shard)
      signal.damaged(damage.shard, damageText(damage))
    }
    const readAfter = (shard: number, after: LogPosition) =>
      log.readAfter(shard, after, consumerBytesMax).pipe(
        Effect.catchTag("LogDamaged", (damage) => {
          giveUp(damage)
          return Effect.succeed<ReadonlyArray<LogRecord>>([])
        })
      )

    /** Takes the shard's next records after `after`; answers up to where, undefined where there are none. */
    const step = Effect.fnUntraced(function* (shard: number, after: LogPosition) {
      const at = performance.now()
      const records = log.own(shard, after, consumerBytesMax) ?? (yield* readAfter(shard, after))
      if (options.catchUp !== undefined) {
        // After the read: a cut is written down before it is made, so what was read has no hole that is not seen here.
        const cut = yield* log.consumerPosition(cutOf(options.name), shard)
        if (cut > after) {
          yield* options.catchUp(shard, after, cut)
          return { position: cut, full: true }
        }
      }
      const entries: Array<ConsumedEntry> = []
      let bytes = 0
      let last: LogRecord | OwnRecord | undefined
      for (const record of records) {
        const held = entriesOfRecord(record)
        if (Result.isFailure(held)) {
          giveUp({ shard, position: record.position, what: held.failure.what })
          break
        }
        for (const entry of held.success) entries.push({ entry, position: record.position })
        bytes += "bytes" in record ? record.bytes.length : record.size
        last = record
      }
      const full = bytes * 2 > consumerBytesMax || (last?.position ?? after) < log.known(shard)
      if (full) readAll.delete(shard)
      else readAll.set(shard, at)
      if (last === undefined) return undefined
      // Committed before this process worked on the shard: nobody has told it.
      if (!waiting.has(shard) && !givenUp.has(shard)) waiting.set(shard, at)
      if (entries.length > 0) yield* options.apply(shard, entries)
      done += entries.length
      return { position: last.position, full }
    })

    /** Shards whose last step failed, and until when they are left alone: one such shard must not stop the others. */
    const failed = new Map<number, { readonly until: number; readonly waitMs: number }>()
    const attempt = <A, E2>(shard: number, work: Effect.Effect<A, E2>) =>
      work.pipe(
        Effect.tap(() => Effect.sync(() => failed.delete(shard))),
        Effect.catch((error) =>
          Effect.suspend(() => {
            const waitMs = Math.min(retryMsMax, (failed.get(shard)?.waitMs ?? retryMsMin / 2) * 2)
            failed.set(shard, { until: performance.now() + waitMs, waitMs })
            readAll.delete(shard)
            turns.again(shard)
            look(shard)
            // Once when it begins; then rarely, for it may stay so until a person has looked at it.
            return waitMs === retryMsMin || waitMs === retryMsMax
              ? Effect.logWarning("consumer step failed, trying again", error)
              : Effect.void
          }).pipe(Effect.annotateLogs({ consumer: options.name, shard }), Effect.as(undefined))
        )
      )

    const begin = Effect.fnUntraced(function* (shard: number) {
      if (options.begin !== undefined) yield* options.begin(shard)
      const position = yield* log.consumerPosition(options.name, shard)
      positions.set(shard, position)
      return position
    })
    /** Somebody else works on it: when it comes back, he has moved its position. */
    const leave = (shard: number): void => {
      dirty.delete(shard)
      waiting.delete(shard)
      committedAt.delete(shard)
      readAll.delete(shard)
      positions.delete(shard)
      failed.delete(shard)
      turns.again(shard)
      options.leave?.(shard)
    }

    /** Steps of one shard as long as they are full; answers up to where they came, undefined where nothing was taken. */
    const steps = Effect.fnUntraced(function* (shard: number) {
      // The log may be away at the very start.
      const from = positions.get(shard) ?? (yield* attempt(shard, begin(shard)))
      if (from === undefined) return undefined
      let position = from
      for (let taken = 0; taken < consumerStepsMax; taken++) {
        const next = yield* attempt(shard, step(shard, position))
        if (next === undefined) break
        position = next.position
        if (!next.full) break
        if (taken === consumerStepsMax - 1) behind = true
        // A step that had nothing to wait for holds the event loop: what came meanwhile goes first.
        yield* Effect.yieldNow
      }
      if (position !== from) return { shard, position }
      settled(shard)
      // Who was told may be no owner any more: the shard was on its way, or came back before anybody looked.
      options.moved?.(shard, position)
      return undefined
    })

    /** The steps of each shard that has something, one sync for all, then their positions. */
    const round = Effect.gen(function* () {
      const now = performance.now()
      if (lost) startOver()
      for (const shard of [...dirty, ...positions.keys()]) if (!works(shard)) leave(shard)
      const shards = [...dirty].filter((shard) => turns.has(shard, now) && now >= (failed.get(shard)?.until ?? 0))
      for (const shard of shards) {
        dirty.delete(shard)
        turns.taken(shard, now)
      }
      const reached = yield* Effect.forEach(shards, steps, { concurrency: shardsAtOnce })
      const moved = reached.filter((taken) => taken !== undefined)
      if (moved.length > 0) yield* finish(moved)
    })

    /** Written, and to be moved to once the store has synced it; by shard. */
    const unsynced = new Map<number, LogPosition>()
    /** The store may have lost what it had not synced: all since the durable positions is written again, by the next round. */
    let lost = false
    const startOver = (): void => {
      lost = false
      unsynced.clear()
      for (const shard of positions.keys()) look(shard)
      positions.clear()
    }
    /** A crash before it repeats what was written since the last one. */
    const settle = Effect.gen(function* () {
      const written = [...unsynced]
      if (written.length === 0 || lost) return
      if (options.sync !== undefined) {
        yield* Effect.tapError(options.sync, () =>
          Effect.sync(() => {
            lost = true
            for (const shard of unsynced.keys()) look(shard)
            wake()
          })
        )
      }
      for (const [shard, position] of written) {
        yield* log.setConsumerPosition(options.name, shard, position)
        if (unsynced.get(shard) === position) unsynced.delete(shard)
      }
    }).pipe(
      Effect.catch((error) =>
        Effect.logWarning("consumer positions not moved, trying again", error).pipe(
          Effect.annotateLogs({ consumer: options.name })
        )
      )
    )

    /** How often in a row positions could not be moved. */
    let unmoved = 0
    const finish = Effect.fnUntraced(
      function* (moved: ReadonlyArray<{ readonly shard: number; readonly position: LogPosition }>) {
        if (options.sync !== undefined && options.syncPeriodic !== true) yield* options.sync
        for (const { position, shard } of moved) {
          if (options.syncPeriodic === true) unsynced.set(shard, position)
          else yield* log.setConsumerPosition(options.name, shard, position)
          positions.set(shard, position)
          // There may be more: it was not read to its end, or not as far as something was committed since.
          if (!readAll.has(shard)) {
            turns.again(shard)
            look(shard)
          }
          settled(shard)
          options.moved?.(shard, position)
        }
        unmoved = 0
      },
      // What was applied is applied again: it is idempotent, and the positions have not moved.
      (finishing, moved) =>
        Effect.catch(finishing, (error) =>
          Effect.suspend(() => {
            for (const { shard } of moved) {
              turns.again(shard)
              look(shard)
            }
            const waitMs = Math.min(unmovedMsMax, retryMsMin * 2 ** unmoved)
            const says = unmoved++ % 8 === 0
            return (says ? Effect.logWarning("consumer positions not moved, trying again", error) : Effect.void).pipe(
              Effect.annotateLogs({ consumer: options.name }),
              Effect.andThen(Effect.sleep(waitMs))
            )
          })
        )
    )
    const all = Effect.sync(() => {
      for (let shard = 1; shard <= options.shardCount; shard++) look(shard)
      wake()
    })
    /** Nothing runs while nothing is committed: a node that idles has few reasons to wake. */
    const somethingDirty = Effect.callback<void>((resume) => {
      if (dirty.size > 0) return resume(Effect.void)
      wake = () => {
        wake = ignore
        resume(Effect.void)
      }
      return Effect.sync(() => {
        wake = ignore
      })
    })

    yield* all
    const pause = Effect.suspend(() => {
      const now = performance.now()
      const waitMs = behind ? 0 : turns.pauseMs(done, now - pausedAt)
      pausedAt = now
      done = 0
      behind = false
      return Effect.sleep(waitMs)
    })
    yield* somethingDirty.pipe(Effect.andThen(round), Effect.andThen(pause), Effect.forever, Effect.forkScoped)
    if (options.syncPeriodic === true) {
      yield* settle.pipe(Effect.andThen(Effect.sleep(settleEveryMs)), Effect.forever, Effect.forkScoped)
    }
    if (remote) yield* lookAgain.pipe(Effect.delay(consumerAgainMs), Effect.forever, Effect.forkScoped)
    yield* all.pipe(Effect.delay(consumerPollMs), Effect.forever, Effect.forkScoped)
  })

const ignore = () => {}
