/**
 * The door for WebSockets: who may come in, how many, how fast, before `ws` makes the handshake. What is refused here
 * costs one short HTTP answer. Bounds are by address, because before `hello` there is nothing else to go by.
 */
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { type WebSocket, WebSocketServer } from "ws"
import { subprotocol } from "@parley/protocol/Frame"
import type { NodeSettings } from "../NodeConfig.ts"
import { subprotocolOf } from "./ClientRelease.ts"
import { EdgeSocket, type SocketHandlers } from "./EdgeSocket.ts"
import type { Lag } from "./Lag.ts"
import { plainAddress, type RawSockets } from "./RawSockets.ts"
import { ratePerSecond, RateTable } from "./RateLimit.ts"
import type { Turns } from "./Turns.ts"

export const socketPath = "/v1/socket"
/** Addresses whose connection rate is remembered. */
export const addressesMax = 100_000
/** A burst of connections from one address, in seconds of its rate. */
const burstSeconds = 5

export interface UpgradeOptions {
  readonly settings: NodeSettings
  readonly lag: Lag
  readonly rawSockets: RawSockets
  readonly arrivals: Turns
  readonly connectionCount: () => number
  readonly draining: () => boolean
  readonly handlers: SocketHandlers
  readonly onConnection: (socket: EdgeSocket, address: string) => void
}

/** What `ws` makes of a request instead of a WebSocket of its own: it answers the handshake, and hands the line over. */
class Opening {
  http: Duplex | undefined = undefined
  /** What the client sent on without waiting for the answer. */
  head: Buffer = Buffer.alloc(0)

  /** Called by `ws` when the answer is written. */
  setSocket(socket: Duplex, head: Buffer): void {
    this.http = socket
    this.head = head
  }
}

export class Upgrade {
  readonly #options: UpgradeOptions
  readonly #server: WebSocketServer
  readonly #rates = new RateTable(addressesMax)
  readonly #rate: ReturnType<typeof ratePerSecond>
  /** Connections by address that have not said hello. */
  readonly #unauthenticated = new Map<string, number>()
  /** Handshakes that have not had their turn. */
  #waiting = 0
  /** Refused handshakes by status, for metrics. */
  readonly refused = new Map<number, number>()

