/**
 * Listening, with several sockets on the one port. Node takes one connection a turn of the event loop from each, and the
 * kernel keeps a few thousand waiting for each; what comes beyond is dropped, and the client's kernel tries again after
 * 1, 3, 7 and 15 s. A herd of ten thousand that comes back would be dropped like that, on an idle server in the end.
 * More than a few at a time is not wanted: each has its handshake and its first frames in the same turn.
 */
import type { Server } from "node:http"
import { createServer, type ListenOptions, type Server as NetServer } from "node:net"
import { Effect, Schema, type Scope } from "effect"
import type { NodeSettings } from "../NodeConfig.ts"

/** The server can't listen where it was told to. */
export class ListenFailed extends Schema.TaggedError<ListenFailed>()("ListenFailed", {
  host: Schema.String,
  port: Schema.Int,
  cause: Schema.Defect()
}) {
  override get message() {
    return `can't listen on ${this.host}:${this.port}: ${String(this.cause)}`
  }
}

/** Connections that may wait for each socket, if the kernel lets them (`somaxconn`). */
const backlog = 4_096
/** Sockets on the port where the kernel shares connections out among several. */
const listenersMax = process.platform === "linux" ? 4 : 1

export interface Listener {
  /** The one it got. */
  readonly port: number
  /** Takes no new connection: where the port is shared the others have them. Those that are open go on. */
  readonly leave: () => void
  /** Takes its part of the new ones again. */
  readonly comeBack: () => void
}

/** Listens until the scope ends. With `sharePort` other nodes of the machine may have the port too. */
export const listen = (
  server: Server,
  settings: Pick<NodeSettings, "host" | "port" | "sharePort">
): Effect.Effect<Listener, ListenFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const sockets: Array<Socket> = []
    const port = yield* open(server, settings, (socket, options) => {
      sockets.push({ server: socket, options })
      return held(socket, options)
    })
    return {
      port,
      leave: () => {
        for (const { server } of sockets) if (server.listening) server.close()
      },
      comeBack: () => {
        for (const socket of sockets) if (!socket.server.listening) listenAgain(socket)
      }
    }
  })

interface Socket {
  readonly server: NetServer
  readonly options: ListenOptions & { readonly host: string; readonly port: number }
}

/** What can't listen again is said; the others do. */
const listenAgain = ({ options, server }: Socket): void => {
  const { host, port } = options
  const onError = (cause: Error) =>
    void Effect.runFork(Effect.logError(new ListenFailed({ host, port, cause }).message))
  server.once("error", onError)
  server.listen(options, () => server.off("error", onError))
}

const open = (
  server: Server,
  { host, port, sharePort }: Pick<NodeSettings, "host" | "port" | "sharePort">,
  kept: typeof held
): Effect.Effect<number, ListenFailed, Scope.Scope> =>
  Effect.gen(function* () {
    if (listenersMax === 1)
      return yield* kept(server, { host, port, backlog, ...(sharePort ? { reusePort: true } : {}) })
    // Alone first: sockets that share a port would share it with those of another server as well.
    const got = sharePort && port !== 0 ? port : yield* Effect.scoped(held(createServer(), { host, port, backlog }))
    const shared = { host, port: got, backlog, reusePort: true }
    if (!sharePort) {
      const shares = yield* Effect.option(Effect.scoped(held(createServer(), shared)))
      // A kernel without it: one socket is what there is.
      if (shares._tag === "None") return yield* kept(server, { host, port: got, backlog })
    }
    for (let i = 1; i < listenersMax; i++) {
      // As the HTTP server's own sockets are made.
      const other = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => server.emit("connection", socket))
      yield* kept(other, shared)
    }
    return yield* kept(server, shared)
  })

const held = (server: NetServer, options: ListenOptions & { readonly host: string; readonly port: number }) =>
  Effect.acquireRelease(
    Effect.callback<number, ListenFailed>((resume) => {
      const { host, port } = options
      const onError = (cause: Error) => resume(Effect.fail(new ListenFailed({ host, port, cause })))
      server.once("error", onError)
      server.listen(options, () => {
        server.off("error", onError)
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : port))
      })
    }),
    () =>
      Effect.sync(() => {
        // Connections that are still open are the drain's, which comes after.
        server.close()
        if ("closeIdleConnections" in server && typeof server.closeIdleConnections === "function") {
          server.closeIdleConnections()
        }
      })
  )
