/**
 * A WebSocket client as cheap as a load generator needs it: one write a tick, frames masked with a zero key (RFC 6455
 * asks for a mask, not for a secret one), payloads handed on as one-byte strings, or looked at where they lie: a
 * generator that makes a string of each of two million deliveries a second would be the bottleneck.
 */
import { connect, type Socket } from "node:net"

const key = "dGhlIHNhbXBsZSBub25jZQ=="

/** What is read goes here, of whichever socket: a buffer for each read is half of what a read costs. */
const incoming = Buffer.allocUnsafeSlow(65_536)

export class LoadSocket {
  readonly port: number
  readonly #socket: Socket
  #rest: Buffer | undefined
  #open = false
  #out: Array<string> = []
  #closed = false
  onFrame: (text: string) => void = () => {}
  /** Sees each text frame's bytes first; true: it took the frame, and no string is made of it. */
  onBytes: ((data: Buffer, start: number, end: number) => boolean) | undefined
  onOpen: () => void = () => {}
  onClose: (why: string) => void = () => {}
  bytesIn = 0

  constructor(options: {
    readonly port: number
    readonly path: string
    readonly subprotocol: string
    readonly localAddress?: string
  }) {
    const { localAddress, path, port, subprotocol } = options
    this.port = port
    this.#socket = connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      onread: {
        buffer: incoming,
        callback: (bytes) => {
          this.#read(incoming.subarray(0, bytes))
          return true
        }
      },
      ...(localAddress === undefined ? {} : { localAddress })
    })
    this.#socket.on("connect", () => {
      this.#socket.write(
        `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`
      )
    })
    this.#socket.on("error", (error) => this.#ended(error.message))
    this.#socket.on("close", () => this.#ended("closed"))
  }

  /** Sends one text frame; ASCII only. Frames of one tick go out in one write. */
  send(text: string): void {
    if (this.#out.length === 0) process.nextTick(() => this.#flush())
    this.#out.push(header(text.length) + text)
  }

  /** Drops the connection without a word; `onClose` is not called. */
  close(): void {
    this.#closed = true
    this.#socket.destroy()
  }

  #ended(why: string): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.destroy()
    this.onClose(why)
  }

  #flush(): void {
    const text = this.#out.join("")
    this.#out = []
    if (!this.#closed) this.#socket.write(text, "latin1")
  }

  #read(chunk: Buffer): void {
    this.bytesIn += chunk.length
    let data = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    if (!this.#open) {
      const end = data.indexOf("\r\n\r\n")
      if (end < 0) {
        this.#rest = Buffer.from(data)
        return
      }
      if (!data.toString("latin1", 0, 12).endsWith("101")) {
        this.#ended(data.toString("latin1", 0, data.indexOf("\r\n")))
        return
      }
      this.#open = true
      data = data.subarray(end + 4)
      this.onOpen()
    }
    let at = 0
    while (data.length - at >= 2) {
      let length = (data[at + 1] ?? 0) & 127
      let start = at + 2
      if (length === 126) {
        if (data.length - at < 4) break
        length = data.readUInt16BE(at + 2)
        start = at + 4
      } else if (length === 127) {
        if (data.length - at < 10) break
        length = Number(data.readBigUInt64BE(at + 2))
        start = at + 10
      }
      if (data.length < start + length) break
      const opcode = (data[at] ?? 0) & 15
      if (opcode === 1) {
        if (this.onBytes === undefined || !this.onBytes(data, start, start + length)) {
          this.onFrame(data.toString("latin1", start, start + length))
        }
      } else if (opcode === 8) {
        const code = length >= 2 ? data.readUInt16BE(start) : 0
        return this.#ended(`close ${code} ${data.toString("latin1", start + 2, start + length)}`)
      }
      if (opcode === 9) this.#socket.write(Buffer.from([0x8a, 0x80, 0, 0, 0, 0]))
      at = start + length
    }
    if (at < data.length) this.#rest = Buffer.from(data.subarray(at))
  }
}

const header = (length: number): string =>
  length < 126
    ? `\x81${String.fromCharCode(0x80 | length)}\0\0\0\0`
    : `\x81\xfe${String.fromCharCode(length >> 8, length & 255)}\0\0\0\0`
