/**
 * Rows of many partitions in one request. What a load that is spread over many channels costs Cassandra is requests, not
 * rows, so batches of single partitions that the same nodes keep go together, as one unlogged batch: the grouping of
 * the Spark Cassandra connector's `output.batch.grouping.key = replica_set`. Its coordinator is one of these nodes.
 * Whoever writes at the same time shares requests; each is told how its own rows ended: a request that is refused is
 * sent again partition by partition, so that it is refused only to whom the refused row belongs.
 *
 * Nothing is promised of order within a call, nor that a request is applied as a whole: only a partition's batch is.
 * Out of Effect but for the requests: every row of the write-behind passes here, watched by the `persister` bench.
 */
import { Cause, Effect, Exit, FiberSet, Option } from "effect"
import type { StoreRefused, StoreUnavailable } from "../StoreError.ts"
import { unavailable } from "./CassandraClient.ts"
import type { Write } from "./Cql.ts"
import type { PartitionBatch } from "./PartitionBatches.ts"
import type { ReplicaSetOf } from "./ReplicaSets.ts"

/** Partitions in a request: Cassandra warns of more (`unlogged_batch_across_partitions_warn_threshold`). */
export const sharedPartitionsMax = 10
/**
 * Bytes of a request of several partitions: Cassandra warns of 5 KiB (`batch_size_warn_threshold`) and refuses 50. A
 * partition whose rows are more goes alone, and neither counts then.
 */
export const sharedBytesMax = 4_096
/** So long a request that has room waits for others: a round's steps are a few ms apart. */
const gatherMs = 2
/** Batches that one caller has here at a time: as many requests as there may be, full ones. */
const windowRequests = 64
const windowBatches = windowRequests * sharedPartitionsMax
/** Batches that wait here; more are refused, retryable. */
const waitingMax = 65_536

export type WriteFailure = StoreUnavailable | StoreRefused

export interface SharedBatchesOptions {
  /** One request. */
  readonly send: (writes: ReadonlyArray<Write>) => Effect.Effect<void, WriteFailure>
  readonly requestsAtOnceMax: number
}

interface Caller {
  left: number
  failure: Cause.Cause<WriteFailure> | undefined
  readonly done: (exit: Exit.Exit<void, WriteFailure>) => void
}

interface Waiting {
  readonly batch: PartitionBatch
  readonly caller: Caller
  ended: boolean
}

interface Request {
  readonly parts: Array<Waiting>
  bytes: number
}

/** Until the scope closes; who waits then is told StoreUnavailable. */
export const makeSharedBatches = Effect.fnUntraced(function* (options: SharedBatchesOptions) {
  const run = yield* FiberSet.makeRuntime<never, void, never>()
  const shared = new SharedBatches(options, (effect) => void run(effect))
  yield* Effect.addFinalizer(() => Effect.sync(() => shared.close()))
  return shared
})

export class SharedBatches {
  readonly #options: SharedBatchesOptions
  readonly #run: (effect: Effect.Effect<void>) => void
  /** By replica set: what still has room. */
  readonly #open = new Map<string, Request>()
  readonly #full: Array<Request> = []
  #inFlight = 0
  #waiting = 0
  #timer: NodeJS.Timeout | undefined
  /** What has room has waited for long enough. */
  #due = false
  #closed = false

  constructor(options: SharedBatchesOptions, run: (effect: Effect.Effect<void>) => void) {
    this.#options = options
    this.#run = run
  }

