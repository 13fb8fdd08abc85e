/**
 * Keeps a device connected: token, socket, hello, and again after each end, as the close code says (`afterClose`) and
 * no faster than full jitter and the server's own delay allow. Renews the token on the live socket before it ends.
 * What travels on the connection is others' business.
 */
import { afterClose, closeTable, type CloseThen } from "@parley/protocol/CloseCode"
import { Backoff, delayInReason } from "./Backoff.ts"
import type { ClientSettings } from "./ClientSettings.ts"
import type { Clock } from "./Clock.ts"
import { Edges } from "./Edges.ts"
import type { Cancel, Environment } from "./Environment.ts"
import type { AnswerOf, ErrorObject, OpFields, OpNames, PlainPush, Result } from "./PlainFrame.ts"
import { renewBefore, type TokenOption, TokenSource } from "./TokenSource.ts"
import { closedAbnormally, Wire } from "./Wire.ts"

export type ConnectionStatus =
  | { readonly state: "idle" }
  | { readonly state: "connecting" }
  | { readonly state: "online" }
  /** Connects again at `until` (this device's clock). */
  | { readonly state: "waiting"; readonly until: number; readonly reason: string }
  /** Only `start` connects again. */
  | { readonly state: "stopped"; readonly code: number; readonly reason: string }

export interface ConnectionOptions {
  readonly url: string
  /** Edges of this zone are asked for; empty: any. */
  readonly zone: string
  readonly token: TokenOption
  /** Asked at each hello. */
  readonly device: () => string
  readonly client: string
}

export interface ConnectionHost {
  readonly environment: Environment
  readonly settings: ClientSettings
  readonly clock: Clock
  online(hello: AnswerOf<"hello">): void
  /** After `online`, once. */
  offline(): void
  pushed(push: PlainPush): void
  changed(status: ConnectionStatus): void
}

export class Connection {
  readonly #options: ConnectionOptions
  readonly #host: ConnectionHost
  readonly #backoff: Backoff
  readonly #tokens: TokenSource
  readonly #edges: Edges
  #status: ConnectionStatus = { state: "idle" }
  #wire: Wire | undefined
  /** Changes with each attempt, start and stop: what an older one still has under way is void. */
  #attempt: object = {}
  #onlineSince: number | undefined
  #tokenRefusals = 0
  #retry: Cancel | undefined
  #renewal: Cancel | undefined
  #move: { readonly at: number; readonly cancel: Cancel } | undefined

  constructor(options: ConnectionOptions, host: ConnectionHost) {
    this.#options = options
    this.#host = host
    this.#backoff = new Backoff(host.settings, () => host.environment.random())
    this.#tokens = new TokenSource(options.token, host.environment, host.settings.connectTimeoutMs)
    this.#edges = new Edges(options.url, options.zone, host.environment, host.settings)
  }

  get status(): ConnectionStatus {
    return this.#status
  }

