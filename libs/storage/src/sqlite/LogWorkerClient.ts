/**
 * The main thread's side of the embedded log: starts the worker, starts another when one ends unasked, passes batches,
 * questions and positions, and settles what a lost worker leaves behind. Plain TypeScript, hot path (`bench send`).
 *
 * While there is no worker, appends wait unsealed, questions fail at once, and it is tried again with backoff.
 */
import { Worker } from "node:worker_threads"
import type { Append } from "../EventLog.ts"
import { CommitQueue } from "./CommitQueue.ts"
import { ConsumerPositions } from "./ConsumerPositions.ts"
import type {
  Damage,
  LogAnswer,
  LogAsk,
  LogFileOptions,
  LogReply,
  LogRequest,
  StoredPosition
} from "./LogWorkerMessages.ts"

/** Questions on their way to the worker; beyond it they fail at once. */
export const pendingAsksMax = 1_024
/** A position that no commit takes along is stored after this. */
const positionsDelayMs = 200
const restartMsMin = 100
const restartMsMax = 5_000
/** Closing waits this long for what is under way. */
const closeMsMax = 10_000

const workerEnded = "the log's worker ended"

export type SpawnLogWorker = (options: LogFileOptions) => Worker

export const spawnLogWorker: SpawnLogWorker = (options) =>
  new Worker(new URL("./SqliteLogWorker.ts", import.meta.url), { workerData: options, name: "parley-log" })

/** How the first opening went. */
export type Opening =
  | { readonly _tag: "Opened"; readonly damage: ReadonlyArray<Damage>; readonly diskFull: boolean }
  | { readonly _tag: "NotOpened"; readonly damaged: boolean; readonly what: string }

export class LogWorkerClient {
  readonly positions = new ConsumerPositions()
  private readonly options: LogFileOptions
  private readonly spawn: SpawnLogWorker
  private readonly onTrouble: (what: string) => void
  private readonly commits: CommitQueue
  private readonly asks = new Map<number, { readonly ask: LogAsk; readonly answered: (answer: LogAnswer) => void }>()
  private worker: Worker | undefined
  private open = false
  private opened: ((opening: Opening) => void) | undefined
  private closing: (() => void) | undefined
  private closed = false
  private nextAsk = 1
  private batchPositions: ReadonlyArray<StoredPosition> = []
  private sentPositions: ReadonlyArray<StoredPosition> | undefined
  private positionsTimer: NodeJS.Timeout | undefined
  private restartTimer: NodeJS.Timeout | undefined
  private restartMs = restartMsMin
  private trouble = workerEnded

  /** `onTrouble` is told, for the server's log, what went wrong and that it is tried again. */
  constructor(
    options: LogFileOptions,
    commitWindowMs: number,
    onTrouble: (what: string) => void,
    spawn: SpawnLogWorker = spawnLogWorker
  ) {
    this.options = options
    this.spawn = spawn
    this.onTrouble = onTrouble
    this.commits = new CommitQueue(
      commitWindowMs,
      (buffer) => {
        this.batchPositions = this.positions.handOver()
        this.post({ _tag: "Batch", buffer, positions: this.batchPositions }, [buffer])
      },
      () => this.closeWhenIdle()
    )
  }

  /** The first opening; when it fails there is no other try. */
  start(): Promise<Opening> {
    return new Promise((resolve) => {
      this.opened = resolve
      this.startWorker()
    })
  }

  append(append: Append): void {
    this.commits.append(append)
  }

  /** The commit window is not waited out. */
  hurry(): void {
    this.commits.hurry()
  }

  /** Asks the worker; `answered` is called once, later, unless the returned function is called first. */
  ask(ask: LogAsk, answered: (answer: LogAnswer) => void): () => void {
    const id = this.nextAsk++
    this.asks.set(id, { ask, answered })
    const refused = this.closing !== undefined || !this.open ? this.trouble : this.tooMany()
    if (refused === undefined) this.post({ _tag: "Ask", id, ask })
    else queueMicrotask(() => this.answer(id, { _tag: "Failed", cause: refused }))
    return () => {
      // A purge goes on, and its positions are wanted back if it fails; the answer is nobody's.
      if (this.asks.has(id)) this.asks.set(id, { ask, answered: () => undefined })
    }
  }

  private tooMany(): string | undefined {
    return this.asks.size > pendingAsksMax ? "too many reads of the log at once" : undefined
  }

