/**
 * Makes, feeds and ends connections: the handlers of all sockets, shared by all. A connection ends once, whoever ends
 * it, and is then off every list. Plain TypeScript on the hot path: bench `idle`.
 */
import { closeTable, type CloseName } from "@parley/protocol/CloseCode"
import { Connection } from "./Connection.ts"
import type { EdgeRuntime } from "./EdgeRuntime.ts"
import { type EdgeSocket, rawSocket } from "./EdgeSocket.ts"
import { receive } from "./Ops.ts"

/** Connection numbers of one start of an edge begin at a random multiple of this, so that two edges share none. */
const numbersPerEdge = 2 ** 21

export interface ConnectionsOptions {
  readonly edge: () => EdgeRuntime
  /** It was closed before it said hello. */
  readonly onUnauthenticatedGone: (address: string) => void
}

export class Connections {
  readonly #options: ConnectionsOptions
  #next = Math.floor(Math.random() * 2 ** 31) * numbersPerEdge + 1
  /** Since the start, for metrics. */
  opened = 0
  readonly closedBy = new Map<CloseName | "client", number>()

  constructor(options: ConnectionsOptions) {
    this.#options = options
  }

  /** Takes on a socket after the handshake. */
  accept(socket: EdgeSocket, address: string): void {
    const edge = this.#options.edge()
    const connection = new Connection(this.#next++, socket, rawSocket(socket), address, edge.heartbeats.now)
    socket.connection = connection
    edge.connections.add(connection)
    edge.heartbeats.add(connection)
    this.opened++
    socket.on("message", this.#onMessage)
    socket.on("pong", this.#onPong)
    socket.on("close", this.#onClose)
    socket.on("error", ignoreError)
  }

  /** Sends what waits, then the close frame. */
  close(connection: Connection, why: CloseName, reason?: string): void {
    if (connection.state === "closed") return
    if (!connection.slow) this.#options.edge().outbound.flushNow(connection)
    this.#end(connection, why)
    const { code, text } = closeTable[why]
    connection.socket.close(code, reason ?? text)
  }

  #end(connection: Connection, why: CloseName | "client"): void {
    const edge = this.#options.edge()
    const { state } = connection
    connection.state = "closed"
    connection.pending = ""
    connection.early = null
    this.closedBy.set(why, (this.closedBy.get(why) ?? 0) + 1)
    edge.connections.delete(connection)
    edge.topics.removeAll(connection)
    if (state === "live") edge.presence.went(connection.user, connection.device)
    else this.#options.onUnauthenticatedGone(connection.address)
  }

  // Handlers get the socket as `this`, so one function serves all sockets.

  readonly #onMessage = this.#handler((connection, data: unknown, isBinary: unknown) => {
    // With the default binaryType, and no compression, `ws` hands out a Buffer.
    receive(this.#options.edge(), connection, data as Buffer, isBinary === true)
  })

  readonly #onPong = this.#handler((connection) => {
    connection.heardAt = this.#options.edge().heartbeats.now
    connection.pinged = false
  })

  readonly #onClose = this.#handler((connection) => {
    if (connection.state !== "closed") this.#end(connection, "client")
  })

  #handler(handle: (connection: Connection, first: unknown, second: unknown) => void) {
    return function (this: unknown, first?: unknown, second?: unknown): void {
      // Only ever installed on sockets of the edge.
      const { connection } = this as EdgeSocket
      if (connection !== undefined) handle(connection, first, second)
    }
  }
}

/** `ws` closes by itself after an error, and `close` follows. */
const ignoreError = (): void => {}
