/**
 * A shard's log, as its owner writes it: entries join the open batch, one record is in flight, the next gathers, and
 * the owner is told in order what became of each. A thin shell: `ShardLogState` decides, this performs. Promises
 * DURABLE-BEFORE-ACK (`onCommitted` comes after the log's answer) and that no entry is told "failed" that may be in.
 *
 * Plain TypeScript on the hot path: bench `send`. Callbacks may append; they must not throw.
 */
import type { AppendOutcome, EventLog, LogPosition } from "@parley/storage/EventLog"
import { Effect, Exit } from "effect"
import { type LogClock, logClock, retryMs } from "./LogClock.ts"
import type { Handover } from "./Takeover.ts"
import { OpenBatch, type Pending } from "./OpenBatch.ts"
import { readSeen } from "./PlaceRead.ts"
import { nothingSealed, type SealedEntries } from "./SealedEntries.ts"
import {
  encodeBody,
  type RecordHash,
  type RecordHeader,
  recordBytesMaxDefault,
  recordFrameBytes,
  type RecordPlace,
  type SealedRecord
} from "./Record.ts"
import {
  servingShardLog,
  type ShardLogEffect,
  type ShardLogEvent,
  type ShardLogState,
  stepShardLog,
  type Tip
} from "./ShardLogState.ts"

/** Under load at least this lies between two records of a shard: larger records, fewer commits. */
export const commitWindowMsDefault = 3
/**
 * Entries that are worth a commit by themselves: what one costs is little for each of so many, so the commit window,
 * which is there to gather more, is not waited out. In a hot channel all senders may be waiting for it already. Fewer
 * would cut up what a shard gets of an evenly spread load.
 */
export const commitEntriesEnough = 48
/** After refusals in a row because the log is full, only what may use the reserved room is tried for so long. */
export const fullPauseMs = 200
const fullRefusals = 2
/** A caller who has waited this long is told that the outcome is unknown (the loss of a log leader takes 5 to 9 s). */
export const callerDeadlineMsDefault = 15_000

export interface ShardLogOptions<P extends Pending> {
  readonly shard: number
  readonly epoch: number
  /** The epoch record, and the checkpoints as of it: what `openShard` returns. */
  readonly position: LogPosition
  readonly number: number
  readonly hash: RecordHash
  readonly checkpointPlace: RecordPlace
  readonly fullPlace: RecordPlace
  readonly log: EventLog["Service"]
  readonly recordBytesMax?: number
  readonly commitWindowMs?: number
  readonly callerDeadlineMs?: number
  readonly clock?: LogClock
  /** In the log, on stable storage, in the order appended. */
  readonly onCommitted: (entries: ReadonlyArray<P>, position: LogPosition) => void
  /** Oldest first. `full` and `too_large`: certainly not in the log. `out`: may be in, the same id finds it (†22). */
  readonly onFailed: (entries: ReadonlyArray<P>, reason: "full" | "too_large" | "out") => void
  /** May be in or not, after the callers' deadline; one of the other two is told later all the same (†21). */
  readonly onUnknown: (entries: ReadonlyArray<P>) => void
  /** Another owner has the shard: all state is void. Not called after `stepDown`. */
  readonly onOut: () => void
  readonly onQuarantined: (what: string) => void
}

interface Checkpoint {
  readonly kind: "full" | "incremental"
  readonly make: () => Uint8Array
  readonly done: (position: LogPosition | null) => void
  sealed: SealedRecord | null
}

export class ShardLog<P extends Pending = Pending> {
  readonly #options: ShardLogOptions<P>
  readonly #recordBytesMax: number
  readonly #commitWindowMs: number
  readonly #callerDeadlineMs: number
  readonly #clock: LogClock
  #state: ShardLogState
  #tip: Tip
  #checkpoint: RecordPlace
  #full: RecordPlace
  /** The batch of the record in flight, if that has entries; then the one that gathers, and one to swap with. */
  #flying: OpenBatch<P> | null = null
  #open: OpenBatch<P>
  #spare: OpenBatch<P>
  #asked: Checkpoint | null = null
  #appendedAt = -Infinity
  #refusals = 0
  #fullUntil = -Infinity
  #cancelTimer: () => void = () => {}
  /** A batch that waits for the commit window. */
  #delayed: (() => void) | null = null
  #cancelDeadline: (() => void) | null = null
  /** Events that came while effects were performed: each step is performed whole before the next. */
  readonly #events: Array<ShardLogEvent> = []
  #performing = false
  #flushes: Array<() => void> = []

  constructor(options: ShardLogOptions<P>) {
    this.#options = options
    this.#recordBytesMax = options.recordBytesMax ?? recordBytesMaxDefault
    this.#commitWindowMs = options.commitWindowMs ?? commitWindowMsDefault
    this.#callerDeadlineMs = options.callerDeadlineMs ?? callerDeadlineMsDefault
    this.#clock = options.clock ?? logClock
    this.#tip = { position: options.position, number: options.number, hash: options.hash }
    this.#state = servingShardLog(options.epoch, this.#tip)
    this.#checkpoint = options.checkpointPlace
    this.#full = options.fullPlace
    this.#open = new OpenBatch(this.#recordBytesMax)
    this.#spare = new OpenBatch(this.#recordBytesMax)
  }

