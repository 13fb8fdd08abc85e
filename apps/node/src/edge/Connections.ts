/**
 * Makes, feeds and ends connections: the handlers of all sockets, one object for all. A connection ends once, whoever ends
 * it, and is then off every list. Plain TypeScript on the hot path: bench `idle`.
 */
import { closeTable, type CloseName } from "@parley/protocol/CloseCode"
import { Connection } from "./Connection.ts"
import type { EdgeRuntime } from "./EdgeRuntime.ts"
import type { EdgeSocket, SocketHandlers } from "./EdgeSocket.ts"
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
    const connection = new Connection(this.#next++, socket, address, edge.heartbeats.now)
    socket.connection = connection
    edge.connections.add(connection)
    edge.heartbeats.add(connection)
    this.opened++
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
    if (state !== "live") this.#options.onUnauthenticatedGone(connection.address)
    const leave = () => {
      edge.topics.removeAll(connection)
      if (state === "live") edge.presence.went(connection.user, connection.device)
    }
    // Ten thousand that are cut off at once come in one turn of the event loop, and each may be on hundreds of topics.
    // Nothing is delivered to it meanwhile: it is closed.
    if (!edge.departures.run(leave)) leave()
  }

  readonly handlers: SocketHandlers = {
    text: (connection, text) => receive(this.#options.edge(), connection, text),
    binary: (connection) => this.close(connection, "binary"),
    alive: (connection) => {
      connection.heardAt = this.#options.edge().heartbeats.now
      connection.pinged = false
    },
    gone: (connection) => {
      if (connection.state !== "closed") this.#end(connection, "client")
    },
    hungUp: (socket) => {
      const { connection } = socket
      if (connection !== undefined && connection.state !== "closed") this.#end(connection, "client")
      // A close is ten system calls' worth of the kernel's time.
      if (!this.#options.edge().departures.run(() => socket.destroy())) socket.destroy()
    }
  }
}