  /** Moves a consumer's position; it is stored with the next commit or a little later. */
  advance(consumer: string, shard: number, position: number): void {
    if (this.positions.advance(consumer, shard, position)) this.armPositions()
  }

  private armPositions(): void {
    if (this.closed || !this.positions.hasMoved()) return
    this.positionsTimer ??= setTimeout(() => {
      this.positionsTimer = undefined
      if (!this.open || this.sentPositions !== undefined) return this.armPositions()
      this.sentPositions = this.positions.handOver()
      if (this.sentPositions.length === 0) this.sentPositions = undefined
      else this.post({ _tag: "Positions", positions: this.sentPositions })
    }, positionsDelayMs)
  }

  private post(request: LogRequest, transfer: ReadonlyArray<ArrayBuffer> = []): void {
    this.worker?.postMessage(request, [...transfer])
  }

  private startWorker(): void {
    const worker = this.spawn(this.options)
    this.worker = worker
    // The only sender is SqliteLogWorker.
    worker.on("message", (reply: LogReply) => this.receive(reply))
    worker.on("error", (error) => {
      this.trouble = `the log's worker failed: ${error instanceof Error ? error.message : String(error)}`
    })
    worker.on("exit", () => this.workerEnded())
  }

  private receive(reply: LogReply): void {
    switch (reply._tag) {
      case "Opened":
        this.open = true
        this.trouble = workerEnded
        this.restartMs = restartMsMin
        this.positions.loaded(reply.positions)
        this.commits.setReady(true)
        this.opened?.(reply)
        this.opened = undefined
        return this.armPositions()
      case "NotOpened":
        this.trouble = reply.what
        this.opened?.(reply)
        return
      case "BatchDone":
        if (!reply.positionsStored) this.positions.again(this.batchPositions)
        this.batchPositions = []
        this.commits.done(reply.buffer, reply.cause)
        return this.armPositions()
      case "PositionsDone":
        if (!reply.stored) this.positions.again(this.sentPositions ?? [])
        this.sentPositions = undefined
        return this.armPositions()
      case "Answer":
        return this.answer(reply.id, reply.answer)
      case "Ending":
        this.trouble = reply.what
        this.open = false
        return this.commits.setReady(false)
      case "Closed":
        return
    }
  }

  private answer(id: number, answer: LogAnswer): void {
    const waiting = this.asks.get(id)
    this.asks.delete(id)
    if (waiting === undefined) return
    if (waiting.ask._tag === "Purge" && answer._tag !== "Purged") {
      this.positions.again(waiting.ask.positions)
      this.armPositions()
    }
    waiting.answered(answer)
  }

  private workerEnded(): void {
    this.worker = undefined
    this.open = false
    this.sentPositions = undefined
    this.batchPositions = []
    this.positions.allAgain()
    this.commits.lost(this.trouble)
    for (const id of this.asks.keys()) this.answer(id, { _tag: "Failed", cause: this.trouble })
    if (this.closing !== undefined) return this.finish()
    if (this.opened !== undefined) {
      // It ended without a word at the first opening; a promise that is resolved already is not changed by this.
      this.opened({ _tag: "NotOpened", damaged: false, what: this.trouble })
      return this.finish()
    }
    this.onTrouble(`${this.trouble}; the log is opened anew in ${this.restartMs} ms`)
    this.restartTimer = setTimeout(() => this.startWorker(), this.restartMs)
    this.restartMs = Math.min(2 * this.restartMs, restartMsMax)
  }

  /** Commits what is queued, stores positions, closes the file. What is not done in time is ambiguous. */
  close(): Promise<void> {
    if (this.closed) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(() => void this.worker?.terminate(), closeMsMax)
      this.closing = () => {
        clearTimeout(timer)
        resolve()
      }
      clearTimeout(this.positionsTimer)
      clearTimeout(this.restartTimer)
      this.trouble = "the log is closed"
      if (this.worker === undefined) this.finish()
      else this.closeWhenIdle()
    })
  }

  private closeWhenIdle(): void {
    if (this.closing === undefined || !this.commits.isIdle()) return
    this.commits.setReady(false)
    this.post({ _tag: "Close", positions: this.positions.handOver() })
  }

  private finish(): void {
    this.closed = true
    this.trouble = "the log is closed"
    this.commits.close(this.trouble)
    this.closing?.()
  }
}
