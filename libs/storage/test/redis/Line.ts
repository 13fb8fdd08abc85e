/** A line to a server that can be cut and mended: away for who uses it, there for everybody else. */
import { Effect } from "effect"
import { connect, createServer, type Socket } from "node:net"

export interface Line {
  readonly url: string
  cut(): void
  mend(): void
}

export const proxyTo = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<Line & { readonly close: () => void }>((resolve, reject) => {
          const sockets = new Set<Socket>()
          let whole = true
          const server = createServer((near): void => {
            if (!whole) {
              near.destroy()
              return
            }
            const far = connect(port, "127.0.0.1")
            for (const [socket, other] of [
              [near, far],
              [far, near]
            ] as const) {
              sockets.add(socket)
              socket.on("error", () => other.destroy())
              socket.on("close", () => {
                sockets.delete(socket)
                other.destroy()
              })
              socket.pipe(other)
            }
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