  constructor(options: UpgradeOptions) {
    this.#options = options
    const perSecond = options.settings.connectsPerAddressPerSecond
    this.#rate = ratePerSecond(perSecond, perSecond * burstSeconds)
    this.#server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      // Of the class it needs no more than this (ws 8.23).
      WebSocket: Opening as unknown as typeof WebSocket,
      handleProtocols: (protocols) => subprotocolOf(protocols) ?? false
    })
  }

  /** For the `upgrade` event of an HTTP server. */
  readonly handle = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    const address = this.addressOf(request)
    const refusal = this.#refusal(request, address)
    if (refusal !== undefined) return this.#refuse(socket, refusal)
    this.#options.rawSockets.leave(request.socket)
    this.#unauthenticated.set(address, this.unauthenticatedOf(address) + 1)
    // While it waits nobody else hears what goes wrong with the line.
    socket.once("error", ignore)
    this.#waiting++
    const taken = this.#options.arrivals.run(() => {
      this.#waiting--
      if (!this.#open(request, socket, head, address)) this.leave(address)
    })
    if (taken) return
    this.#waiting--
    this.leave(address)
    this.#refuse(socket, overloaded())
  }

  /** Makes the handshake; false where nothing came of it. */
  #open(request: IncomingMessage, socket: Duplex, head: Buffer, address: string): boolean {
    if (this.#options.draining()) {
      this.#refuse(socket, drains)
      return false
    }
    // What came while it waited would be lost with the HTTP server's socket.
    const later: Buffer | null = socket.read()
    const sent = later === null ? head : Buffer.concat([head, later])
    let opened = false
    this.#server.handleUpgrade(request, socket, sent, (opening) => {
      // The class that it was given.
      const { head, http } = opening as unknown as Opening
      const taken = http === undefined ? undefined : EdgeSocket.takeOver(http, this.#options.handlers)
      if (taken === undefined) return
      opened = true
      this.#options.onConnection(taken, address)
      if (head.length > 0) taken.feed(head, head.length)
    })
    return opened
  }

  unauthenticatedOf(address: string): number {
    return this.#unauthenticated.get(address) ?? 0
  }

  /** The connection has said hello, or is gone before it did. */
  leave(address: string): void {
    const count = this.unauthenticatedOf(address) - 1
    if (count > 0) this.#unauthenticated.set(address, count)
    else this.#unauthenticated.delete(address)
  }

  /** The client's address: the nearest hop that is not one of ours. */
  addressOf(request: IncomingMessage): string {
    const peer = plainAddress(request.socket.remoteAddress ?? "")
    const { trustedProxies } = this.#options.settings
    if (!trustedProxies.includes(peer)) return peer
    const forwarded = request.headers["x-forwarded-for"]
    const hops = (Array.isArray(forwarded) ? forwarded.join(",") : (forwarded ?? "")).split(",")
    for (let i = hops.length - 1; i >= 0; i--) {
      const hop = plainAddress((hops[i] ?? "").trim())
      if (hop !== "" && !trustedProxies.includes(hop)) return hop
    }
    return peer
  }

  #refuse(socket: Duplex, refusal: Refusal): void {
    this.refused.set(refusal.status, (this.refused.get(refusal.status) ?? 0) + 1)
    refuse(socket, refusal)
  }

  #refusal(request: IncomingMessage, address: string): Refusal | undefined {
    const { connectionCount, draining, lag, settings } = this.#options
    if ((request.url ?? "").split("?", 1)[0] !== socketPath) return { status: 404, text: "Not Found" }
    if (!offersProtocol(request)) return { status: 400, text: `the subprotocol ${subprotocol} is needed` }
    if (!originAllowed(settings.origins, request)) return { status: 403, text: "this origin may not connect" }
    if (draining()) return drains
    const waitMs = this.#rates.take(address, performance.now(), this.#rate)
    if (waitMs > 0) {
      return { status: 429, text: "too many connections a second", retryAfterSeconds: Math.ceil(waitMs / 1_000) }
    }
    if (this.unauthenticatedOf(address) >= settings.unauthenticatedPerAddressMax) {
      return {
        status: 429,
        text: "too many connections without hello",
        retryAfterSeconds: Math.ceil(settings.helloTimeoutMs / 1_000)
      }
    }
    if (lag.overloaded || connectionCount() + this.#waiting >= settings.connectionsMax) return overloaded()
    return undefined
  }
}

interface Refusal {
  readonly status: number
  readonly text: string
  readonly retryAfterSeconds?: number
}

const drains: Refusal = { status: 503, text: "draining", retryAfterSeconds: 1 }
const overloaded = (): Refusal => ({
  status: 503,
  text: "overloaded",
  retryAfterSeconds: 1 + Math.floor(Math.random() * 10)
})
const ignore = () => {}

const reasonPhrase: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  429: "Too Many Requests",
  503: "Service Unavailable"
}

const refuse = (socket: Duplex, { retryAfterSeconds, status, text }: Refusal): void => {
  socket.once("error", () => socket.destroy())
  socket.once("finish", () => socket.destroy())
  const retry = retryAfterSeconds === undefined ? "" : `Retry-After: ${retryAfterSeconds}\r\n`
  socket.end(
    `HTTP/1.1 ${status} ${reasonPhrase[status] ?? ""}\r\nConnection: close\r\nContent-Type: text/plain\r\n${retry}` +
      `Content-Length: ${text.length}\r\n\r\n${text}`
  )
}

const offersProtocol = (request: IncomingMessage): boolean => {
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim())
  return subprotocolOf(new Set(offered)) !== undefined
}

/** Programs send no Origin; browsers do, and can't be made to lie. */
export const originAllowed = (origins: ReadonlyArray<string>, request: IncomingMessage): boolean => {
  const { host, origin } = request.headers
  if (origin === undefined || origins.includes("*") || origins.includes(origin)) return true
  return origins.length === 0 && host !== undefined && (origin === `http://${host}` || origin === `https://${host}`)
}