  /** All are written, or the first failure; any of them may be there then. */
  write(batches: ReadonlyArray<PartitionBatch>, replicaSetOf: ReplicaSetOf): Effect.Effect<void, WriteFailure> {
    if (batches.length <= windowBatches) return this.#window(batches, replicaSetOf)
    const windows: Array<ReadonlyArray<PartitionBatch>> = []
    for (let at = 0; at < batches.length; at += windowBatches) windows.push(batches.slice(at, at + windowBatches))
    return Effect.forEach(windows, (window) => this.#window(window, replicaSetOf), { discard: true })
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    const left = [...this.#full, ...this.#open.values()]
    this.#full.length = 0
    this.#open.clear()
    for (const { parts } of left) this.#end(parts, closed)
  }

  #window(batches: ReadonlyArray<PartitionBatch>, replicaSetOf: ReplicaSetOf): Effect.Effect<void, WriteFailure> {
    if (batches.length === 0) return Effect.void
    return Effect.callback((resume) => {
      if (this.#closed) return resume(closed)
      if (this.#waiting + batches.length > waitingMax) {
        return resume(Effect.fail(unavailable(new Error(`${this.#waiting} batches wait already`))))
      }
      this.#waiting += batches.length
      const caller: Caller = { left: batches.length, failure: undefined, done: resume }
      for (const batch of batches) this.#add({ batch, caller, ended: false }, replicaSetOf)
      this.#pump()
    })
  }

  #add(part: Waiting, replicaSetOf: ReplicaSetOf): void {
    const { bytes, writes } = part.batch
    const [first] = writes
    const set = first === undefined || bytes > sharedBytesMax ? undefined : replicaSetOf(first)
    if (set === undefined) {
      this.#full.push({ parts: [part], bytes })
      return
    }
    let request = this.#open.get(set)
    if (request !== undefined && request.bytes + bytes > sharedBytesMax) {
      this.#full.push(request)
      request = undefined
    }
    if (request === undefined) this.#open.set(set, (request = { parts: [], bytes: 0 }))
    request.parts.push(part)
    request.bytes += bytes
    if (request.parts.length < sharedPartitionsMax) return
    this.#full.push(request)
    this.#open.delete(set)
  }

  #pump(): void {
    while (this.#inFlight < this.#options.requestsAtOnceMax) {
      const request = this.#full.shift() ?? (this.#due ? this.#takeOpen() : undefined)
      if (request === undefined) break
      this.#start(request.parts)
    }
    if (this.#open.size === 0) {
      this.#due = false
      clearTimeout(this.#timer)
      this.#timer = undefined
    } else if (!this.#due) {
      this.#timer ??= setTimeout(this.#whenDue, gatherMs)
    }
  }

  readonly #whenDue = (): void => {
    this.#timer = undefined
    this.#due = true
    this.#pump()
  }

  #takeOpen(): Request | undefined {
    for (const [set, request] of this.#open) {
      this.#open.delete(set)
      return request
    }
    return undefined
  }

  #start(parts: ReadonlyArray<Waiting>): void {
    this.#inFlight++
    this.#run(
      Effect.onExit(this.#send(parts), (exit) =>
        Effect.sync(() => {
          // Only what was cut off is left.
          this.#end(parts, exit)
          this.#inFlight--
          if (!this.#closed) this.#pump()
        })
      )
    )
  }

  #send(parts: ReadonlyArray<Waiting>): Effect.Effect<void> {
    const [only] = parts
    const writes = parts.length === 1 && only !== undefined ? only.batch.writes : parts.flatMap((it) => it.batch.writes)
    return Effect.flatMap(Effect.exit(this.#options.send(writes)), (exit) =>
      parts.length > 1 && isRefusal(exit)
        ? Effect.forEach(parts, (part) => this.#send([part]), { concurrency: sharedPartitionsMax, discard: true })
        : Effect.sync(() => this.#end(parts, exit))
    )
  }

  #end(parts: ReadonlyArray<Waiting>, exit: Exit.Exit<void, WriteFailure>): void {
    for (const part of parts) {
      if (part.ended) continue
      part.ended = true
      this.#waiting--
      const { caller } = part
      if (Exit.isFailure(exit)) caller.failure ??= Cause.hasInterruptsOnly(exit.cause) ? closing : exit.cause
      if (--caller.left === 0) caller.done(caller.failure === undefined ? Exit.void : Exit.failCause(caller.failure))
    }
  }
}

const isRefusal = (exit: Exit.Exit<void, WriteFailure>): boolean =>
  Exit.isFailure(exit) && Option.getOrUndefined(Cause.findErrorOption(exit.cause))?._tag === "StoreRefused"

const closing = Cause.fail(unavailable(new Error("the client of Cassandra is closing")))
const closed = Exit.failCause(closing)
