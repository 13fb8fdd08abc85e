/** A line to a server that can be cut and mended: away for who uses it, there for everybody else. */
import { Effect } from "effect"
import { connect, createServer, type Socket } from "node:net"

export interface Line {
  readonly url: string
  cut(): void
  mend(): void
  /** Connections from now on get no answer until it is let go; those that are there go on. */
  hold(): void
  letGo(): void
  /** Connections that wait for that, and those that don't. */
  readonly held: number
  readonly passing: number
}

export const proxyTo = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<Line & { readonly close: () => void }>((resolve, reject) => {
          const sockets = new Set<Socket>()
          const near = new Set<Socket>()
          const held = new Map<Socket, () => void>()
          let whole = true
          let holding = false
          const server = createServer((client): void => {
            if (!whole) {
              client.destroy()
              return
            }
            const far = connect(port, "127.0.0.1")
            near.add(client)
            for (const [socket, other] of [
              [client, far],
              [far, client]
            ] as const) {
              sockets.add(socket)
              socket.on("error", () => other.destroy())
              socket.on("close", () => {
                sockets.delete(socket)
                near.delete(socket)
                held.delete(socket)
                other.destroy()
              })
            }
            client.pipe(far)
            if (holding) held.set(client, () => far.pipe(client))
            else far.pipe(client)
          })
          const cut = () => {
            whole = false
            for (const socket of sockets) socket.destroy()
          }
          server.on("error", reject)
          server.listen(0, "127.0.0.1", () => {
            const address = server.address()
            if (typeof address !== "object" || address === null) throw new Error("no port")
            resolve({
              url: `redis://127.0.0.1:${address.port}`,
              cut,
              mend: () => (whole = true),
              hold: () => (holding = true),
              letGo: () => {
                holding = false
                for (const go of held.values()) go()
                held.clear()
              },
              get held() {
                return held.size
              },
              get passing() {
                return near.size - held.size
              },
              close: () => {
                cut()
                server.close()
              }
            })
          })
        })
    ),
    (line) => Effect.sync(() => line.close())
  )
