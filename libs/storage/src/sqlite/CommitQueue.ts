/**
 * Group commit: gathers the appends of all shards while a batch is with the worker, seals and sends them as the next
 * one. After idle a batch goes at the end of the turn of the event loop; under load at least the commit window lies between
 * two, and it goes when the loop has done what it was busy with, within a bound, unless a caller says that enough has
 * gathered. Hot path, plain TypeScript, nothing allocated per append but its place in an array: `bench send`.
 */
import type { Append, AppendOutcome } from "../EventLog.ts"
import { LogBatch, packBatch, type SealedRecord } from "./LogBatch.ts"

/** Appends that wait; a shard has one at a time, so this is never met by a caller that keeps to the contract. */
const queuedAppendsMax = 16_384
/** Records of one batch, in bytes; what is beyond waits for the next one. */
export const batchBytesMax = 4_194_304
/** A turn of the event loop longer than this read or wrote a lot: the next one brings more appends. */
const busyTurnMs = 0.5
/** However busy the loop is, a batch gathers no longer than this. */
const gatherMsMax = 12
/** A buffer larger than this is not kept for the next batch. */
const spareBytesMax = 1_048_576

export class CommitQueue {
  private readonly commitWindowMs: number
  private readonly send: (buffer: ArrayBuffer) => void
  private readonly onIdle: () => void
  private queue: Array<Append> = []
  private inFlight: ReadonlyArray<Append> | undefined
  private spare: ArrayBuffer | undefined
  private lastSentAt = Number.NEGATIVE_INFINITY
  private gatheringSince = 0
  private turnBeganAt = 0
  private scheduled = false
  private timer: NodeJS.Timeout | undefined
  private hurried = false
  private ready = false
  private closedBecause: string | undefined

  /** `send` passes a batch on; `onIdle` is called whenever nothing waits and nothing is in flight any more. */
  constructor(commitWindowMs: number, send: (buffer: ArrayBuffer) => void, onIdle: () => void) {
    this.commitWindowMs = commitWindowMs
    this.send = send
    this.onIdle = onIdle
  }

  append(append: Append): void {
    if (this.closedBecause !== undefined) {
      const cause = this.closedBecause
      queueMicrotask(() => settle(append, { _tag: "Ambiguous", cause }))
    } else if (this.queue.length >= queuedAppendsMax) {
      queueMicrotask(() => settle(append, { _tag: "Refused", reason: "full" }))
    } else {
      this.queue.push(append)
      if (!this.scheduled) this.schedule()
    }
  }

  /** What is queued, or comes until then, goes at the end of this turn, or as soon as what is in flight is done. */
  hurry(): void {
    this.hurried = true
    if (this.timer === undefined) return
    clearTimeout(this.timer)
    this.lookAfterTurn()
  }

  isIdle(): boolean {
    return this.inFlight === undefined && this.queue.length === 0
  }

  /** The worker takes batches from now on, or not: what is queued waits, unsealed. */
  setReady(ready: boolean): void {
    this.ready = ready
    this.schedule()
  }

  private schedule(): void {
    if (this.scheduled || !this.ready || this.inFlight !== undefined || this.queue.length === 0) return
    this.scheduled = true
    this.gatheringSince = performance.now()
    const wait = this.hurried ? 0 : this.lastSentAt + this.commitWindowMs - this.gatheringSince
    if (wait <= 0) this.lookAfterTurn()
    else this.timer = setTimeout(this.lookAfterTurn, Math.ceil(wait))
  }

  /** setImmediate: all that this turn of the loop reads from sockets gets into the batch. */
  private readonly lookAfterTurn = (): void => {
    this.timer = undefined
    this.turnBeganAt = performance.now()
    setImmediate(this.look)
  }

  /**
   * A batch goes once the loop has nothing else to do, or has gathered for long enough. While acks and deliveries of the
   * last one are written, their receivers send on: in one batch with those that wait they cost one commit, and their
   * own deliveries share writes.
   */
  private readonly look = (): void => {
    const now = performance.now()
    const gathers = !this.hurried && now - this.turnBeganAt > busyTurnMs && now - this.gatheringSince < gatherMsMax
    if (gathers) this.lookAfterTurn()
    else this.flush()
  }

  private flush(): void {
    this.scheduled = false
    if (!this.ready || this.inFlight !== undefined || this.queue.length === 0) return
    const taken: Array<Append> = []
    const sealed: Array<SealedRecord> = []
    let index = 0
    for (let size = 0; index < this.queue.length && size < batchBytesMax; index++) {
      const append = this.queue[index]
      if (append === undefined) break
      const bytes = seal(append)
      if (bytes === undefined) continue
      taken.push(append)
      sealed.push({ shard: append.shard, expectedLast: append.expectedLast, reserved: append.reserved, bytes })
      size += bytes.length
    }
    this.queue = index === this.queue.length ? [] : this.queue.slice(index)
    if (taken.length === 0) return this.schedule()
    const buffer = packBatch(sealed, this.spare)
    this.spare = undefined
    this.inFlight = taken
    this.lastSentAt = performance.now()
    this.hurried = false
    this.send(buffer)
  }

  /** The worker's answer: every append of the batch settles. */
  done(buffer: ArrayBuffer, cause: string): void {
    const appends = this.inFlight
    this.inFlight = undefined
    if (appends !== undefined) {
      const batch = new LogBatch(buffer)
      for (let i = 0; i < appends.length; i++) {
        const append = appends[i]
        if (append !== undefined) settle(append, batch.outcome(i, cause))
      }
    }
    if (buffer.byteLength <= spareBytesMax) this.spare = buffer
    this.schedule()
    if (this.isIdle()) this.onIdle()
  }

  /** The worker is gone: what it had may be written or not. */
  lost(cause: string): void {
    this.ready = false
    const appends = this.inFlight ?? []
    this.inFlight = undefined
    for (const append of appends) settle(append, { _tag: "Ambiguous", cause })
    if (this.isIdle()) this.onIdle()
  }

  /** Nothing is taken from now on; what waits is told so. */
  close(cause: string): void {
    this.closedBecause = cause
    this.lost(cause)
    const queued = this.queue
    this.queue = []
    for (const append of queued) settle(append, { _tag: "Ambiguous", cause })
  }
}

/** An append whose own code throws is a bug of its owner: it stops the process, but not the batch of the others. */
const seal = (append: Append): Uint8Array | undefined => {
  try {
    return append.seal()
  } catch (error) {
    throwLater(error)
    return undefined
  }
}

const settle = (append: Append, outcome: AppendOutcome): void => {
  try {
    append.settle(outcome)
  } catch (error) {
    throwLater(error)
  }
}

const throwLater = (error: unknown): void =>
  queueMicrotask(() => {
    throw error
  })