  /** What a hand-over names: the last record of this owner, after `flush` and before or after `stepDown` (†23). */
  get handover(): Handover {
    return { ...this.#tip, epoch: this.#options.epoch, checkpoint: this.#checkpoint, full: this.#full }
  }

  /** Of the last record that is known to be there. */
  get end(): LogPosition {
    return this.#tip.position
  }

  /** Replay begins at this record; a purge must leave it (0: purge nothing yet). */
  get replayFrom(): LogPosition {
    return this.#full.position
  }

  get state(): ShardLogState["_tag"] {
    return this.#state._tag
  }

  /** Entries that are not committed yet, and their bytes. */
  get uncommitted(): { readonly entries: number; readonly bytes: number } {
    const flying = this.#flying
    return {
      entries: this.#open.count + (flying === null ? 0 : flying.count),
      bytes: this.#open.bytes + (flying === null ? 0 : flying.bytes)
    }
  }

  /** The log was at its soft bound a moment ago: ordinary entries would be refused, and with them what gathers. */
  get full(): boolean {
    return this.#clock.now() < this.#fullUntil
  }

  /** False, and nothing happens: both batches are full (overloaded), the entry is too large for any, or the log is out. */
  append(pending: P): boolean {
    if (this.#state._tag !== "Serving") return false
    const now = this.#clock.now()
    // A batch that the log has not taken yet is still open, unless it was full once.
    const joined = this.#flying !== null && this.#flying.add(pending, now)
    if (!joined) {
      const first = this.#open.count === 0
      if (!this.#open.add(pending, now)) return false
      if (first) this.#step({ _tag: "Gathered" })
    } else if (this.#flying?.count === commitEntriesEnough) this.#hurry()
    if (this.#cancelDeadline === null) this.#armDeadline(this.#callerDeadlineMs)
    return true
  }

  /**
   * Writes a checkpoint between two batches, in the reserved room (†28). `make` is called at its turn, when nothing is
   * in flight: the body describes exactly what is committed then, and nothing of what has gathered. `done` gets its
   * position, or null if it was not written.
   */
  appendCheckpoint(
    make: () => Uint8Array,
    kind: "full" | "incremental" = "full",
    done: (position: LogPosition | null) => void = () => {}
  ): void {
    if (this.#state._tag !== "Serving" || this.#asked !== null) {
      done(null)
      return
    }
    this.#asked = { kind, make, done, sealed: null }
    this.#step({ _tag: "CheckpointAsked" })
  }

  /** Waits until nothing is in flight, gathered or asked for. */
  flush(): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      this.#flushes.push(() => resume(Effect.void))
      this.#flushed()
    })
  }

  /** The lease is lost, or the shard was handed over: nothing is appended any more; entries are told `out`. */
  stepDown(): void {
    this.#step({ _tag: "SteppedDown" })
  }

  #step(event: ShardLogEvent): void {
    this.#events.push(event)
    if (this.#performing) return
    this.#performing = true
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
      const { state, effects } = stepShardLog(this.#state, next)
      this.#state = state
      for (const effect of effects) this.#perform(effect)
    }
    this.#performing = false
    this.#flushed()
  }

  #perform(effect: ShardLogEffect): void {
    switch (effect._tag) {
      case "Append":
        return effect.flight.kind === "checkpoint" ? this.#sendCheckpoint() : this.#sendBatch(effect.again)
      case "Read":
        return this.#read(effect.position)
      case "Pause":
        this.#cancelTimer = this.#clock.after(retryMs(effect.tries), () => this.#step({ _tag: "Resumed" }))
        return
      case "Committed":
        this.#tip = effect.tip
        return effect.kind === "checkpoint" ? this.#checkpointed(effect.tip) : this.#committed(effect.tip.position)
      case "Failed":
        if (effect.kind === "checkpoint") return this.#endCheckpoint(null)
        if (effect.reason === "full" && ++this.#refusals >= fullRefusals)
          this.#fullUntil = this.#clock.now() + fullPauseMs
        return this.#failAll(effect.reason)
      case "TellUnknown":
        return this.#tellUnknown()
      case "GoOut":
        this.#cancelTimers()
        if (effect.reason !== "stepped_down") this.#options.onOut()
        return this.#failAll("out")
      case "Quarantine":
        this.#cancelTimers()
        this.#options.onQuarantined(effect.what)
        return this.#failAll("out")
      case "ReadLast":
        return
    }
  }

  #sendBatch(again: boolean): void {
    if (this.#flying === null) {
      this.#flying = this.#open
      this.#open = this.#spare
    }
    const batch = this.#flying
    const header = this.#header("events")
    const seal = (): Uint8Array => {
      if (batch.sealed === null) this.#step({ _tag: "Taken", hash: batch.seal(header).hash })
      return batch.seal(header).bytes
    }
    const content = () => batch.content()
    const enough = batch.count >= commitEntriesEnough
    const wait = again || enough ? 0 : this.#appendedAt + this.#commitWindowMs - this.#clock.now()
    if (wait > 0) {
      this.#delayed = () => {
        this.#delayed = null
        this.#send(seal, content, batch.reserved)
      }
      this.#cancelTimer = this.#clock.after(wait, this.#delayed)
      return
    }
    this.#send(seal, content, batch.reserved)
    if (enough) this.#options.log.hurry()
  }