  start(): void {
    if (this.#status.state !== "idle" && this.#status.state !== "stopped") return
    this.#tokenRefusals = 0
    this.#backoff.reset()
    void this.#connect()
  }

  stop(): void {
    this.#attempt = {}
    this.#retry?.()
    // First, so that the end of the socket is known as wanted.
    this.#setStatus({ state: "idle" })
    this.#wire?.close(1000, "closed by the application")
  }

  /** The network is back, the device woke up: what waits tries now, and a live connection shows whether it is one. */
  wake(): void {
    if (this.#status.state === "waiting") {
      this.#retry?.()
      void this.#connect()
    } else if (this.#status.state === "online") this.#wire?.ping()
  }

  request<Name extends OpNames>(
    op: Name,
    fields: OpFields<Name>,
    done: (result: Result<AnswerOf<Name>>) => void
  ): void {
    if (this.#wire === undefined || this.#status.state !== "online") queueMicrotask(() => done({ _tag: "Lost" }))
    else this.#wire.request(op, fields, done)
  }

  /** An answer said that the token no longer counts: a new one on a new connection. */
  tokenRefused(): void {
    this.#wire?.close(closeTable.token_expired.code, "")
  }

  async #connect(): Promise<void> {
    const attempt = {}
    this.#attempt = attempt
    this.#setStatus({ state: "connecting" })
    const { environment, settings, clock } = this.#host
    let token: string
    try {
      token = await this.#tokens.get(clock.serverNow())
    } catch (error) {
      if (this.#attempt === attempt) this.#wait(error instanceof Error ? error.message : String(error), 0)
      return
    }
    try {
      const address = await this.#edges.socket()
      if (this.#attempt !== attempt) return
      const wire = new Wire(address, environment, settings, {
        opened: () => this.#hello(wire, token),
        pushed: (push) => this.#pushed(push),
        closed: (code, reason) => this.#closed(wire, code, reason),
        measured: (serverTime, roundTripMs) => clock.measured(serverTime, roundTripMs)
      })
      this.#wire = wire
    } catch (error) {
      // The address is no address: no waiting makes it one.
      this.#setStatus({ state: "stopped", code: 0, reason: error instanceof Error ? error.message : String(error) })
    }
  }

  #hello(wire: Wire, token: string): void {
    const sentAt = this.#host.environment.monotonic()
    const { device, client } = this.#options
    wire.request("hello", { token, device: device(), client }, (result) => {
      if (result._tag === "Lost") return wire.close(closedAbnormally, "")
      if (result._tag === "Refused") return this.#helloRefused(wire, result.error)
      const hello = result.value
      this.#host.clock.measured(hello.server_time, this.#host.environment.monotonic() - sentAt)
      wire.heartbeat(hello.heartbeat_ms)
      this.#tokenRefusals = 0
      this.#onlineSince = this.#host.environment.monotonic()
      this.#accepted(wire, hello)
      this.#setStatus({ state: "online" })
      this.#host.online(hello)
    })
  }

  /** Some refuse in the answer and close after it; the answer is enough. */
  #helloRefused(wire: Wire, error: ErrorObject): void {
    if (error.code === "unauthenticated" || error.code === "token_expired") {
      wire.close(closeTable[error.code].code, error.message)
    } else if (error.retryable) {
      wire.close(closeTable.overloaded.code, String(error.retry_after_ms ?? 0))
    } else wire.close(closeTable.forbidden.code, error.message)
  }

  #accepted(wire: Wire, hello: AnswerOf<"hello">): void {
    this.#tokens.accepted(hello.server_time, hello.expires_at)
    this.#renewal?.()
    if (!this.#tokens.renewable) return
    const life = hello.expires_at - hello.server_time
    this.#renewal = this.#host.environment.after(life - renewBefore(life), () => void this.#renew(wire))
  }

  /** Another hello on the same connection. If it fails, the old token still has a while; then the server closes with 4201. */
  async #renew(wire: Wire): Promise<void> {
    let token: string
    try {
      token = await this.#tokens.renew()
    } catch {
      this.#renewLater(wire)
      return
    }
    if (this.#wire !== wire) return
    const { device, client } = this.#options
    wire.request("hello", { token, device: device(), client }, (result) => {
      if (this.#wire !== wire) return
      if (result._tag === "Ok") return this.#accepted(wire, result.value)
      if (result._tag === "Refused" && !result.error.retryable) return this.#helloRefused(wire, result.error)
      this.#renewLater(wire)
    })
  }

  #renewLater(wire: Wire): void {
    if (this.#wire !== wire) return
    const { backoffBaseMs } = this.#host.settings
    const wait = backoffBaseMs * (1 + this.#host.environment.random())
    this.#renewal = this.#host.environment.after(wait, () => void this.#renew(wire))
  }

  #pushed(push: PlainPush): void {
    if (push.ev !== "drain") return this.#host.pushed(push)
    // The server spreads its clients over a window: this one's turn is then, not before.
    const { environment, settings } = this.#host
    const wait = Math.min(Math.max(push.after_ms, 0), settings.serverDelayMsMax)
    this.#move?.cancel()
    const cancel = environment.after(wait, () => this.#wire?.close(closeTable.replaced.code, "moving"))
    this.#move = { at: environment.monotonic() + wait, cancel }
  }

  #closed(wire: Wire, code: number, reason: string): void {
    if (this.#wire !== wire) return
    this.#wire = undefined
    this.#renewal?.()
    const { monotonic } = this.#times()
    const drained = this.#move === undefined ? 0 : Math.max(0, this.#move.at - monotonic)
    const moving = this.#move !== undefined && drained === 0
    this.#move?.cancel()
    this.#move = undefined
    const wasOnline = this.#onlineSince !== undefined
    if (
      this.#onlineSince !== undefined &&
      (moving || monotonic - this.#onlineSince >= this.#host.settings.stableAfterMs)
    ) {
      this.#backoff.reset()
    }
    this.#onlineSince = undefined
    const stopped = this.#status.state === "idle"
    if (moving || drained > 0 || afterClose(code) === "delay") this.#edges.moved()
    else if (code === closedAbnormally || !wasOnline) this.#edges.lost()
    if (wasOnline) this.#host.offline()
    if (!stopped) this.#after(afterClose(code), code, reason, drained)
  }

  #after(then: CloseThen, code: number, reason: string, drainedMs: number): void {
    switch (then) {
      case "stop":
        return this.#setStatus({ state: "stopped", code, reason: reason || textOf(code) })
      case "token":
        this.#tokenRefusals += 1
        this.#tokens.refused()
        if (!this.#tokens.renewable || this.#tokenRefusals > this.#host.settings.tokenRefusalsMax) {
          return this.#setStatus({ state: "stopped", code, reason: reason || textOf(code) })
        }
        return this.#wait(textOf(code), 0)
      case "delay":
        return this.#wait(textOf(code), delayInReason(reason) ?? drainedMs)
      case "reconnect":
        return this.#wait(reason || textOf(code), drainedMs)
    }
  }

  #wait(reason: string, serverDelayMs: number): void {
    const wait = this.#backoff.next(serverDelayMs)
    this.#setStatus({ state: "waiting", until: this.#times().now + wait, reason })
    this.#retry = this.#host.environment.after(wait, () => void this.#connect())
  }

  #times(): { readonly now: number; readonly monotonic: number } {
    return { now: this.#host.environment.now(), monotonic: this.#host.environment.monotonic() }
  }

  #setStatus(status: ConnectionStatus): void {
    if (status.state === "idle" && this.#status.state === "idle") return
    this.#status = status
    this.#host.changed(status)
  }
}

const texts: ReadonlyMap<number, string> = new Map(Object.values(closeTable).map(({ code, text }) => [code, text]))

const textOf = (code: number): string => texts.get(code) ?? "The connection was lost."
