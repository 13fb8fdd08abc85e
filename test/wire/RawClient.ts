/**
 * A socket that sends whatever it is told to and keeps all it gets: for clients that are broken, hostile, or only want
 * to look at single frames. Every wait has a bound and says what did not come.
 */
import { setTimeout as delay } from "node:timers/promises"
import { socketPath, subprotocol } from "@parley/protocol/Frame"
import { WebSocket } from "ws"

const waitMsMax = 10_000

export interface RawFrame {
  // oxlint-disable-next-line typescript/no-explicit-any -- a test knows the shape of what it looks at
  readonly [field: string]: any
}

export interface RawOptions {
  readonly origin?: string
  readonly localAddress?: string
  readonly protocols?: ReadonlyArray<string>
}

export const until = async (what: string, condition: () => boolean, ms = waitMsMax): Promise<void> => {
  for (const end = Date.now() + ms; !condition(); await delay(5)) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`)
  }
}

export class RawClient {
  readonly socket: WebSocket
  readonly frames: Array<RawFrame> = []
  closed: { readonly code: number; readonly reason: string; readonly afterMs: number } | undefined
  /** The status of a handshake that was refused. */
  refusedWith: number | undefined
  #id = 0

  constructor(url: string, { protocols = [subprotocol], ...rest }: RawOptions = {}) {
    const openedAt = Date.now()
    this.socket = new WebSocket(url.replace(/^http/, "ws") + socketPath, [...protocols], {
      perMessageDeflate: false,
      ...rest
    })
    this.socket.on("message", (data) => this.frames.push(JSON.parse(String(data)) as RawFrame)) // JSON of the server
    this.socket.on("close", (code, reason) => {
      this.closed = { code, reason: String(reason), afterMs: Date.now() - openedAt }
    })
    this.socket.on("unexpected-response", (_request, response) => {
      this.refusedWith = response.statusCode
      response.resume()
      this.socket.terminate()
    })
    this.socket.on("error", () => {})
  }

  static async open(url: string, options: RawOptions = {}): Promise<RawClient> {
    const client = new RawClient(url, options)
    await until("a handshake's end", () => client.isSettled)
    return client
  }

  /** Open, refused or closed. */
  get isSettled(): boolean {
    return this.socket.readyState === WebSocket.OPEN || this.refusedWith !== undefined || this.closed !== undefined
  }

  send(data: string | Buffer, options: { readonly binary?: boolean } = {}): void {
    this.socket.send(data, { binary: options.binary ?? false })
  }

  /** Sends and does not wait. */
  post(op: string, fields: object = {}): number {
    const id = ++this.#id
    this.send(JSON.stringify({ id, op, ...fields }))
    return id
  }

  /** The whole answer, `ok` or `error`. */
  async request(op: string, fields: object = {}): Promise<RawFrame> {
    return this.answer(this.post(op, fields))
  }

  async answer(id: number): Promise<RawFrame> {
    let found: RawFrame | undefined
    await until(`an answer to ${id}`, () => {
      found = this.frames.find((frame) => frame["re"] === id)
      return found !== undefined || this.closed !== undefined
    })
    if (found === undefined) throw new Error(`closed with ${this.closed?.code} before an answer to ${id}`)
    return found
  }

  async ok(op: string, fields: object = {}): Promise<RawFrame> {
    const answer = await this.request(op, fields)
    if (answer["ok"] === undefined) throw new Error(`${op}: ${JSON.stringify(answer)}`)
    return answer["ok"]
  }

  async pushed(what: string, match: (frame: RawFrame) => boolean, ms = waitMsMax): Promise<RawFrame> {
    let found: RawFrame | undefined
    await until(what, () => (found = this.frames.find((frame) => "ev" in frame && match(frame))) !== undefined, ms)
    return found ?? {}
  }

  /** Hello and one sync of everything. */
  async join(token: string, device: string): Promise<this> {
    await this.ok("hello", { token, device })
    await this.ok("sync", { channels: [], session: { generation: 0, seq: 0 } })
    return this
  }

  async whenClosed(
    ms = waitMsMax
  ): Promise<{ readonly code: number; readonly reason: string; readonly afterMs: number }> {
    await until("a close", () => this.closed !== undefined, ms)
    return this.closed ?? { code: 0, reason: "", afterMs: 0 }
  }
}
