/**
 * The near side of one store thread: typed calls, a bound on how many wait, and a new thread where one died. A call ends
 * with its answer or with StoreUnavailable, exactly once; what was asked of a thread that died may be done or not, which
 * every caller survives, because writes are idempotent.
 */
import { Effect, type Scope } from "effect"
import { Worker } from "node:worker_threads"
import { Pending } from "../Pending.ts"
import { StoreRefused, StoreUnavailable } from "../StoreError.ts"
import type { OpenFailure } from "./StoreFile.ts"
import type { ThreadAnswer, ThreadOptions, ThreadRequest } from "./StoreWorker.ts"

/** A thread that died is started again after this. */
const restartMs = 1_000
/** A thread that does not end by itself is ended after this; SQLite survives that. */
const closeMsMax = 10_000

// A call's own parameters are inferred from it; `unknown` would refuse every call with any.
// oxlint-disable-next-line no-explicit-any -- for the same reason
type Calls<Table> = { readonly [Name in keyof Table]: (...args: any) => unknown }

export interface StoreThread<Table extends Calls<Table>> {
  call<Name extends keyof Table & string>(
    name: Name,
    ...args: Parameters<Table[Name]>
  ): Effect.Effect<ReturnType<Table[Name]>, StoreUnavailable>
  /** A call whose caller tells what can't be done from what can't be done now. */
  write<Name extends keyof Table & string>(
    name: Name,
    ...args: Parameters<Table[Name]>
  ): Effect.Effect<ReturnType<Table[Name]>, StoreUnavailable | StoreRefused>
}

const unavailable = (cause: string): StoreUnavailable =>
  new StoreUnavailable({ store: "sqlite", cause: new Error(cause) })

interface Asked {
  readonly id: number
  readonly settle: Settle
}

type Settle = (answer: Extract<ThreadAnswer, { readonly _tag: "Ok" | "Failed" }>) => void

/**
 * Out of Effect, so that a call costs a map entry and its part of a message: what one turn of the event loop asks goes
 * over together, and answers come together, because a message between threads costs more than most reads.
 */
class Thread {
  readonly #options: ThreadOptions
  readonly #pendingMax: number
  readonly #script: URL
  readonly #pending = new Pending<number, Asked>()
  #worker: Worker | undefined
  /** Asked in this turn of the event loop. */
  #outbox: Array<NonNullable<ThreadRequest>> = []
  #open = false
  #closing = false
  #restart: NodeJS.Timeout | undefined
  #id = 0

  constructor(options: ThreadOptions, pendingMax: number, script: URL) {
    this.#options = options
    this.#pendingMax = pendingMax
    this.#script = script
  }

  /** `opened` is called once: null where the file is open. */
  start(opened: (failure: OpenFailure | null) => void): void {
    const worker = new Worker(this.#script, { workerData: this.#options, name: `store-${this.#options.role}` })
    this.#worker = worker
    let died = "the thread ended"
    worker.on("message", (answers: ReadonlyArray<ThreadAnswer>) => {
      for (const answer of answers) {
        if (answer._tag === "Opened") {
          this.#open = true
          opened(null)
        } else if (answer._tag === "OpenFailed") {
          opened(answer.failure)
        } else {
          this.#pending.take(answer.id)?.settle(answer)
        }
      }
    })
    worker.on("error", (error) => {
      died = String(error)
    })
    worker.on("exit", () => {
      this.#worker = undefined
      this.#open = false
      this.#outbox = []
      opened({ _tag: "Unavailable", cause: died })
      for (const { id, settle } of this.#pending.takeAll()) settle({ _tag: "Failed", id, cause: died, refused: false })
      if (!this.#closing) this.#restart = setTimeout(() => this.start(() => {}), restartMs)
    })
  }

  request(method: string, args: ReadonlyArray<unknown>, settle: Settle): void {
    const id = ++this.#id
    if (this.#worker === undefined || !this.#open || this.#closing) {
      settle({ _tag: "Failed", id, cause: "the store's thread is not running", refused: false })
    } else if (this.#pending.size >= this.#pendingMax) {
      settle({ _tag: "Failed", id, cause: `${this.#pendingMax} calls wait for the store already`, refused: false })
    } else {
      if (this.#outbox.push({ id, method, args }) === 1) setImmediate(this.#flush)
      this.#pending.add(id, { id, settle })
    }
  }

  readonly #flush = (): void => {
    if (this.#outbox.length === 0) return
    const requests = this.#outbox
    this.#outbox = []
    if (this.#worker !== undefined) this.#post(this.#worker, requests)
  }

  /** What was asked before is done before. */
  close(closed: () => void): void {
    this.#closing = true
    clearTimeout(this.#restart)
    const worker = this.#worker
    if (worker === undefined) return closed()
    this.#flush()
    const deadline = setTimeout(() => void worker.terminate(), closeMsMax)
    worker.once("exit", () => {
      clearTimeout(deadline)
      closed()
    })
    this.#post(worker, [null])
  }

  #post(worker: Worker, requests: ReadonlyArray<ThreadRequest>): void {
    // The rule is about windows; a thread has no origin.
    // oxlint-disable-next-line require-post-message-target-origin
    worker.postMessage(requests)
  }
}

/** Starts the thread, waits until its file is open, and ends it with the scope. `script` is another one in tests. */
export const makeStoreThread = <Table extends Calls<Table>>(
  options: ThreadOptions & { readonly pendingMax: number },
  script: URL = new URL("./StoreWorker.ts", import.meta.url)
): Effect.Effect<StoreThread<Table>, OpenFailure, Scope.Scope> =>
  Effect.gen(function* () {
    const thread = yield* Effect.acquireRelease(
      Effect.sync(() => new Thread({ file: options.file, role: options.role }, options.pendingMax, script)),
      (it) => Effect.callback<void>((resume) => it.close(() => resume(Effect.void)))
    )
    yield* Effect.callback<void, OpenFailure>((resume) => {
      thread.start((failure) => resume(failure === null ? Effect.void : Effect.fail(failure)))
    })
    const ask = <Name extends keyof Table & string, E>(
      name: Name,
      args: Parameters<Table[Name]>,
      failure: (answer: Extract<ThreadAnswer, { readonly _tag: "Failed" }>) => E
    ) =>
      Effect.callback<ReturnType<Table[Name]>, E>((resume) => {
        thread.request(name, args, (answer) => {
          if (answer._tag === "Failed") return resume(Effect.fail(failure(answer)))
          // Reason for `as`: the thread ran `Table[name]`, so its answer is that call's result.
          resume(Effect.succeed(answer.value as ReturnType<Table[Name]>))
        })
      })
    return {
      call: (name, ...args) => ask(name, args, ({ cause }) => unavailable(cause)),
      write: (name, ...args) =>
        ask(name, args, ({ cause, refused }) =>
          refused ? new StoreRefused({ store: "sqlite", what: cause }) : unavailable(cause)
        )
    }
  })
