/**
 * Typing, both ways. Out: one sign an interval while keys are pressed, and one when it ends. In: who types, each until
 * his sign ends, his message comes, or its time is over. Never repeated, never stored (EPHEMERAL-IS-EPHEMERAL).
 */
import { Limits } from "@parley/protocol/Limits"
import type { Cancel, Environment } from "./Environment.ts"

/** Names shown in one channel; more would not be read. */
const typingUsersMax = 20

export class TypingUsers {
  readonly #environment: Environment
  readonly #changed: () => void
  /** User → when it ends, monotonic. */
  readonly #until = new Map<string, number>()
  #timer: Cancel | undefined

  constructor(environment: Environment, changed: () => void) {
    this.#environment = environment
    this.#changed = changed
  }

  get users(): ReadonlyArray<string> {
    return [...this.#until.keys()]
  }

  sign(user: string, on: boolean, ttlMs: number): void {
    if (!on) return this.ended(user)
    if (!this.#until.has(user)) {
      if (this.#until.size >= typingUsersMax) return
      this.#changed()
    }
    const ttl = Math.min(Math.max(ttlMs, 0), 2 * Limits.typingTtlMs)
    this.#until.set(user, this.#environment.monotonic() + ttl)
    this.#schedule()
  }

  ended(user: string): void {
    if (this.#until.delete(user)) this.#changed()
  }

  clear(): void {
    this.#timer?.()
    this.#timer = undefined
    if (this.#until.size === 0) return
    this.#until.clear()
    this.#changed()
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#until.size === 0) return
    const first = Math.min(...this.#until.values())
    this.#timer = this.#environment.after(first - this.#environment.monotonic(), () => {
      this.#timer = undefined
      const now = this.#environment.monotonic()
      for (const [user, until] of this.#until) if (until <= now) this.ended(user)
      this.#schedule()
    })
  }
}

export class OwnTyping {
  readonly #environment: Environment
  readonly #send: (on: boolean) => void
  #sentAt = Number.NEGATIVE_INFINITY
  #on = false
  #end: Cancel | undefined

  constructor(environment: Environment, send: (on: boolean) => void) {
    this.#environment = environment
    this.#send = send
  }

  /** A key was pressed. */
  pressed(): void {
    const now = this.#environment.monotonic()
    if (!this.#on || now - this.#sentAt >= Limits.typingIntervalMs) {
      this.#on = true
      this.#sentAt = now
      this.#send(true)
    }
    this.#end?.()
    this.#end = this.#environment.after(Limits.typingTtlMs, () => this.stopped())
  }

  /** The line was emptied, or left alone. */
  stopped(): void {
    const was = this.#on
    this.sent()
    if (was) this.#send(false)
  }

  /** The message itself ends the sign at the others. */
  sent(): void {
    this.#end?.()
    this.#end = undefined
    this.#on = false
  }
}
