/** A way to the real Cassandra that a test can cut, stop and open again. */
import { Effect } from "effect"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"
import { cassandraContactPoint } from "../Services.ts"

export class CassandraProxy {
  readonly #target: { readonly host: string; readonly port: number }
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0
  /** Answers that are still thrown away. */
  #muted = false

  constructor(target: string) {
    const [host = "127.0.0.1", port = "9042"] = target.split(":")
    this.#target = { host, port: Number(port) }
  }

  get contactPoint(): string {
    return `127.0.0.1:${this.#port}`
  }

  /** Lets connections in, at the same port every time. */
  open(): Promise<void> {
    const server = createServer((near) => this.#join(near))
    this.#server = server
    return new Promise((resolve) =>
      server.listen(this.#port, "127.0.0.1", () => {
        // as: it listens at a port
        this.#port = (server.address() as AddressInfo).port
        resolve()
      })
    )
  }

  /** Ends all connections and refuses others. */
  async cut(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server?.close(() => resolve()))
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  /** Requests go through, answers do not. */
  mute(muted: boolean): void {
    this.#muted = muted
  }

  #join(near: Socket): void {
    const far = connect(this.#target)
    for (const [socket, other] of [
      [near, far],
      [far, near]
    ] as const) {
      this.#sockets.add(socket)
      socket.on("error", () => socket.destroy())
      socket.on("close", () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    near.on("data", (bytes) => far.write(bytes))
    far.on("data", (bytes) => this.#muted || near.write(bytes))
  }
}

/** Open, and closed with the scope. */
export const cassandraProxy = Effect.acquireRelease(
  Effect.promise(async () => {
    const proxy = new CassandraProxy(await cassandraContactPoint())
    await proxy.open()
    return proxy
  }),
  (proxy) => Effect.promise(() => proxy.cut())
)
