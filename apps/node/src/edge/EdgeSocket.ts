/**
 * A client's WebSocket after the handshake, which `ws` makes: a TCP socket that reads into one buffer shared by all
 * (Node would make 64 kB for each read, and stream it), hands messages to its connection, and speaks the protocol's
 * control frames. It has no listeners, and no state but what an unfinished message needs: idle, it takes half of the
 * memory of a WebSocket of `ws`, and a ping half of the CPU. Plain TypeScript on the hot path: benches `send`, `idle`.
 *
 * It leans on two inner parts of Node that have not changed for ten years: a socket's `_handle`, and the option `handle`.
 */
import { Socket, type SocketConstructorOpts } from "node:net"
import type { Duplex } from "node:stream"
import { closeTable } from "@parley/protocol/CloseCode"
import { Limits } from "@parley/protocol/Limits"
import type { Connection } from "./Connection.ts"
import { type FrameLimits, type FrameSink, readFrames, type Unfinished, wsTooLarge } from "./FrameReader.ts"

/** Fragments of one message. */
export const fragmentsMax = 64
/** Time for the closing handshake; then the socket is cut. */
export const closeTimeoutMs = 5_000
/** A client that has so much to read still gets no pongs. */
const pongQueueBytesMax = 16_384

const limits: FrameLimits = { messageBytesMax: Limits.frameBytesMax, fragmentsMax }

/** What every socket reads into: it is emptied before the next one reads. */
const readBuffer = Buffer.allocUnsafeSlow(65_536)

export interface SocketHandlers {
  text(connection: Connection, text: string): void
  binary(connection: Connection): void
  /** A sign of life that is no message. */
  alive(connection: Connection): void
  /** The socket is closed. */
  gone(connection: Connection): void
  /** The client has closed its side and all that was written has left: who hears it closes the socket, soon. */
  hungUp(socket: EdgeSocket): void
}

/** Called by Node as a method of the socket. */
const onRead = function (this: unknown, length: number): boolean {
  // Given to sockets of this class only.
  const socket = this as EdgeSocket
  socket.feed(readBuffer, length)
  return true
}

type State =
  | "open"
  /** Our close frame has left, theirs has not come. */
  | "closing"
  /** Nothing of the client matters any more. */
  | "ended"

export class EdgeSocket extends Socket implements FrameSink {
  readonly #handlers: SocketHandlers
  /** Undefined between the handshake and the edge's taking it on. */
  connection: Connection | undefined = undefined
  #unfinished: Unfinished | null = null
  #state: State = "open"

  private constructor(handle: unknown, handlers: SocketHandlers) {
    // The typings know another kind of handle only.
    super({ handle, onread: { buffer: readBuffer, callback: onRead } } as SocketConstructorOpts)
    this.#handlers = handlers
  }

  /** Takes the TCP connection from the HTTP server's socket, which is dead then; undefined where there is none. */
  static takeOver(http: Duplex, handlers: SocketHandlers): EdgeSocket | undefined {
    const holder = http as Duplex & { _handle?: unknown } // not in the typings
    const { _handle: handle } = holder
    // The handshake's answer has left by now, or the client reads nothing.
    const taken = handle !== undefined && handle !== null && http.writableLength === 0 && http.writable
    if (taken) holder._handle = null
    http.destroy()
    return taken ? new EdgeSocket(handle, handlers) : undefined
  }

  /** What was read. */
  feed(bytes: Buffer, length: number): void {
    if (this.reading) this.#unfinished = readFrames(this.#unfinished, bytes, length, limits, this)
  }

  /**
   * Called by Node with null at the end of what the client sends. Node would shut our side down, wait for that and then
   * close, all within the turn of the event loop that reads: for ten thousand cut off at once half a second.
   */
  override push(chunk: unknown): boolean {
    if (chunk !== null) return super.push(chunk)
    if (this.writableLength > 0) {
      this.once("finish", () => this.destroy())
      this.#end(undefined)
    } else {
      this.#state = "ended"
      this.#unfinished = null
      this.#handlers.hungUp(this)
    }
    return false
  }

  get reading(): boolean {
    return this.#state !== "ended"
  }

  onText(text: string): void {
    if (this.connection !== undefined && this.#state === "open") this.#handlers.text(this.connection, text)
  }

  onBinary(): void {
    if (this.connection !== undefined && this.#state === "open") this.#handlers.binary(this.connection)
  }

  onPing(payload: Buffer): void {
    this.onPong()
    if (this.#state !== "open" || this.writableLength > pongQueueBytesMax) return
    this.write(Buffer.concat([Buffer.of(0x8a, payload.length), payload]))
  }

  onPong(): void {
    if (this.connection !== undefined) this.#handlers.alive(this.connection)
  }

  /** Their close frame: answered by the same code, or the answer to ours. */
  onClose(code: number): void {
    const answer = this.#state === "open"
    this.#end(answer ? closeFrame(code === noCode ? undefined : code, "") : undefined)
  }

  onViolation(code: number): void {
    if (this.#state === "closing") return this.#end(undefined)
    const { too_large } = closeTable
    this.#end(code === wsTooLarge ? closeFrame(too_large.code, too_large.text) : closeFrame(code, ""))
  }

  /** Sends a close frame and waits for theirs. */
  close(code: number, reason: string): void {
    if (this.#state !== "open") return
    this.#state = "closing"
    this.write(closeFrame(code, reason))
    this.#cutLater()
  }

  #end(last: Buffer | undefined): void {
    if (this.#state === "open") this.#cutLater()
    this.#state = "ended"
    this.#unfinished = null
    if (last === undefined) this.end()
    else this.end(last)
  }

  #cutLater(): void {
    setTimeout(() => this.destroy(), closeTimeoutMs).unref()
  }

  /** What went wrong with the line does not matter: it is gone, and nobody has to listen for errors. */
  override destroy(_error?: Error): this {
    return super.destroy()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#state = "ended"
    this.#unfinished = null
    if (this.connection !== undefined) this.#handlers.gone(this.connection)
    super._destroy(error, done)
  }
}

/** A close frame without code, as read. */
const noCode = 1005
/** Of a close frame's payload. */
const reasonBytesMax = 123

const closeFrame = (code: number | undefined, reason: string): Buffer => {
  if (code === undefined) return Buffer.of(0x88, 0)
  const text = Buffer.from(reason).subarray(0, reasonBytesMax)
  return Buffer.concat([Buffer.of(0x88, 2 + text.length, code >> 8, code & 0xff), text])
}
