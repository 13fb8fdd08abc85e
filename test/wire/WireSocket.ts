/**
 * One WebSocket that speaks `parley.v1.json` and checks every frame against the protocol's schemas: `ws` and the
 * schemas, nothing of the client library. Requests never throw: they are answered, refused, or lost with the connection.
 */
import { Exit, Schema } from "effect"
import {
  type Answer,
  answers,
  ErrorBody,
  type OpName,
  type Push,
  pushes,
  socketPath,
  subprotocol
} from "@parley/protocol/Frame"
import { WebSocket } from "ws"

/** Pushes and fields of the release after this one, which a client that does not know them ignores. */
export const nextRelease = { push: "next_release", subprotocol: "parley.v2.json", op: "next_release" } as const

/** A request that is not answered for so long counts as lost, and the connection is given up. */
const answerMsMax = 30_000

export type Reply<Name extends OpName> =
  | { readonly _tag: "Ok"; readonly ok: Answer<Name> }
  | { readonly _tag: "Error"; readonly error: typeof ErrorBody.Type }
  | { readonly _tag: "Lost" }

export interface SocketEvents {
  readonly onPush: (push: Push) => void
  /** A frame that fits no schema. */
  readonly onBroken: (what: string) => void
  /** Each frame as it goes out or comes in. */
  readonly onText?: (direction: "out" | "in", text: string) => void
}

interface Waiting {
  readonly op: OpName
  readonly settle: (reply: { readonly ok: unknown } | { readonly error: unknown } | undefined) => void
  readonly timer: NodeJS.Timeout
}

export class WireSocket {
  readonly #socket: WebSocket
  readonly #events: SocketEvents
  readonly #waiting = new Map<number, Waiting>()
  readonly #next: boolean
  #id = 0
  /** Settles with the close code. */
  readonly closed: Promise<number>

  private constructor(socket: WebSocket, events: SocketEvents, next: boolean) {
    this.#socket = socket
    this.#next = next
    this.#events = events
    socket.on("message", (data, binary) => this.#receive(binary ? "" : String(data)))
    socket.on("error", () => {})
    this.closed = new Promise((resolve) => {
      socket.on("close", (code) => {
        for (const waiting of this.#waiting.values()) this.#settle(waiting, undefined)
        this.#waiting.clear()
        resolve(code)
      })
    })
  }

  /** `url` is that of the server, `http://…`. Undefined: nobody took the connection. */
  static open(url: string, events: SocketEvents, next = false): Promise<WireSocket | undefined> {
    const offered = next ? [nextRelease.subprotocol, subprotocol] : [subprotocol]
    const socket = new WebSocket(url.replace(/^http/, "ws") + socketPath, offered, {
      perMessageDeflate: false,
      // One frame a turn, as browsers have it: an answer is taken before the push that follows it.
      allowSynchronousEvents: false,
      handshakeTimeout: 5_000
    })
    const wire = new WireSocket(socket, events, next)
    return new Promise((resolve) => {
      socket.on("open", () => resolve(wire))
      void wire.closed.then(() => resolve(undefined))
    })
  }

  get open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN
  }

  request<Name extends OpName>(op: Name, fields: Readonly<Record<string, unknown>>): Promise<Reply<Name>> {
    if (!this.open) return Promise.resolve({ _tag: "Lost" })
    const id = ++this.#id
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#events.onBroken(`${op} was not answered within ${answerMsMax} ms`)
        this.terminate()
      }, answerMsMax)
      const settle: Waiting["settle"] = (reply) => {
        if (reply === undefined) resolve({ _tag: "Lost" })
        // What passes the schema of the op's answer is of its type.
        else if ("ok" in reply) resolve({ _tag: "Ok", ok: reply.ok as Answer<Name> })
        // As above.
        else resolve({ _tag: "Error", error: reply.error as typeof ErrorBody.Type })
      }
      this.#waiting.set(id, { op, settle, timer })
      const more = this.#next ? { next_release: [1, { a: null }] } : {}
      const text = JSON.stringify({ id, ...more, op, ...fields })
      this.#events.onText?.("out", text)
      this.#socket.send(text)
    })
  }

  /** The code with which an op is answered that this server can't know. */
  async unknownOp(): Promise<string> {
    // No op of this release, on purpose.
    const reply = await this.request(nextRelease.op as OpName, {})
    return reply._tag === "Error" ? reply.error.code : reply._tag
  }

  /** As if the network went: no closing handshake. */
  terminate(): void {
    this.#socket.terminate()
  }

  #receive(text: string): void {
    this.#events.onText?.("in", text)
    let frame: unknown
    try {
      frame = JSON.parse(text)
    } catch {
      return this.#events.onBroken(`no JSON: ${text.slice(0, 200)}`)
    }
    if (typeof frame !== "object" || frame === null) return this.#events.onBroken(`no object: ${text.slice(0, 200)}`)
    if ("ev" in frame) return this.#push(frame, text)
    const id = "re" in frame && typeof frame.re === "number" ? frame.re : 0
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return this.#events.onBroken(`answers nothing: ${text.slice(0, 200)}`)
    this.#waiting.delete(id)
    const ok = "ok" in frame
    const schema: Schema.Codec<unknown> = ok ? answers[waiting.op] : ErrorBody
    const body = "ok" in frame ? frame.ok : "error" in frame ? frame.error : undefined
    const decoded = Schema.decodeUnknownExit(schema)(body)
    if (Exit.isSuccess(decoded)) return this.#settle(waiting, ok ? { ok: decoded.value } : { error: decoded.value })
    this.#events.onBroken(`answer to ${waiting.op}: ${String(decoded.cause).slice(0, 300)} in ${text.slice(0, 300)}`)
    this.#settle(waiting, undefined)
  }

  #push(frame: { readonly ev: unknown }, text: string): void {
    if (frame.ev === nextRelease.push) return
    const name = Object.keys(pushes).find((name) => name === frame.ev)
    if (name === undefined) return this.#events.onBroken(`unknown push: ${text.slice(0, 200)}`)
    // One of the keys of `pushes`.
    const schema: Schema.Codec<unknown> = pushes[name as keyof typeof pushes]
    const decoded = Schema.decodeUnknownExit(schema)(frame)
    // Decoded by the schema of its own name.
    if (Exit.isSuccess(decoded)) this.#events.onPush(decoded.value as Push)
    else this.#events.onBroken(`push ${name}: ${String(decoded.cause).slice(0, 300)} in ${text.slice(0, 300)}`)
  }

  #settle(waiting: Waiting, reply: Parameters<Waiting["settle"]>[0]): void {
    clearTimeout(waiting.timer)
    waiting.settle(reply)
  }
}
