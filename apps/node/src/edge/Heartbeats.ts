/**
 * One timing wheel for all connections: hello in time, pings to the silent, idle ones closed, tokens that end. A
 * connection lies in one slot and is looked at when the slot's second comes; hearing from it moves nothing (its next
 * look finds that out). No timer a socket. Plain TypeScript on the hot path: bench `idle`.
 */
import type { CloseName } from "@parley/protocol/CloseCode"
import type { Connection } from "./Connection.ts"

/** Grain of the wheel, and its span: what lies further off is looked at on the way. */
export const tickMs = 250
const slotsMax = 512

export interface HeartbeatOptions {
  readonly helloTimeoutMs: number
  readonly pingAfterMs: number
  readonly idleTimeoutMs: number
  /** Wall clock in ms, for tokens. */
  readonly now: () => number
  readonly ping: (connection: Connection) => void
  readonly close: (connection: Connection, why: CloseName) => void
}

export class Heartbeats {
  readonly #options: HeartbeatOptions
  readonly #slots: Array<Array<Connection>> = Array.from({ length: slotsMax }, () => [])
  #tick = 0
  #timer: NodeJS.Timeout | undefined = undefined
  /** Milliseconds on the wheel's own, monotonic clock; coarse and cheap to read. */
  now = Math.floor(performance.now())

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer = setInterval(() => this.advance(Math.floor(performance.now())), tickMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Puts a connection on the wheel, or to another place on it: after a change of state or token. */
  add(connection: Connection): void {
    this.#schedule(connection)
  }

  /** Goes on to `now`, at most once around. */
  advance(now: number): void {
    const ticks = Math.min(Math.floor((now - this.now) / tickMs), slotsMax)
    if (ticks <= 0) return
    this.now += ticks * tickMs
    if (this.now + tickMs < now) this.now = now
    for (let i = 0; i < ticks; i++) {
      this.#tick++
      const slot = this.#tick % slotsMax
      const due = this.#slots[slot]
      if (due === undefined || due.length === 0) continue
      this.#slots[slot] = []
      for (const connection of due) if (connection.dueTick === this.#tick) this.#look(connection)
    }
  }

  #look(connection: Connection): void {
    if (connection.state === "closed") return
    const why = this.#over(connection)
    if (why !== undefined) {
      this.#options.close(connection, why)
      return
    }
    const silentMs = this.now - connection.heardAt
    if (connection.state === "live" && !connection.pinged && silentMs >= this.#options.pingAfterMs) {
      connection.pinged = true
      this.#options.ping(connection)
    }
    this.#schedule(connection)
  }

  #over(connection: Connection): CloseName | undefined {
    if (connection.state !== "live") {
      return this.now - connection.openedAt >= this.#options.helloTimeoutMs ? "hello_timeout" : undefined
    }
    if (connection.expiresAt <= this.#options.now()) return "token_expired"
    return this.now - connection.heardAt >= this.#options.idleTimeoutMs ? "idle" : undefined
  }

  /** Into the slot of the next moment at which something may be due. */
  #schedule(connection: Connection): void {
    const { helloTimeoutMs, idleTimeoutMs, now, pingAfterMs } = this.#options
    const waitMs =
      connection.state !== "live"
        ? connection.openedAt + helloTimeoutMs - this.now
        : Math.min(
            connection.heardAt + (connection.pinged ? idleTimeoutMs : pingAfterMs) - this.now,
            connection.expiresAt - now()
          )
    const ticks = Math.min(Math.max(1, Math.ceil(waitMs / tickMs)), slotsMax - 1)
    connection.dueTick = this.#tick + ticks
    this.#slots[connection.dueTick % slotsMax]?.push(connection)
  }
}
