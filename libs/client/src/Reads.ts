/**
 * Tells the server how far this device has shown (`read`) and received (`delivered`), at most one of each a channel and
 * interval, always the newest. What could not be said is said on the next connection: a cursor is merged by max, so
 * saying it again is harmless (†5). A `read` of nothing moves no cursor, and is answered with where it is and the counts.
 */
import type { ClientSettings } from "./ClientSettings.ts"
import type { Cancel, Environment } from "./Environment.ts"
import type { PlainReadState, Result } from "./PlainFrame.ts"
import { retryDelay } from "./Backoff.ts"

export interface ReadsHost {
  /** The answer to `delivered` has no read state. */
  report(
    op: "read" | "delivered",
    channel: string,
    seq: number,
    done: (result: Result<PlainReadState | undefined>) => void
  ): void
  confirmed(channel: string, state: PlainReadState): void
  /** Where a cursor is has to be learned by a sync. */
  unknown(): void
}

interface Progress {
  read: number
  /** The counts have to be asked for, even if nothing was read. */
  asking: boolean
  delivered: number
  readSaid: number
  deliveredSaid: number
  /** Monotonic; nothing of the kind is said before. */
  readNotBefore: number
  deliveredNotBefore: number
  attempts: number
  underWay: "read" | "delivered" | undefined
}

export class Reads {
  readonly #host: ReadsHost
  readonly #environment: Environment
  readonly #settings: ClientSettings
  readonly #progress = new Map<string, Progress>()
  #open = false
  /** Monotonic; of any channel. */
  #nextAt = 0
  #timer: { readonly at: number; readonly cancel: Cancel } | undefined

  constructor(host: ReadsHost, environment: Environment, settings: ClientSettings) {
    this.#host = host
    this.#environment = environment
    this.#settings = settings
  }

  read(channel: string, seq: number): void {
    const progress = this.#of(channel)
    progress.read = Math.max(progress.read, seq)
    this.#say(channel, progress)
  }

  /** The server's cursor is behind what was read here, though it may have said otherwise: it is told again. */
  offerAgain(channel: string, seq: number): void {
    const progress = this.#of(channel)
    progress.readSaid = Math.min(progress.readSaid, seq - 1)
    this.read(channel, seq)
  }

  /** The counts are wanted. It moves nothing, so that it takes back no "mark unread" of another device. */
  ask(channel: string): void {
    const progress = this.#of(channel)
    // An answer that is too old as well shows when it is here.
    if (progress.underWay === "read") return
    progress.asking = true
    this.#say(channel, progress)
  }

  delivered(channel: string, seq: number): void {
    if (!this.#settings.reportDelivered) return
    const progress = this.#of(channel)
    if (seq <= Math.max(progress.delivered, progress.read)) return
    if (progress.delivered <= Math.max(progress.deliveredSaid, progress.readSaid)) {
      const gathered = this.#environment.monotonic() + this.#settings.deliveredGatherMs
      progress.deliveredNotBefore = Math.max(progress.deliveredNotBefore, gathered)
    }
    progress.delivered = seq
    this.#say(channel, progress)
  }

  /** The cursor was set back, or the channel left: what was to be said is void. */
  forget(channel: string): void {
    this.#progress.delete(channel)
  }

  open(): void {
    this.#open = true
    this.#sayAll()
  }

  close(): void {
    this.#open = false
    this.#timer?.cancel()
    this.#timer = undefined
    for (const progress of this.#progress.values()) {
      progress.underWay = undefined
      progress.readNotBefore = 0
      progress.deliveredNotBefore = 0
    }
  }

  #of(channel: string): Progress {
    const known = this.#progress.get(channel)
    if (known !== undefined) return known
    const fresh: Progress = {
      read: 0,
      asking: false,
      delivered: 0,
      readSaid: 0,
      deliveredSaid: 0,
      readNotBefore: 0,
      deliveredNotBefore: 0,
      attempts: 0,
      underWay: undefined
    }
    this.#progress.set(channel, fresh)
    return fresh
  }

  #say(channel: string, progress: Progress): void {
    if (!this.#open || progress.underWay !== undefined) return
    const op = opOf(progress)
    const read = progress.read > progress.readSaid ? progress.read : 0
    const seq = op === "read" ? read : progress.delivered
    // What was read was delivered.
    if (op === "delivered" && seq <= Math.max(progress.deliveredSaid, progress.readSaid)) return
    const now = this.#environment.monotonic()
    const notBefore = Math.max(progress[`${op}NotBefore`], this.#nextAt)
    if (now < notBefore) return this.#wake(notBefore)
    this.#nextAt = now + this.#settings.readSpacingMs
    progress.underWay = op
    if (op === "read") progress.asking = false
    progress[`${op}NotBefore`] = now + this.#settings.readIntervalMs
    this.#host.report(op, channel, seq, (result) => {
      if (this.#progress.get(channel) !== progress) return this.#answeredLate(op, channel, result)
      progress.underWay = undefined
      this.#answered(op, channel, progress, seq, result)
      this.#say(channel, progress)
    })
  }

  /** It was forgotten meanwhile, but it may have moved the cursor: what it says holds, or has to be found out. */
  #answeredLate(op: "read" | "delivered", channel: string, result: Result<PlainReadState | undefined>): void {
    if (op === "delivered") return
    if (result._tag !== "Ok") this.#host.unknown()
    else if (result.value !== undefined) this.#host.confirmed(channel, result.value)
  }

  #answered(
    op: "read" | "delivered",
    channel: string,
    progress: Progress,
    seq: number,
    result: Result<PlainReadState | undefined>
  ): void {
    const again = result._tag === "Lost" || (result._tag === "Refused" && result.error.retryable)
    if (again) {
      if (op === "read" && seq === 0) progress.asking = true
      progress.attempts += 1
      const asked = result._tag === "Refused" ? result.error.retry_after_ms : undefined
      const wait = retryDelay(progress.attempts, asked, this.#settings.backoffMaxMs, this.#environment.random())
      progress[`${op}NotBefore`] = this.#environment.monotonic() + wait
      return
    }
    progress.attempts = 0
    if (op === "read") progress.readSaid = Math.max(progress.readSaid, seq)
    else progress.deliveredSaid = Math.max(progress.deliveredSaid, seq)
    // A refusal for good ends it: the next sync says where the cursor is.
    if (result._tag === "Ok" && result.value !== undefined && op === "read") this.#host.confirmed(channel, result.value)
  }

  /** One timer for all channels, set to the first that has something to say. */
  #wake(at: number): void {
    if (this.#timer !== undefined && this.#timer.at <= at) return
    this.#timer?.cancel()
    const cancel = this.#environment.after(at - this.#environment.monotonic(), () => {
      this.#timer = undefined
      this.#sayAll()
    })
    this.#timer = { at, cancel }
  }

  /** What a person did goes before what the device says by itself. */
  #sayAll(): void {
    for (const first of ["read", "delivered"] as const) {
      for (const [channel, progress] of this.#progress) if (opOf(progress) === first) this.#say(channel, progress)
    }
  }
}

const opOf = ({ asking, read, readSaid }: Progress): "read" | "delivered" =>
  asking || read > readSaid ? "read" : "delivered"
