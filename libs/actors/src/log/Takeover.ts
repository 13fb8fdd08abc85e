/**
 * Taking a shard over in the log: an epoch record that follows the very last record, so that an older owner's record
 * in flight either precedes it or is refused (SINGLE-WRITER), then the replay from the last full checkpoint to it,
 * with every number and hash demanded (†23). What does not fit together is quarantined, never written over (†24).
 *
 * `ShardLogState` decides, this performs. An epoch record whose opening was given up or interrupted does no harm:
 * nobody serves under it.
 */
import type { AppendOutcome, EventLog, LogPosition } from "@parley/storage/EventLog"
import { LogUnavailable } from "@parley/storage/EventLog"
import { Effect, Option, Result, Schema } from "effect"
import { randomBytes } from "node:crypto"
import type { Entry } from "./Entry.ts"
import { retryMs } from "./LogClock.ts"
import { readSeen } from "./PlaceRead.ts"
import { decodeRecord, encodeBody, noPlace, type RecordPlace, type SealedRecord, type ShardRecord } from "./Record.ts"
import { nothingSealed } from "./SealedEntries.ts"
import { replay } from "./Replay.ts"
import { damageText } from "./UnconsumedRecords.ts"
import {
  openShardLog,
  type ShardLogEffect,
  type ShardLogEvent,
  stepShardLog,
  type Step,
  type Tip
} from "./ShardLogState.ts"

/** The shard's log is not what it must be. It is left as it is until a person has looked at it (†24). */
export class ShardQuarantined extends Schema.TaggedError<ShardQuarantined>()("ShardQuarantined", {
  shard: Schema.Int,
  what: Schema.String
}) {}

/** Another owner has an epoch at or above the one that was tried. Who still has the lease opens again, above it. */
export class ShardTaken extends Schema.TaggedError<ShardTaken>()("ShardTaken", {
  shard: Schema.Int,
  epoch: Schema.Int
}) {}

/** The log went on after the hand-over: the state is to be thrown away, and the shard opened by replay (†23). */
export class HandoverStale extends Schema.TaggedError<HandoverStale>()("HandoverStale", { shard: Schema.Int }) {}

/** The log is at its hard bound: not even an epoch record fits (†28). */
export class ShardLogFull extends Schema.TaggedError<ShardLogFull>()("ShardLogFull", { shard: Schema.Int }) {}

/** Where a draining owner's state stands: `ShardLog.handover`. */
export interface Handover extends Tip {
  readonly epoch: number
  readonly checkpoint: RecordPlace
  readonly full: RecordPlace
}

export interface OpenShard {
  readonly log: EventLog["Service"]
  readonly shard: number
  readonly epochAtLeast: number
  /** The furthest position that anybody knows of (floor, heads, consumers): a log that ends before it is quarantined. */
  readonly knownAtLeast?: LogPosition
  /** Opens with the state that was handed over here, without a replay, or fails with `HandoverStale`. */
  readonly handover?: Handover
  /** Takes each entry as it is replayed; without it they are returned. */
  readonly onEntry?: (entry: Entry, position: LogPosition) => void
  /** Who opens, for those who read the log. */
  readonly owner?: string
}

export interface ReplayedEntry {
  readonly entry: Entry
  readonly position: LogPosition
}

export interface OpenedShard {
  readonly shard: number
  readonly epoch: number
  /** Position, number and hash of the epoch record. */
  readonly position: LogPosition
  readonly number: number
  readonly hash: string
  /** Where the last checkpoints are. */
  readonly checkpointPlace: RecordPlace
  readonly fullPlace: RecordPlace
  /** The body of the last full checkpoint, and of the last incremental one after it. None after a hand-over. */
  readonly checkpoint: Uint8Array | undefined
  readonly incremental: Uint8Array | undefined
  /** The full checkpoint's position (0: none): what precedes it was not replayed. */
  readonly replayedFrom: LogPosition
  /** What came after the full checkpoint, in order; empty with `onEntry`, and after a hand-over. */
  readonly entries: ReadonlyArray<ReplayedEntry>
}

