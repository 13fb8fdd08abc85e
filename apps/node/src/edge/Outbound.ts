/**
 * What goes out. A payload is framed once, whatever the number of sockets; the frames of a connection gather until the
 * next turn of the event loop and leave in one write, because the system call is what a delivery costs (FACTS §4).
 * Queues are bounded: past the soft bound ephemeral frames are dropped, past the hard one the connection is closed as a
 * slow consumer; it resumes by sync, and costs nobody else anything.
 * Plain TypeScript on the hot path: benches `fanout` and `send`.
 *
 * The socket writes its control frames at once, in the order of the calls, so they land between whole frames of ours.
 * The one that has to come last, the close, is sent after `flushNow`.
 */
import type { WireText } from "@parley/protocol/WireText"
import { spokenBy } from "./ClientRelease.ts"
import type { Connection } from "./Connection.ts"

/** Sockets written in one go before other work gets its turn. */
export const flushSocketsMax = 256

const finText = 0x81

/** A server's (unmasked) text frame: header and payload as a one-byte string. */
export const frameOf = (text: WireText): WireText => {
  const payload = spokenBy(text)
  const length = payload.length
  if (length < 126) return String.fromCharCode(finText, length) + payload
  if (length < 65_536) return String.fromCharCode(finText, 126, length >>> 8, length & 0xff) + payload
  return (
    String.fromCharCode(
      finText,
      127,
      0,
      0,
      0,
      0,
      (length >>> 24) & 0xff,
      (length >>> 16) & 0xff,
      (length >>> 8) & 0xff,
      length & 0xff
    ) + payload
  )
}

/** An empty ping: browsers answer it without their page's help, also in a throttled tab. */
export const pingFrame: WireText = "\x89\x00"

export interface OutboundOptions {
  readonly softBytes: number
  readonly hardBytes: number
  readonly onSlow: (connection: Connection) => void
}

export class Outbound {
  readonly #softBytes: number
  readonly #hardBytes: number
  readonly #onSlow: (connection: Connection) => void
  #dirty: Array<Connection> = []
  #scheduled = false
  /** Since the start, for metrics. */
  frames = 0
  writes = 0
  bytes = 0
  ephemeralDropped = 0

  constructor(options: OutboundOptions) {
    this.#softBytes = options.softBytes
    this.#hardBytes = options.hardBytes
    this.#onSlow = options.onSlow
  }

  /** Queues a frame made by `frameOf`. */
  push(connection: Connection, frame: WireText, ephemeral: boolean): void {
    if (connection.state === "closed" || connection.slow) return
    const queued = connection.pending.length + connection.socket.writableLength
    if (queued > this.#softBytes) {
      if (ephemeral) {
        this.ephemeralDropped++
        return
      }
      if (queued + frame.length > this.#hardBytes) {
        // Later: the caller may be walking a list that the connection is on.
        connection.slow = true
        queueMicrotask(() => this.#onSlow(connection))
        return
      }
    }
    this.frames++
    connection.pending += frame
    if (connection.dirty) return
    connection.dirty = true
    this.#dirty.push(connection)
    if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(this.#flush)
    }
  }

  /** Writes what one connection has waiting. */
  flushNow(connection: Connection): void {
    const { pending } = connection
    if (pending === "") return
    connection.pending = ""
    this.writes++
    this.bytes += pending.length
    if (connection.socket.writable) connection.socket.write(pending, "latin1")
  }

  readonly #flush = (): void => {
    const dirty = this.#dirty
    const count = Math.min(dirty.length, flushSocketsMax)
    for (let i = 0; i < count; i++) {
      const connection = dirty[i]
      if (connection === undefined) continue
      connection.dirty = false
      this.flushNow(connection)
    }
    if (count === dirty.length) {
      dirty.length = 0
      this.#scheduled = false
    } else {
      this.#dirty = dirty.slice(count)
      setImmediate(this.#flush)
    }
  }
}
