/**
 * Reads a shard's records from its last full checkpoint to the epoch record that was just appended, and demands that
 * they hang together: contiguous numbers, each the hash of its predecessor, epochs that never fall (†23, †24).
 */
import { type EventLog, type LogPosition, type LogRecord, LogUnavailable } from "@parley/storage/EventLog"
import { Effect, Result, Schema } from "effect"
import type { Entry } from "./Entry.ts"
import { retryMs } from "./LogClock.ts"
import { decodeRecord, noHash, type RecordPlace, type ShardRecord } from "./Record.ts"
import type { Tip } from "./ShardLogState.ts"

/** Records are missing, damaged, or not each other's successors. */
export class ChainBroken extends Schema.TaggedError<ChainBroken>()("ChainBroken", { what: Schema.String }) {}
/** There is a record after the epoch record: another owner's. */
export class Overtaken extends Schema.TaggedError<Overtaken>()("Overtaken", { epoch: Schema.Int }) {}

/** Bytes read at a time. */
export const replayChunkBytesMax = 4_000_000
/** Reads in a row that end before the epoch record although it is in the log: a follower answers, or nobody. */
export const replayTriesMax = 20

export interface Replay {
  readonly log: EventLog["Service"]
  readonly shard: number
  readonly epoch: number
  /** The last full checkpoint; position 0: from the shard's first record. */
  readonly full: RecordPlace
  /** The epoch record. */
  readonly to: Tip
  readonly onEntry: (entry: Entry, position: LogPosition) => void
}

export interface CheckpointBodies {
  readonly checkpoint: Uint8Array | undefined
  readonly incremental: Uint8Array | undefined
}

export const replay = Effect.fnUntraced(function* (
  options: Replay
): Effect.fn.Return<CheckpointBodies, LogUnavailable | ChainBroken | Overtaken> {
  const chain = new Chain(options)
  let tries = 0
  while (!chain.complete) {
    const records = yield* options.log.readAfter(options.shard, chain.after, replayChunkBytesMax).pipe(
      Effect.catchTags({
        LogUnavailable: () => Effect.succeed<ReadonlyArray<LogRecord>>([]),
        LogDamaged: ({ position, what }) => Effect.fail(new ChainBroken({ what: `at ${position}: ${what}` }))
      })
    )
    if (records.length === 0) {
      if (++tries > replayTriesMax) {
        return yield* new LogUnavailable({ cause: `shard ${options.shard} can't be read up to ${options.to.position}` })
      }
      yield* Effect.sleep(retryMs(tries))
      continue
    }
    tries = 0
    for (const record of records) {
      const wrong = chain.add(record)
      if (wrong !== undefined) return yield* wrong
    }
  }
  return chain.bodies
})

class Chain {
  readonly #options: Replay
  #last: { readonly position: LogPosition; readonly record: ShardRecord } | null = null
  #checkpoint: Uint8Array | undefined
  #incremental: Uint8Array | undefined

  constructor(options: Replay) {
    this.#options = options
  }

  get complete(): boolean {
    return this.#last?.position === this.#options.to.position
  }

  get after(): LogPosition {
    return this.#last?.position ?? Math.max(0, this.#options.full.position - 1)
  }

  get bodies(): CheckpointBodies {
    return { checkpoint: this.#checkpoint, incremental: this.#incremental }
  }

  add({ bytes, position }: LogRecord): ChainBroken | Overtaken | undefined {
    const decoded = decodeRecord(bytes)
    if (Result.isFailure(decoded)) return new ChainBroken({ what: `at ${position}: ${decoded.failure.what}` })
    const record = decoded.success
    const { epoch, shard, to } = this.#options
    if (this.complete) return new Overtaken({ epoch: record.epoch })
    if (position > to.position) return new ChainBroken({ what: `the epoch record at ${to.position} is gone` })
    const wrong = record.shard === shard ? this.#unfit(record, position) : `it is a record of shard ${record.shard}`
    if (wrong !== undefined) return new ChainBroken({ what: `at ${position}: ${wrong}` })
    if (position === to.position && record.hash !== to.hash) {
      return new ChainBroken({ what: `at ${position}: not the record that epoch ${epoch} wrote` })
    }
    this.#last = { position, record }
    if (record.kind === "full") this.#checkpoint = record.body
    if (record.kind === "incremental") this.#incremental = record.body
    for (const entry of record.entries) this.#options.onEntry(entry, position)
    return undefined
  }

  /** Why this can't be the next record. */
  #unfit(record: ShardRecord, position: LogPosition): string | undefined {
    const { full } = this.#options
    if (this.#last !== null) {
      const { position: before, record: last } = this.#last
      if (position <= before) return `it comes after ${before}`
      if (record.number !== last.number + 1) return `number ${record.number} comes after ${last.number}`
      if (record.previous !== last.hash) return "its predecessor is another record"
      return record.epoch < last.epoch ? `epoch ${record.epoch} comes after ${last.epoch}` : undefined
    }
    if (full.position === 0) {
      return record.number === 1 && record.previous === noHash ? undefined : "the shard's first record is missing"
    }
    const isIt = position === full.position && record.number === full.number && record.kind === "full"
    return isIt ? undefined : `the full checkpoint ${full.number} at ${full.position} is missing`
  }
}