export type OpenShardError = LogUnavailable | ShardQuarantined | ShardTaken | HandoverStale | ShardLogFull

/** Attempts that settled nothing, about half a minute: then the log is unreachable, and the caller looks at its lease. */
export const openTriesMax = 40

/** Opens the shard's log for its new owner: afterwards no older owner can append. */
export const openShard = Effect.fnUntraced(function* (
  options: OpenShard
): Effect.fn.Return<OpenedShard, OpenShardError> {
  const opening = new Opening(options)
  const { epoch, tip } = yield* opening.run
  const opened = {
    shard: options.shard,
    epoch,
    position: tip.position,
    number: tip.number,
    hash: tip.hash,
    checkpointPlace: opening.checkpointPlace,
    fullPlace: opening.fullPlace,
    replayedFrom: opening.fullPlace.position
  }
  if (options.handover !== undefined) return { ...opened, checkpoint: undefined, incremental: undefined, entries: [] }
  const entries: Array<ReplayedEntry> = []
  const onEntry = options.onEntry ?? ((entry, position) => entries.push({ entry, position }))
  const replayed = replay({
    log: options.log,
    shard: options.shard,
    epoch,
    full: opening.fullPlace,
    to: tip,
    onEntry
  }).pipe(
    Effect.catchTags({
      ChainBroken: ({ what }) =>
        Effect.flatMap(epochOfLast(options), (last): Effect.Effect<never, ShardTaken | ShardQuarantined> =>
          last > epoch
            ? Effect.fail(new ShardTaken({ shard: options.shard, epoch: last }))
            : Effect.fail(new ShardQuarantined({ shard: options.shard, what }))
        ),
      Overtaken: ({ epoch }) => Effect.fail(new ShardTaken({ shard: options.shard, epoch }))
    })
  )
  const bodies = yield* replayed
  return { ...opened, ...bodies, entries }
})

/**
 * Whose the shard is by now; 0 where the log can't say. While it was replayed a later owner may have taken it, left a checkpoint and
 * had the log cut below it: then what is missing is missing rightly, and whether all fits is his to find.
 */
const epochOfLast = ({ log, shard }: OpenShard): Effect.Effect<number, LogUnavailable> =>
  log.last(shard).pipe(
    Effect.map((last) => (Option.isNone(last) ? undefined : decodeRecord(last.value.bytes))),
    Effect.map((decoded) => (decoded !== undefined && Result.isSuccess(decoded) ? decoded.success.epoch : 0)),
    Effect.catchTag("LogDamaged", () => Effect.succeed(0))
  )

/** Performs the state machine until the epoch record is in the log or there is a reason why not. */
class Opening {
  readonly #options: OpenShard
  #sealed: SealedRecord | null = null
  #epoch = 0
  #tries = 0
  checkpointPlace: RecordPlace
  fullPlace: RecordPlace

  constructor(options: OpenShard) {
    this.#options = options
    this.checkpointPlace = options.handover?.checkpoint ?? noPlace
    this.fullPlace = options.handover?.full ?? noPlace
  }

