/**
 * A line to a server that keeps nothing of what networks promise but order: it delays, stalls both ways, swallows the
 * server's answers, and cuts. Bytes are never reordered or doubled. Where it leads to may change while it runs.
 */
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"

/**
 * `pass`: bytes travel; `stall`: they wait, both ways, and so do new connections; `deaf`: the server hears, and nothing
 * of what it says arrives (a connection that was deaf has a hole and is cut when that ends); `refuse`: nobody gets in.
 */
export type LineMode = "pass" | "stall" | "deaf" | "refuse"

interface Piece {
  readonly bytes: Buffer
  /** Not before; monotonic. */
  readonly at: number
}

/** Bytes that wait in one direction of a connection; past it the sender is held back. */
const waitingBytesMax = 1_048_576

export class TcpProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  readonly target: () => string | undefined
  /** How long a piece of bytes is on its way. */
  readonly delayMs: () => number
  #mode: LineMode = "pass"
  /** Connections that ended by the line's doing. */
  cuts = 0

  private constructor(target: () => string | undefined, delayMs: () => number) {
    this.target = target
    this.delayMs = delayMs
    this.#server = createServer((socket) => this.#accept(socket))
  }

  /** `target`: the server's address now, undefined while there is none. */
  static async start(target: () => string | undefined, delayMs: () => number = () => 0): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, delayMs)
    proxy.#server.listen(0, "127.0.0.1")
    await once(proxy.#server, "listening")
    return proxy
  }

  get url(): string {
    // `address` of a server that listens on a port.
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get mode(): LineMode {
    return this.#mode
  }

  set mode(mode: LineMode) {
    if (this.#mode === "deaf" && mode !== "deaf") this.cut()
    this.#mode = mode
    for (const pair of this.#pairs) pair.flow()
  }

  /** Breaks all connections, at both ends, without a goodbye. */
  cut(): void {
    for (const pair of this.#pairs) pair.cut()
    this.cuts += this.#pairs.size
    this.#pairs.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut()
    this.#server.close()
    await once(this.#server, "close")
  }

  #accept(client: Socket): void {
    const target = this.target()
    if (target === undefined || this.#mode === "refuse") return void client.resetAndDestroy()
    const { hostname, port } = new URL(target)
    const pair: Pair = new Pair(this, client, connect(Number(port), hostname), () => this.#pairs.delete(pair))
    this.#pairs.add(pair)
  }
}

class Pair {
  readonly #client: Socket
  readonly #server: Socket
  readonly #up: Direction
  readonly #down: Direction

  constructor(proxy: TcpProxy, client: Socket, server: Socket, ended: () => void) {
    this.#client = client
    this.#server = server
    this.#up = new Direction(proxy, client, server, false)
    this.#down = new Direction(proxy, server, client, true)
    for (const socket of [client, server]) {
      socket.setNoDelay(true)
      socket.on("error", () => this.cut())
      // One end may be gone while the other has not heard of it yet.
      socket.on("close", () => {
        if (client.destroyed && server.destroyed) ended()
      })
    }
  }

  flow(): void {
    this.#up.flow()
    this.#down.flow()
  }

  cut(): void {
    for (const direction of [this.#up, this.#down]) direction.stop()
    for (const socket of [this.#client, this.#server]) if (!socket.destroyed) socket.resetAndDestroy()
  }
}

class Direction {
  readonly #proxy: TcpProxy
  readonly #from: Socket
  readonly #to: Socket
  readonly #swallows: boolean
  readonly #pieces: Array<Piece> = []
  #waitingBytes = 0
  #lastAt = 0
  #ended = false
  #timer: NodeJS.Timeout | undefined

  constructor(proxy: TcpProxy, from: Socket, to: Socket, swallows: boolean) {
    this.#proxy = proxy
    this.#from = from
    this.#to = to
    this.#swallows = swallows
    from.on("data", (bytes: Buffer) => this.#heard(bytes))
    from.on("close", () => {
      this.#ended = true
      this.flow()
    })
    from.on("end", () => {
      this.#ended = true
      this.flow()
    })
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#pieces.length = 0
    this.#ended = false
  }

  #heard(bytes: Buffer): void {
    if (this.#swallows && this.#proxy.mode === "deaf") return
    // In order: no piece overtakes the one before it.
    this.#lastAt = Math.max(this.#lastAt, performance.now() + this.#proxy.delayMs())
    this.#pieces.push({ bytes, at: this.#lastAt })
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes > waitingBytesMax) this.#from.pause()
    this.flow()
  }

  flow(): void {
    clearTimeout(this.#timer)
    if (this.#proxy.mode === "stall" || this.#to.destroyed) return
    for (;;) {
      const piece = this.#pieces[0]
      if (piece === undefined) break
      const wait = piece.at - performance.now()
      if (wait > 0) {
        this.#timer = setTimeout(() => this.flow(), wait)
        return
      }
      this.#pieces.shift()
      this.#waitingBytes -= piece.bytes.length
      if (!(this.#swallows && this.#proxy.mode === "deaf")) this.#to.write(piece.bytes)
    }
    if (this.#from.isPaused() && !this.#from.destroyed) this.#from.resume()
    if (this.#ended && !this.#to.writableEnded) this.#to.end()
  }
}
