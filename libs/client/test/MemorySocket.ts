/**
 * A WebSocket without a network: frames travel between two ends in order, each after a delay of virtual time, until one
 * end closes or the line is cut, when what is still under way is lost.
 */
import type { ClientSocket } from "../src/Environment.ts"
import type { VirtualTime } from "./VirtualTime.ts"

export interface ServerEnd {
  receive(text: string): void
  gone(): void
}

/** What a server does with a connection. */
export interface ServerLine {
  send(text: string): void
  close(code: number, reason: string): void
}

type Listener = (event: { readonly data: unknown; readonly code: number; readonly reason: string }) => void

export class MemorySocket implements ClientSocket, ServerLine {
  readonly #time: VirtualTime
  readonly #delayMs: () => number
  readonly #listeners = new Map<string, Array<Listener>>()
  readonly #server: ServerEnd
  #state: "connecting" | "open" | "closed" = "connecting"
  #silent = false
  /** A frame never overtakes the one before it. */
  #arrivalUp = 0
  #arrivalDown = 0

  constructor(time: VirtualTime, delayMs: () => number, accept: (line: MemorySocket) => ServerEnd) {
    this.#time = time
    this.#delayMs = delayMs
    this.#server = accept(this)
    time.after(delayMs(), () => {
      if (this.#state !== "connecting") return
      this.#state = "open"
      this.#emit("open", {})
    })
  }

  addEventListener(type: "open" | "message" | "close" | "error", listener: Listener | (() => void)): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener])
  }

  // The client's side and the server's have one `send` and one `close` each; the ends are told apart by `asServer`.
  send(text: string): void {
    if (this.#state !== "open") return
    this.#arrivalUp = Math.max(this.#arrivalUp, this.#time.now + this.#delayMs())
    this.#time.after(this.#arrivalUp - this.#time.now, () => {
      if (this.#state === "open" && !this.#silent) this.#server.receive(text)
    })
  }

  close(): void {
    if (this.#state === "closed") return
    this.#state = "closed"
    this.#server.gone()
    this.#time.after(0, () => this.#emit("close", { code: 1000, reason: "" }))
  }

  get asServer(): ServerLine {
    return {
      send: (text) => {
        this.#arrivalDown = Math.max(this.#arrivalDown, this.#time.now + this.#delayMs())
        this.#time.after(this.#arrivalDown - this.#time.now, () => {
          if (this.#state === "open" && !this.#silent) this.#emit("message", { data: text })
        })
      },
      close: (code, reason) => {
        this.#arrivalDown = Math.max(this.#arrivalDown, this.#time.now + this.#delayMs())
        this.#time.after(this.#arrivalDown - this.#time.now, () => this.#end(code, reason))
      }
    }
  }

  /** The line breaks: what is under way is lost, both ends are told. */
  cut(): void {
    this.#end(1006, "")
  }

  /** The line goes dead: nothing travels, nobody is told. */
  silence(): void {
    this.#silent = true
  }

  #end(code: number, reason: string): void {
    if (this.#state === "closed") return
    this.#state = "closed"
    this.#server.gone()
    this.#emit("close", { code, reason })
  }

  #emit(type: string, event: { readonly data?: unknown; readonly code?: number; readonly reason?: string }): void {
    const whole = { data: event.data, code: event.code ?? 0, reason: event.reason ?? "" }
    for (const listener of this.#listeners.get(type) ?? []) listener(whole)
  }
}
