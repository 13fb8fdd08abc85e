/**
 * Brings the device up to date: one sync, with everything it holds, page by page, on each new connection and whenever a
 * hole was not filled in time. One at a time; what is asked meanwhile is asked again after it.
 *
 * Promises: after a sync that ended, each channel is at least where the server's head was when it began, or was told to reload (NO-GAP-SYNC).
 */
import { Limits } from "@parley/protocol/Limits"
import { fullJitter, retryDelay } from "./Backoff.ts"
import type { ClientSettings } from "./ClientSettings.ts"
import type { Cancel, Environment } from "./Environment.ts"
import type { AnswerOf, ErrorObject, OpFields, PlainPosition, PlainUserEvent, Result } from "./PlainFrame.ts"

export interface SyncHost {
  request(op: "sync", fields: OpFields<"sync">, done: (result: Result<AnswerOf<"sync">>) => void): void
  /** What is held, the liveliest channels first. */
  held(): ReadonlyArray<readonly [channel: string, generation: number, seq: number]>
  session(): PlainPosition
  /** The session can't be continued: what was held before this answer may be of another stay in a channel. */
  reloaded(): void
  /** One page of a sync that was asked for at `askedAt`, monotonic. */
  page(answer: Pick<AnswerOf<"sync">, "channels" | "lost">, askedAt: number): void
  /** All pages are in. */
  finished(outcome: SyncOutcome): void
  /** A sync could not be had now, and is tried again; with the server's error, if it said one. */
  failed(error: ErrorObject | undefined): void
}

export interface SyncOutcome {
  /** Monotonic time at which it was asked for. */
  readonly startedAt: number
  readonly session: PlainPosition
  /** After the session position that was named. */
  readonly personal: ReadonlyArray<PlainUserEvent>
  /** With a reload of the session: the only channels there are. */
  readonly listed: ReadonlySet<string> | null
}

interface Suspicion {
  readonly since: number
  readonly position: number
  readonly missing: () => boolean
}

/** Characters of positions in one frame; what does not fit is answered as new. Leaves room for the rest of the frame. */
const positionCharsMax = Limits.frameBytesMax - 4_096

export class Synchronizer {
  readonly #host: SyncHost
  readonly #environment: Environment
  readonly #settings: ClientSettings
  /** The sync under way; an answer to another one is none of ours. */
  #run: object | undefined
  #open = false
  #again = false
  #failures = 0
  #retry: Cancel | undefined
  readonly #suspicions = new Map<string, Suspicion>()
  #suspicionTimer: Cancel | undefined
  #fruitless = 0

  constructor(host: SyncHost, environment: Environment, settings: ClientSettings) {
    this.#host = host
    this.#environment = environment
    this.#settings = settings
  }

  open(): void {
    this.#open = true
    this.#failures = 0
    this.now()
  }

  close(): void {
    this.#open = false
    this.#run = undefined
    this.#again = false
    this.#retry?.()
    this.#retry = undefined
    this.#suspicionTimer?.()
    this.#suspicionTimer = undefined
    this.#suspicions.clear()
    this.#fruitless = 0
  }

  now(): void {
    if (!this.#open) return
    if (this.#run !== undefined) {
      this.#again = true
      return
    }
    this.#retry?.()
    this.#retry = undefined
    this.#start()
  }

  /** At `position` something is `missing` in the sequence `of`, which may still come by itself. */
  suspect(of: string, position: number, missing: () => boolean): void {
    if (!this.#open || this.#suspicions.get(of)?.position === position) return
    this.#suspicions.set(of, { since: this.#environment.monotonic(), position, missing })
    this.#watchSuspicions()
  }

  #start(): void {
    const run = {}
    const startedAt = this.#environment.monotonic()
    this.#run = run
    const request: OpFields<"sync"> = { channels: fitting(this.#host.held()), session: this.#host.session() }
    const personal: Array<PlainUserEvent> = []
    const listed = new Set<string>()
    let reload = false
    let behind = false
    let unavailable = false
    const ask = (page: string | null): void =>
      this.#host.request("sync", page === null ? request : { ...request, page }, (result) => {
        if (this.#run !== run) return
        if (result._tag !== "Ok") return this.#failed(result)
        const answer = result.value
        if (answer.reload) this.#host.reloaded()
        reload ||= answer.reload
        personal.push(...answer.personal)
        for (const { from, head, to } of answer.channels) {
          listed.add(head.channel)
          // A sync holds each channel once, with so many events: the next one goes on where it ended.
          behind ||= to > from && to < head.seq
        }
        for (const channel of answer.unavailable ?? []) {
          // Still a channel of the user: what is held of it stays until it can be answered.
          listed.add(channel)
          unavailable = true
        }
        this.#host.page(answer, startedAt)
        if (answer.more !== null) return ask(answer.more)
        this.#run = undefined
        this.#failures = unavailable ? this.#failures + 1 : 0
        this.#host.finished({ startedAt, session: answer.session, personal, listed: reload ? listed : null })
        if (this.#again || behind) {
          this.#again = false
          this.#start()
        } else if (unavailable) this.#later(undefined)
      })
    ask(null)
  }

  #failed(result: Exclude<Result<never>, { _tag: "Ok" }>): void {
    this.#run = undefined
    this.#again = false
    this.#failures += 1
    this.#later(result._tag === "Refused" ? result.error : undefined)
    this.#host.failed(result._tag === "Refused" ? result.error : undefined)
  }

  #later(error: ErrorObject | undefined): void {
    const { backoffBaseMs, backoffMaxMs } = this.#settings
    const random = this.#environment.random()
    const wait =
      error?.retryable === true
        ? retryDelay(this.#failures, error.retry_after_ms, backoffMaxMs, random)
        : fullJitter(this.#failures, backoffBaseMs, backoffMaxMs, random)
    this.#retry = this.#environment.after(wait, () => this.now())
  }

  #watchSuspicions(): void {
    if (this.#suspicionTimer !== undefined || this.#suspicions.size === 0) return
    // A sync that did not help is no reason to sync at full speed.
    const wait = Math.min(this.#settings.gapWaitMs * 2 ** Math.min(this.#fruitless, 10), this.#settings.backoffMaxMs)
    this.#suspicionTimer = this.#environment.after(wait, () => {
      this.#suspicionTimer = undefined
      // A hole that a running sync fills is none.
      if (this.#run === undefined && this.#retry === undefined) this.#judge(wait)
      this.#watchSuspicions()
    })
  }

  #judge(waited: number): void {
    for (const [of, { missing }] of this.#suspicions) if (!missing()) this.#suspicions.delete(of)
    if (this.#suspicions.size === 0) {
      this.#fruitless = 0
      return
    }
    const due = this.#environment.monotonic() - waited
    if (![...this.#suspicions.values()].some(({ since }) => since <= due)) return
    this.#fruitless += 1
    this.now()
  }
}

/** As many positions as one frame holds. */
const fitting = (held: ReadonlyArray<readonly [string, number, number]>): OpFields<"sync">["channels"] => {
  const fit: Array<readonly [string, number, number]> = []
  let chars = 0
  for (const position of held) {
    chars += position[0].length + String(position[1]).length + String(position[2]).length + 8
    if (fit.length >= Limits.syncChannelsMax || chars > positionCharsMax) break
    fit.push(position)
  }
  return fit
}