  /** Enough has gathered in the batch that the log has not taken yet. */
  #hurry(): void {
    const delayed = this.#delayed
    if (delayed !== null) {
      this.#cancelTimer()
      delayed()
    }
    this.#options.log.hurry()
  }

  #sendCheckpoint(): void {
    const asked = this.#asked
    if (asked === null) return
    const header = this.#header(asked.kind)
    const body = asked.sealed === null ? asked.make() : null
    if (body !== null && body.length + recordFrameBytes > this.#recordBytesMax) {
      return this.#step({ _tag: "Settled", outcome: { _tag: "Refused", reason: "too_large" } })
    }
    const sealed = body === null ? asked.sealed : encodeBody(header, body)
    if (sealed === null) return
    asked.sealed = sealed
    this.#step({ _tag: "Taken", hash: sealed.hash })
    this.#send(
      () => sealed.bytes,
      () => nothingSealed,
      true
    )
  }

  #send(seal: () => Uint8Array, content: () => SealedEntries, reserved: boolean): void {
    if (this.#state._tag !== "Serving") return
    this.#appendedAt = this.#clock.now()
    this.#options.log.append({
      shard: this.#options.shard,
      expectedLast: this.#tip.position,
      seal,
      content,
      reserved,
      settle: (outcome: AppendOutcome) => this.#step({ _tag: "Settled", outcome })
    })
  }

  #header(kind: RecordHeader["kind"]): RecordHeader {
    return {
      kind,
      shard: this.#options.shard,
      epoch: this.#options.epoch,
      number: this.#tip.number + 1,
      previous: this.#tip.hash,
      checkpoint: this.#checkpoint,
      full: this.#full
    }
  }

  #read(position: LogPosition): void {
    Effect.runCallback(readSeen(this.#options.log, this.#options.shard, position), {
      onExit: (exit) =>
        this.#step({ _tag: "PlaceRead", position, seen: Exit.isSuccess(exit) ? exit.value : { _tag: "Nothing" } })
    })
  }

  #committed(position: LogPosition): void {
    const batch = this.#flying
    if (batch === null) return
    const { entries } = batch
    if (!batch.reserved) this.#refusals = 0
    this.#flying = null
    batch.reset()
    this.#spare = batch
    this.#options.onCommitted(entries, position)
  }

  #checkpointed(tip: Tip): void {
    this.#checkpoint = { position: tip.position, number: tip.number }
    if (this.#asked?.kind === "full") this.#full = this.#checkpoint
    this.#endCheckpoint(tip.position)
  }

  #endCheckpoint(position: LogPosition | null): void {
    const asked = this.#asked
    this.#asked = null
    asked?.done(position)
  }

  /** The record in flight and all that gathered, in one call, oldest first (†20). */
  #failAll(reason: "full" | "too_large" | "out"): void {
    const entries = this.#flying === null ? this.#open.entries : [...this.#flying.entries, ...this.#open.entries]
    // Not used again: a log that was left with an attempt may still ask for its bytes.
    this.#flying = null
    this.#open = new OpenBatch(this.#recordBytesMax)
    this.#spare = new OpenBatch(this.#recordBytesMax)
    if (reason === "out") this.#endCheckpoint(null)
    if (entries.length > 0) this.#options.onFailed(entries, reason)
  }

  #cancelTimers(): void {
    this.#cancelTimer()
    this.#cancelDeadline?.()
    this.#cancelDeadline = null
  }

  #armDeadline(ms: number): void {
    this.#cancelDeadline = this.#clock.after(ms, () => {
      this.#cancelDeadline = null
      this.#step({ _tag: "DeadlinePassed" })
      const oldest = Math.min(this.#flying === null ? Infinity : this.#flying.oldest, this.#open.oldest)
      if (oldest < Infinity) this.#armDeadline(Math.max(1, oldest + this.#callerDeadlineMs - this.#clock.now()))
    })
  }

  #tellUnknown(): void {
    const before = this.#clock.now() - this.#callerDeadlineMs
    const flying = this.#flying === null ? [] : this.#flying.overdue(before)
    const entries = [...flying, ...this.#open.overdue(before)]
    if (entries.length > 0) this.#options.onUnknown(entries)
  }

  #flushed(): void {
    if (this.#flushes.length === 0 || this.#flying !== null || this.#open.count > 0 || this.#asked !== null) return
    const flushes = this.#flushes
    this.#flushes = []
    for (const flushed of flushes) flushed()
  }
}
