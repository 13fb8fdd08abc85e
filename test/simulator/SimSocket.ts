/**
 * A client's WebSocket without a wire: ordered, delayed, and cut when either end goes. The edge's end takes the calls that
 * the edge makes of an `EdgeSocket`; the client's end is what `test/wire/WireSocket` needs of `ws`, which the simulator's
 * loader puts in the place of that module.
 */
import type { Connection } from "@parley/node/edge/Connection"
import type { SimProcess } from "./VirtualTime.ts"
import { virtualTime } from "./VirtualTime.ts"

/** An edge that takes connections. */
export interface SimListener {
  readonly process: SimProcess
  readonly accept: (socket: EdgeEnd) => void
  readonly text: (connection: Connection, text: string) => void
  readonly alive: (connection: Connection) => void
  readonly gone: (connection: Connection) => void
}

/** By host, those that listen now; and how long a message between a client and an edge takes. */
export const listeners = new Map<string, SimListener>()
export const line = { delay: (): number => 1 }

const abnormal = 1006
const goneMsMax = 500

/** Where an order of messages is kept: none overtakes another. */
class Way {
  #last = 0
  readonly #to: SimProcess

  constructor(to: SimProcess) {
    this.#to = to
  }

  send(deliver: () => void, more = 0): void {
    const time = virtualTime()
    this.#last = Math.max(this.#last, time.now + line.delay() + more)
    time.after(this.#last - time.now, this.#to, deliver)
  }
}

export class EdgeEnd {
  connection: Connection | undefined = undefined
  readonly writableLength = 0
  writable = true
  readonly #way: Way
  readonly #client: WebSocket

  constructor(client: WebSocket, process: SimProcess) {
    this.#client = client
    this.#way = new Way(process)
  }

  write(bytes: string): boolean {
    if (this.writable) this.#way.send(() => this.#client.received(bytes))
    return true
  }

  close(code: number): void {
    if (!this.writable) return
    this.writable = false
    this.#way.send(() => this.#client.ended(code))
  }
}

type Listener = (...given: ReadonlyArray<unknown>) => void

/** The client's end: those parts of `ws` that the wire tests use. */
export class WebSocket {
  static readonly OPEN = 1
  readyState = 0
  readonly #listeners = new Map<string, Array<Listener>>()
  /** Where the client runs. */
  readonly client: SimProcess
  #listener: SimListener | undefined
  #edge: EdgeEnd | undefined
  #way: Way | undefined
  #unread = ""
  #reading = false

  constructor(url: string) {
    const time = virtualTime()
    this.client = time.current
    const host = new URL(url).hostname
    time.after(line.delay(), this.client, () => this.#connect(host))
  }

  on(name: string, listener: Listener): this {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener])
    return this
  }

  send(text: string): void {
    const [listener, edge] = [this.#listener, this.#edge]
    if (this.readyState !== WebSocket.OPEN || listener === undefined) return
    this.#way?.send(() => {
      if (edge?.connection !== undefined && edge.writable) listener.text(edge.connection, text)
    })
  }

  /** As if the network went: the edge may hear of it later. */
  terminate(): void {
    const [listener, edge] = [this.#listener, this.#edge]
    this.#way?.send(() => {
      if (edge === undefined || !edge.writable) return
      edge.writable = false
      if (edge.connection !== undefined) listener?.gone(edge.connection)
    }, virtualTime().random() * goneMsMax)
    this.ended(abnormal)
  }

  /** Frames of the edge, as it wrote them: text, and pings, which a client answers by itself. */
  received(bytes: string): void {
    this.#unread += bytes
    if (!this.#reading) this.#read()
  }

  /** One frame a turn: whoever waits for an answer goes on before what comes after it. */
  #read(): void {
    if (this.readyState !== WebSocket.OPEN) return
    const frame = firstFrame(this.#unread)
    this.#reading = frame !== undefined
    if (frame === undefined) return
    this.#unread = this.#unread.slice(frame.end)
    virtualTime().after(0, this.client, () => this.#read())
    if (frame.text === undefined) this.#pong()
    else this.#emit("message", Buffer.from(frame.text, "latin1"), false)
  }

  ended(code: number): void {
    if (this.readyState === 3) return
    this.readyState = 3
    connected.get(this.#listener?.process)?.delete(this)
    this.#emit("close", code)
  }

  #connect(host: string): void {
    if (this.readyState !== 0) return
    const listener = listeners.get(host)
    if (listener === undefined || !listener.process.alive) return this.ended(abnormal)
    this.#listener = listener
    this.#way = new Way(listener.process)
    let sockets = connected.get(listener.process)
    if (sockets === undefined) connected.set(listener.process, (sockets = new Set()))
    sockets.add(this)
    const edge = new EdgeEnd(this, this.client)
    this.#way.send(() => {
      listener.accept(edge)
      new Way(this.client).send(() => {
        if (this.readyState !== 0) return
        this.#edge = edge
        this.readyState = WebSocket.OPEN
        this.#emit("open")
      })
    })
  }

  #pong(): void {
    const [listener, edge] = [this.#listener, this.#edge]
    this.#way?.send(() => {
      if (edge?.connection !== undefined && edge.writable) listener?.alive(edge.connection)
    })
  }

  #emit(name: string, ...given: ReadonlyArray<unknown>): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(...given)
  }
}

const connected = new Map<SimProcess | undefined, Set<WebSocket>>()

/** The process of an edge died: its clients hear of it soon. */
export const resetSockets = (process: SimProcess): void => {
  const time = virtualTime()
  for (const socket of connected.get(process) ?? []) {
    time.after(line.delay() + time.random() * goneMsMax, socket.client, () => socket.ended(abnormal))
  }
  connected.delete(process)
}

/** Forgets a run. */
export const forgetSockets = (): void => {
  connected.clear()
  listeners.clear()
}

interface Read {
  readonly end: number
  /** Undefined: no text. */
  readonly text: string | undefined
}

/** A server's frame (RFC 6455), where all of it is here; one char a byte. */
const firstFrame = (bytes: string): Read | undefined => {
  if (bytes.length < 2) return undefined
  const short = bytes.charCodeAt(1)
  const header = short < 126 ? 2 : short === 126 ? 4 : 10
  if (bytes.length < header) return undefined
  let length = short
  if (header > 2) {
    length = 0
    for (let at = 2; at < header; at++) length = length * 256 + bytes.charCodeAt(at)
  }
  const end = header + length
  if (bytes.length < end) return undefined
  return { end, text: bytes.charCodeAt(0) === 0x81 ? bytes.slice(header, end) : undefined }
}