  get run(): Effect.Effect<{ readonly epoch: number; readonly tip: Tip }, OpenShardError> {
    return Effect.gen({ self: this }, function* () {
      const { epochAtLeast, handover, knownAtLeast } = this.#options
      let step: Step = openShardLog({ epochAtLeast, knownAtLeast: knownAtLeast ?? 0, handover })
      while (true) {
        const effect = step.effects[0]
        if (effect === undefined) return yield* Effect.die("an opening waits for nothing")
        if (effect._tag === "Committed") return { epoch: this.#epoch, tip: effect.tip }
        if (effect._tag === "Append") step = this.#seal(step, effect)
        step = stepShardLog(step.state, yield* this.#perform(effect))
      }
    })
  }

  #perform(effect: ShardLogEffect): Effect.Effect<ShardLogEvent, OpenShardError> {
    const { log, shard } = this.#options
    switch (effect._tag) {
      case "ReadLast":
        return this.#readLast()
      case "Append":
        return this.#append(effect.flight.expectedLast)
      case "Read":
        return Effect.map(readSeen(log, shard, effect.position), (seen) => ({
          _tag: "PlaceRead",
          position: effect.position,
          seen
        }))
      case "Pause":
        return ++this.#tries > openTriesMax
          ? Effect.fail(new LogUnavailable({ cause: `shard ${shard} could not be opened in ${openTriesMax} attempts` }))
          : Effect.as(Effect.sleep(retryMs(effect.tries)), { _tag: "Resumed" })
      case "Quarantine":
        return Effect.fail(new ShardQuarantined({ shard, what: effect.what }))
      case "GoOut":
        if (effect.reason === "full") return Effect.fail(new ShardLogFull({ shard }))
        if (effect.reason === "stale_handover") return Effect.fail(new HandoverStale({ shard }))
        return Effect.fail(new ShardTaken({ shard, epoch: effect.epoch }))
      case "Committed":
      case "Failed":
      case "TellUnknown":
        return Effect.die(`an opening does not ask for ${effect._tag}`)
    }
  }

  #readLast(): Effect.Effect<ShardLogEvent> {
    return this.#options.log.last(this.#options.shard).pipe(
      Effect.map((found): ShardLogEvent => {
        if (Option.isNone(found)) {
          this.#placesAfter(undefined, 0)
          return { _tag: "LastRead", last: null }
        }
        const { bytes, position } = found.value
        const decoded = decodeRecord(bytes)
        if (Result.isFailure(decoded)) return { _tag: "LastDamaged", what: `at ${position}: ${decoded.failure.what}` }
        this.#placesAfter(decoded.success, position)
        const { epoch, hash, number } = decoded.success
        return { _tag: "LastRead", last: { position, number, hash, epoch } }
      }),
      Effect.catchTags({
        LogUnavailable: () => Effect.succeed<ShardLogEvent>({ _tag: "LastUnread" }),
        LogDamaged: (damage) => Effect.succeed<ShardLogEvent>({ _tag: "LastDamaged", what: damageText(damage) })
      })
    )
  }

  #placesAfter(record: ShardRecord | undefined, position: LogPosition): void {
    const here: RecordPlace = { position, number: record?.number ?? 0 }
    const isCheckpoint = record?.kind === "full" || record?.kind === "incremental"
    this.checkpointPlace = isCheckpoint ? here : (record?.checkpoint ?? noPlace)
    this.fullPlace = record?.kind === "full" ? here : (record?.full ?? noPlace)
  }

  /**
   * Fixes the bytes of a new epoch record. The nonce makes them this opening's alone: two owners that start at once on
   * the same last record may choose the same epoch, and each must see that the other's record is not its own.
   */
  #seal(step: Step, effect: Extract<ShardLogEffect, { _tag: "Append" }>): Step {
    const { flight } = effect
    if (effect.again || step.state._tag !== "Opening") return step
    this.#epoch = flight.epoch
    this.#sealed = encodeBody(
      {
        kind: "epoch",
        shard: this.#options.shard,
        epoch: flight.epoch,
        number: flight.number,
        previous: step.state.after.hash,
        checkpoint: this.checkpointPlace,
        full: this.fullPlace
      },
      Buffer.concat([randomBytes(16), Buffer.from(this.#options.owner ?? "", "utf8")])
    )
    return stepShardLog(step.state, { _tag: "Taken", hash: this.#sealed.hash })
  }

  #append(expectedLast: LogPosition): Effect.Effect<ShardLogEvent> {
    const { log, shard } = this.#options
    const sealed = this.#sealed
    if (sealed === null) return Effect.die("an epoch record is appended before it is sealed")
    return Effect.callback<ShardLogEvent>((resume) => {
      log.append({
        shard,
        expectedLast,
        seal: () => sealed.bytes,
        content: () => nothingSealed,
        reserved: true,
        settle: (outcome: AppendOutcome) => resume(Effect.succeed({ _tag: "Settled", outcome }))
      })
    })
  }
}
