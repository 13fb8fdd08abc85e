/**
 * One WebSocket from its opening to its end: frames, answers matched to requests, the heartbeat, and the end told once.
 * Answers and pushes are handed on in the order of their frames, within the same turn. A peer that is silent for two
 * heartbeats, or 26 s, is dead, whatever the socket itself believes.
 */
import { Limits } from "@parley/protocol/Limits"
import type { ClientSettings } from "./ClientSettings.ts"
import type { Cancel, ClientSocket, Environment } from "./Environment.ts"
import { type AnswerOf, type OpFields, type OpNames, type PlainPush, type Result, subprotocol } from "./PlainFrame.ts"

export interface WireHandlers {
  opened(): void
  pushed(push: PlainPush): void
  /** Once, after all requests were answered as lost. */
  closed(code: number, reason: string): void
  /** Any answer that tells the server's time. */
  measured(serverTime: number, roundTripMs: number): void
}

interface Pending {
  readonly sentAt: number
  readonly done: (result: Result<never>) => void
}

/** As browsers give it where no close frame came. */
export const closedAbnormally = 1006

/** A server that names another heartbeat is followed within these bounds, so that "dead in under 30 s" stays true. */
const heartbeatMsMin = 1_000
const deadAfterMsMax = 26_000

export class Wire {
  readonly #environment: Environment
  readonly #settings: ClientSettings
  readonly #handlers: WireHandlers
  readonly #socket: ClientSocket
  readonly #pending = new Map<number, Pending>()
  #open = false
  #ended = false
  #nextId = 1
  #sentAt = 0
  #heardAt = 0
  #tick: Cancel | undefined
  #openTimer: Cancel | undefined

  /** May throw what the platform's WebSocket throws for a bad address. */
  constructor(url: string, environment: Environment, settings: ClientSettings, handlers: WireHandlers) {
    this.#environment = environment
    this.#settings = settings
    this.#handlers = handlers
    this.#openTimer = environment.after(settings.connectTimeoutMs, () =>
      this.close(closedAbnormally, "not opened in time")
    )
    try {
      this.#socket = environment.openSocket(url, subprotocol)
    } catch (error) {
      this.#openTimer()
      throw error
    }
    this.#socket.addEventListener("open", () => this.#opened())
    this.#socket.addEventListener("message", ({ data }) => this.#heard(data))
    this.#socket.addEventListener("close", ({ code, reason }) => this.#end(code, reason))
    // An error is always followed by a close, in browsers with nothing more to say.
    this.#socket.addEventListener("error", () => {})
  }

  request<Name extends OpNames>(
    op: Name,
    fields: OpFields<Name>,
    done: (result: Result<AnswerOf<Name>>) => void
  ): void {
    if (!this.#open || this.#pending.size >= this.#settings.requestsInFlightMax) {
      queueMicrotask(() => done({ _tag: "Lost" }))
      return
    }
    const id = this.#nextId++
    this.#sentAt = this.#environment.monotonic()
    // The frame that answers an id is the one its op asked for: the server's schema says so.
    const answered = done as (result: Result<unknown>) => void
    this.#pending.set(id, { sentAt: this.#sentAt, done: answered })
    this.#socket.send(JSON.stringify({ id, op, ...fields }))
  }

  /** From hello's answer on. */
  heartbeat(heartbeatMs: number): void {
    const every = Math.min(Math.max(heartbeatMs, heartbeatMsMin), Limits.heartbeatMs)
    const deadAfter = Math.min(2 * every, deadAfterMsMax)
    const step = every / 4
    const beat = (): void => {
      const now = this.#environment.monotonic()
      if (now - this.#heardAt >= deadAfter) return this.close(closedAbnormally, "the server is silent")
      this.#loseLate(now)
      if (now - this.#sentAt >= every || now - this.#heardAt >= every) this.ping()
      if (!this.#ended) this.#tick = this.#environment.after(step, beat)
    }
    this.#tick?.()
    this.#tick = this.#environment.after(step, beat)
  }

  ping(): void {
    const sentAt = this.#environment.monotonic()
    this.request("ping", {}, (result) => {
      if (result._tag !== "Ok") return
      this.#handlers.measured(result.value.server_time, this.#environment.monotonic() - sentAt)
    })
  }

  /** Ends it here and now: a peer that is gone would let a closing handshake wait for minutes. */
  close(code: number, reason: string): void {
    if (this.#ended) return
    try {
      this.#socket.close(1000)
    } catch {
      // Not opened yet, or closed already: nothing to say goodbye to.
    }
    this.#end(code, reason)
  }

  #opened(): void {
    if (this.#ended) return
    this.#openTimer?.()
    this.#open = true
    this.#sentAt = this.#heardAt = this.#environment.monotonic()
    // Until hello is answered: the first sign has to come within the time for connecting.
    this.#tick = this.#environment.after(this.#settings.connectTimeoutMs, () =>
      this.close(closedAbnormally, "hello was not answered in time")
    )
    this.#handlers.opened()
  }

  #heard(data: unknown): void {
    if (this.#ended) return
    this.#heardAt = this.#environment.monotonic()
    const frame = parse(data)
    if (frame === undefined) return this.close(closedAbnormally, "a frame was not JSON")
    if ("ev" in frame) return this.#handlers.pushed(frame)
    const pending = this.#pending.get(frame.re)
    // Answered after it was given up.
    if (pending === undefined) return
    this.#pending.delete(frame.re)
    if (frame.error !== undefined) pending.done({ _tag: "Refused", error: frame.error })
    else pending.done({ _tag: "Ok", value: frame.ok })
  }

  /** Requests are answered, or late, in about the order they were made. */
  #loseLate(now: number): void {
    for (const [id, { sentAt, done }] of this.#pending) {
      if (now - sentAt < this.#settings.requestTimeoutMs) return
      this.#pending.delete(id)
      done({ _tag: "Lost" })
    }
  }

  #end(code: number, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#open = false
    this.#openTimer?.()
    this.#tick?.()
    const lost = [...this.#pending.values()]
    this.#pending.clear()
    for (const { done } of lost) done({ _tag: "Lost" })
    this.#handlers.closed(code, reason)
  }
}

type ServerFrame =
  | PlainPush
  | { readonly re: number; readonly ok: never; readonly error?: Extract<Result<never>, { _tag: "Refused" }>["error"] }

const parse = (data: unknown): ServerFrame | undefined => {
  if (typeof data !== "string") return undefined
  try {
    const frame: unknown = JSON.parse(data)
    // The server is trusted to keep to its schema; what matters is that this is an object.
    return typeof frame === "object" && frame !== null ? (frame as ServerFrame) : undefined
  } catch {
    return undefined
  }
}
