/**
 * The edge as a layer: one HTTP server for WebSockets and the HTTP API, and the parts behind it. It holds sockets and
 * nothing else that matters; losing it is routine, for clients resume at another edge by sync. Released, it drains.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { Context, Effect, Layer } from "effect"
import { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { renderFailure } from "@parley/protocol/ApiError"
import { NodeConfig } from "../NodeConfig.ts"
import { NodeStart } from "../NodeStart.ts"
import { Authentication } from "./Authentication.ts"
import type { Connections } from "./Connections.ts"
import type { EdgeLinks } from "./EdgeLinks.ts"
import type { EdgeRuntime } from "./EdgeRuntime.ts"
import type { RawSockets } from "./RawSockets.ts"
import type { Upgrade } from "./Upgrade.ts"
import { assembleEdge } from "./EdgeParts.ts"
import { listen, type Listener, type ListenFailed } from "./Listeners.ts"

/** Where the server listens; the port is the one it got. */
export class Listening extends Context.Service<
  Listening,
  {
    readonly host: string
    readonly port: number
    /** The server itself, for what else is to be served on it. */
    readonly server: Server
  }
>()("@parley/node/Listening") {}

/** What other parts of the node ask of the edge. */
export class Edge extends Context.Service<
  Edge,
  {
    readonly name: string
    readonly runtime: EdgeRuntime
    readonly upgrade: Upgrade
    readonly rawSockets: RawSockets
    readonly connections: Connections
    readonly links: EdgeLinks
    readonly draining: () => boolean
    /** Takes no more connections and tells those that are here to move, as at a stop, but goes on living. */
    readonly leave: () => void
    /** Takes connections again; who was not told yet to move stays. */
    readonly comeBack: () => void
  }
>()("@parley/node/Edge") {
  static readonly layer: Layer.Layer<
    Edge | Listening,
    ListenFailed,
    OwnerCalls | LinkBus | NodeConfig | Authentication
  > = Layer.effectContext(
    Effect.gen(function* () {
      const settings = yield* NodeConfig
      const parts = assembleEdge(settings, yield* OwnerCalls, yield* LinkBus, yield* Authentication, yield* NodeStart)
      const server = createServer({
        headersTimeout: settings.helloTimeoutMs,
        requestTimeout: 30_000,
        connectionsCheckingInterval: 5_000
      })
      server.on("connection", parts.rawSockets.accept)
      server.on("upgrade", parts.upgrade.handle)
      server.on("request", notReady(server))
      yield* Effect.acquireRelease(Effect.sync(parts.start), () => parts.stop)
      const listener = yield* listen(server, settings)
      const edge = Edge.of(settings.sharePort ? leavingPort(parts, listener) : parts)
      return Context.make(Edge, edge).pipe(
        Context.add(Listening, Listening.of({ host: settings.host, port: listener.port, server }))
      )
    })
  )
}

/** Of nodes that share a port one that takes no connections leaves them to the others, and not a part of them refused. */
const leavingPort = (parts: Edge["Service"], listener: Listener): Edge["Service"] => ({
  ...parts,
  leave: () => {
    listener.leave()
    parts.leave()
  },
  comeBack: () => {
    parts.comeBack()
    listener.comeBack()
  }
})

/** While no other handler serves requests (starting, draining) the answer is 503, for load balancers too. */
const notReady =
  (server: Server) =>
  (_request: IncomingMessage, response: ServerResponse): void => {
    if (server.listenerCount("request") > 1) return
    response.writeHead(503, { "content-type": "application/json", connection: "close" })
    response.end(JSON.stringify({ error: renderFailure({ code: "draining" }) }))
  }
