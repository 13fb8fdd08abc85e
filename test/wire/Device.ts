/**
 * A device of a user: connects, resumes by sync, keeps its copy of every channel, and connects again when the server
 * goes. Everything it sends and sees goes into the recorder. It never asks twice for what it should get by itself: a
 * hole that nobody fills stays, for the checker to find.
 */
import { setTimeout as delay } from "node:timers/promises"
import type { ChannelEvent } from "@parley/protocol/Event"
import type { Answer, ChannelHead, ChannelSync, OpName, Push, ReadState } from "@parley/protocol/Frame"
import type { Position } from "@parley/protocol/Ids"
import { laterCursor } from "@parley/storage/CursorStore"
import type { DeviceView } from "../checker/FinalState.ts"
import type { Fact, Mutation, Recorder, Seat } from "../checker/History.ts"
import { ChannelCopy } from "./ChannelCopy.ts"
import { tokenFor } from "./Tokens.ts"
import { Trace } from "./Trace.ts"
import { type Reply, WireSocket } from "./WireSocket.ts"

/** Between two tries to connect. */
const reconnectMs = 25
/** Wait before channels are asked for again that were unavailable. */
const unavailableMs = 250
/** Rounds of sync after one hello; each brings a device that is behind nearer to the heads. */
const syncRoundsMax = 64

/** Tries of one read; each connection says again what the server lacks. */
const readTriesMax = 16

export interface DeviceOptions {
  readonly user: string
  readonly device: string
  /** Where the server is now; undefined while it is down. */
  readonly url: () => string | undefined
  readonly recorder: Recorder
  /** Shows all channels on its screen; default true. Where the fan-out is by read, one that does not has to `look`. */
  readonly watches?: boolean
  /** Speaks as a client of the release after this one; default false. */
  readonly next?: boolean
}

/** A fact without where it was seen. */
type Bare = Fact extends infer F ? (F extends Fact ? Omit<F, keyof Seat> : never) : never

let connections = 0

export class Device {
  readonly user: string
  readonly device: string
  readonly channels = new Map<string, ChannelCopy>()
  readonly #options: DeviceOptions
  #session = { generation: 0, seq: 0 }
  #connection = 0
  #socket: WireSocket | undefined
  #token: string | undefined
  /** The latest read mark of each channel that an answer told. */
  readonly #marks = new Map<string, Position>()
  /** Channels that this connection watches, or asks to. */
  readonly #watched = new Set<string>()
  readonly #trace = new Trace()
  #syncing = false
  #syncAgain = false
  /** Channels that pushes brought since the running sync was asked: its list may be older than they are. */
  readonly #brought = new Set<string>()
  /** Channels that he is out of, and since when. */
  readonly #leftAt = new Map<string, { readonly generation: number; readonly seq: number }>()
  /** Channels whose counts are asked for. */
  readonly #counting = new Set<string>()
  /** Whoever waits for a connection that has synced. */
  #waiters: Array<() => void> = []
  #ready = false
  #stopped = false
  #life: Promise<void> | undefined

  constructor(options: DeviceOptions) {
    this.#options = options
    this.user = options.user
    this.device = options.device
  }

  start(): void {
    this.#life ??= this.#live()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#socket?.terminate()
    this.#wake()
    await this.#life
  }

  /** Has synced, and is connected now. */
  get ready(): boolean {
    return this.#ready
  }

  /** Waits for a connection that has synced; false: the device was stopped. */
  async whenReady(): Promise<boolean> {
    while (!this.#ready && !this.#stopped) await new Promise<void>((resolve) => this.#waiters.push(resolve))
    return !this.#stopped
  }

  /** Whether it hears of everything without asking. */
  get watches(): boolean {
    return this.#options.watches ?? true
  }

  /** Asks for what it has missed, on the connection that it has. */
  async look(): Promise<void> {
    if (this.#ready) await this.#resync()
  }

  /** As if the network went. It connects again by itself. */
  drop(): void {
    this.#socket?.terminate()
  }

  /** One try of a mutation on this connection, or the next one that is there. */
  async attempt(mutation: Mutation): Promise<"done" | "refused" | "again"> {
    const socket = (await this.whenReady()) ? this.#socket : undefined
    if (socket === undefined) return "again"
    const seat = this.#seat()
    this.#record({ _tag: "Asked", mutation }, seat)
    const { op, ...fields } = mutation
    const reply = await socket.request(op, fields)
    if (reply._tag === "Lost") {
      // A connection that is going answers at once: whoever tries again and again would never let it go.
      await delay(1)
      return "again"
    }
    const { channel, cid } = mutation
    if (reply._tag === "Error") {
      const { code, retry_after_ms, retryable } = reply.error
      this.#record({ _tag: "Refused", channel, cid, code, retryable }, seat)
      if (!retryable) return "refused"
      await delay(Math.min(retry_after_ms ?? reconnectMs, 250))
      return "again"
    }
    this.#acknowledged(mutation, reply.ok, seat, socket)
    return "done"
  }

  /** Moves the read mark to what is held. */
  async read(channel: string): Promise<void> {
    const copy = this.channels.get(channel)
    if (copy !== undefined && copy.position > 0) await this.#read(channel, copy.position)
  }

  async history(
    channel: string,
    place: { readonly before?: number; readonly after?: number; readonly limit?: number }
  ) {
    const seat = this.#seat()
    const reply = await this.request("history", { channel, ...place })
    if (reply._tag === "Ok") {
      const { events, from, to } = reply.ok
      this.#record({ _tag: "Shown", how: "history", channel, from, to, events }, seat)
    }
    return reply
  }

  async request<Name extends OpName>(op: Name, fields: Readonly<Record<string, unknown>>): Promise<Reply<Name>> {
    const socket = (await this.whenReady()) ? this.#socket : undefined
    return socket === undefined ? { _tag: "Lost" } : socket.request(op, fields)
  }

  /** For whoever looks into a failed run. */
  state(): string {
    const channels = [...this.channels].map(
      ([channel, copy]) => `${channel}: ${copy.state}${this.#watched.has(channel) ? ", watched" : ""}`
    )
    return `${this.device}: ${this.#ready ? "ready" : "not ready"}; ${channels.join("; ")}`
  }

  /** The last frames about a channel, or with some other word in them. */
  readonly lastFrames = (word: string): string => this.#trace.of(word)

  view(): DeviceView {
    const channels = [...this.channels].filter(([, copy]) => copy.position >= 0)
    return {
      user: this.user,
      device: this.device,
      session: this.#session.seq,
      channels: new Map(channels.map(([channel, copy]) => [channel, copy.view()])),
      held: new Map(channels.map(([channel, copy]) => [channel, copy.messages()]))
    }
  }

  // --- the connection ---------------------------------------------------------------------------------------------

  async #live(): Promise<void> {
    while (!this.#stopped) {
      const socket = await this.#connect().catch(() => undefined)
      if (socket !== undefined) {
        this.#ready = true
        this.#wake()
        await socket.closed
        this.#ready = false
        for (const copy of this.channels.values()) copy.disconnected()
      }
      this.#socket?.terminate()
      this.#socket = undefined
      if (!this.#stopped) await delay(reconnectMs)
    }
  }

  async #connect(): Promise<WireSocket | undefined> {
    const url = this.#options.url()
    if (url === undefined) return undefined
    this.#token ??= await tokenFor(url, this.user)
    const connection = ++connections
    this.#connection = connection
    this.#watched.clear()
    const { next = false } = this.#options
    const onBroken = (what: string) => this.#record({ _tag: "Broken", what }, this.#seat(connection))
    const events = {
      onPush: (push: Push) => this.#pushed(push, this.#seat(connection)),
      onBroken,
      onText: (direction: "out" | "in", text: string) => this.#trace.add(connection, direction, text)
    }
    const socket = await WireSocket.open(url, events, next)
    this.#socket = socket
    if (socket === undefined) return undefined
    const hello = await socket.request("hello", { token: this.#token, device: this.device, client: "test/1" })
    if (hello._tag === "Error" && !hello.error.retryable) this.#token = undefined
    const code = next && hello._tag === "Ok" ? await socket.unknownOp() : "unknown_op"
    if (code !== "unknown_op" && code !== "Lost") onBroken(`an op of a later release is answered ${code}`)
    return hello._tag === "Ok" && (await this.#resync()) ? socket : undefined
  }

  /** One sync at a time; what is asked meanwhile is asked after it. */
  async #resync(): Promise<boolean> {
    const socket = this.#socket
    this.#syncAgain = true
    if (this.#syncing || socket === undefined) return false
    this.#syncing = true
    let whole = true
    while (this.#syncAgain && whole) {
      this.#syncAgain = false
      whole = await this.#syncAll(socket)
    }
    this.#syncing = false
    return whole
  }

  async #syncAll(socket: WireSocket): Promise<boolean> {
    for (let round = 0, more: string | null = null; round < syncRoundsMax; round++) {
      this.#brought.clear()
      const held = [...this.channels].filter(([, copy]) => copy.position >= 0)
      const channels = held.map(([channel, copy]) => [channel, copy.generation, copy.position])
      const first = { channels, session: this.#session }
      let behind = false
      do {
        const reply: Reply<"sync"> = await socket.request("sync", more === null ? first : { ...first, page: more })
        if (reply._tag !== "Ok") {
          socket.terminate()
          return false
        }
        behind = this.#synced(reply.ok) || behind
        more = reply.ok.more
      } while (more !== null)
      if (!behind) break
    }
    await this.#offerReads()
    return socket.open
  }

  /** True where a channel's events were more than one answer holds. */
  #synced(answer: Answer<"sync">): boolean {
    const { channels, lost, personal, reload, session, unavailable } = answer
    if (unavailable !== undefined) void this.#syncLater()
    this.#record({ _tag: "Personal", how: "sync", position: session.seq, events: personal }, this.#seat())
    if (reload) for (const [channel, copy] of this.channels) if (!this.#brought.has(channel)) copy.forget()
    const { generation, seq } = this.#session
    // Before the first answer: what was pushed meanwhile may be newer.
    if (generation === 0) this.#session = { ...session, seq: Math.max(session.seq, seq) }
    else if (reload || session.generation !== generation || session.seq > seq) this.#session = session
    for (const { channel, seq } of lost) this.#left(channel, seq)
    for (const sync of channels) this.#take(sync, this.#seat())
    return channels.some(({ head, to }) => to < head.seq)
  }

  /** Channels whose owner could not say are not joined: they are asked for again, as long as the connection lasts. */
  async #syncLater(): Promise<void> {
    const socket = this.#socket
    await delay(unavailableMs)
    if (socket !== undefined && socket === this.#socket && socket.open) await this.#resync()
  }

  #take(sync: ChannelSync, seat: Seat): void {
    const { events, from, head, to } = sync
    const left = this.#leftAt.get(head.channel)
    // Asked before the removal, answered after it.
    const held = this.channels.get(head.channel)?.position ?? -1
    if (left?.generation === head.generation && head.seq <= left.seq && held < 0) return
    this.#record({ _tag: "Shown", how: "sync", channel: head.channel, from, to, events }, seat)
    this.#glimpsed(head, seat)
    this.#copyOf(head.channel).sync(sync)
    void this.#count(head.channel)
    void this.#watch(head.channel)
  }

  /** What came between the switch to read fan-out, or the sync, and the watch is asked for by a sync. */
  async #watch(channel: string): Promise<void> {
    const socket = this.#socket
    if (!this.watches || socket === undefined) return
    while (this.channels.get(channel)?.fanout === "read" && !this.#watched.has(channel)) {
      if (!socket.open) return
      this.#watched.add(channel)
      const reply = await socket.request("watch", { channel })
      if (reply._tag === "Lost") return
      if (reply._tag === "Ok") {
        const { head } = reply.ok
        this.#glimpsed(head, this.#seat())
        if ((this.channels.get(channel)?.position ?? head.seq) < head.seq) await this.#resync()
        return
      }
      this.#watched.delete(channel)
      if (!reply.error.retryable) return
      await delay(reconnectMs)
    }
  }

  /**
   * Asks for counts that what is held can't be brought to, by a `read` that moves nothing: a cursor's push may be older
   * than the reload before it.
   */
  async #count(channel: string): Promise<void> {
    const socket = this.#socket
    if (socket === undefined) return
    const due = () => socket.open && this.channels.get(channel)?.uncounted === true && !this.#counting.has(channel)
    while (due()) {
      const seat = this.#seat()
      this.#counting.add(channel)
      const reply = await socket.request("read", { channel, seq: 0 })
      this.#counting.delete(channel)
      if (reply._tag === "Ok") this.#marked(channel, reply.ok, seat)
      else if (reply._tag === "Lost" || !reply.error.retryable) return
      else await delay(reconnectMs)
    }
  }

  #glimpsed(head: ChannelHead, seat: Seat): void {
    if (head.last !== null) this.#record({ _tag: "Glimpsed", channel: head.channel, event: head.last }, seat)
  }

  /** A read mark may be lost with the server, which writes it behind: who knows of it says it again (†5). */
  async #offerReads(): Promise<void> {
    for (const channel of this.channels.keys()) await this.#offerRead(channel)
  }

  async #offerRead(channel: string): Promise<void> {
    const copy = this.channels.get(channel)
    if (copy === undefined) return
    const mark = later(this.#marks.get(channel), copy.forgotten)
    if (mark?.generation === copy.cursor.generation) await this.#readOn(channel, mark.seq)
  }

  async #read(channel: string, seq: number): Promise<void> {
    if (await this.whenReady()) await this.#readOn(channel, seq)
  }

  async #readOn(channel: string, seq: number): Promise<void> {
    const seat = this.#seat()
    const socket = this.#socket
    if (socket === undefined) return
    for (let tries = 0; tries < readTriesMax; tries++) {
      const reply = await socket.request("read", { channel, seq })
      if (reply._tag === "Ok") return this.#marked(channel, reply.ok, seat)
      if (reply._tag === "Lost" || !reply.error.retryable) return
      await delay(unavailableMs)
    }
  }

  #marked(channel: string, state: ReadState, seat: Seat): void {
    this.#record({ _tag: "Marked", channel, cursor: state.cursor }, seat)
    // What counts were asked for may be answered by a server that forgot it, before it is told again.
    this.#marks.set(channel, later(this.#marks.get(channel), state.cursor) ?? state.cursor)
    this.channels.get(channel)?.readState(state)
    void this.#count(channel)
  }

  // --- what comes -------------------------------------------------------------------------------------------------

  #pushed(push: Push, seat: Seat): void {
    switch (push.ev) {
      case "event":
      case "covered": {
        const { channel, from, to } = push
        const events = push.ev === "event" ? [push.event] : []
        this.#record({ _tag: "Shown", how: "live", channel, from, to, events }, seat)
        return this.#offer(channel, from, to, events)
      }
      case "channel":
        this.#brought.add(push.sync.head.channel)
        this.#take(push.sync, seat)
        void this.#offerRead(push.sync.head.channel)
        return
      case "personal": {
        const { event } = push
        const { user_seq } = event
        this.#record({ _tag: "Personal", how: "live", position: user_seq, events: [event] }, seat)
        if (user_seq > this.#session.seq) this.#session = { ...this.#session, seq: user_seq }
        if (event.kind === "removed") this.#left(event.channel, event.seq)
        return
      }
      case "cursor":
        this.#copyOf(push.channel).readState(push)
        void this.#count(push.channel)
        return
      default:
        return
    }
  }

  #offer(channel: string, from: number, to: number, events: ReadonlyArray<ChannelEvent>): void {
    const copy = this.#copyOf(channel)
    const switched = events.some((event) => event.kind === "fanout")
    // Not watched: what comes all the same (removals, the switch, own acks) lies beyond what this device asks for later.
    const outside = copy.fanout === "read" && !this.#watched.has(channel) && from > copy.position && copy.position >= 0
    if (!outside) copy.offer(from, to, events)
    else if (switched) void this.#resync()
    // The switch may have been taken just now though it came before: an own ack filled the hole below it.
    void this.#watch(channel)
    void this.#count(channel)
    const out = events.find((event) => event.kind === "removed" && event.members.some((member) => member === this.user))
    if (out !== undefined) this.#left(channel, out.seq)
  }

  /** Out since `seq`; what is held above it is of a stay that began later: an old ack, or an old personal event. */
  #left(channel: string, seq: number): void {
    const position = this.channels.get(channel)?.position ?? -1
    if (seq > 0 && position > seq) return
    const generation = this.channels.get(channel)?.generation
    const left = this.#leftAt.get(channel)
    if (generation !== undefined && position >= 0) this.#leftAt.set(channel, { generation, seq })
    // Of a copy that holds nothing, or only a cursor: said once more, or out of a later stay, of which nothing had come yet.
    else if (left !== undefined && seq > left.seq) this.#leftAt.set(channel, { ...left, seq })
    this.channels.delete(channel)
    this.#watched.delete(channel)
  }

  #copyOf(channel: string): ChannelCopy {
    const known = this.channels.get(channel)
    if (known !== undefined) return known
    const copy = new ChannelCopy(this.user)
    this.channels.set(channel, copy)
    return copy
  }

  /** An ack is the event, for the connection that asked: it is pushed to all others only. */
  #acknowledged(mutation: Mutation, ok: Answer<Mutation["op"]>, seat: Seat, socket: WireSocket): void {
    const { channel, cid, op } = mutation
    if ("user_seq" in ok) return this.#marked(channel, ok, seat)
    const { at, seq } = ok
    const n = "n" in ok ? { n: ok.n } : {}
    this.#record({ _tag: "Acked", channel, cid, seq, at, ...n }, seat)
    const event = ownEvent(mutation, this.user, seq, at, "n" in ok ? ok.n : 0)
    if (this.#socket !== socket || event === undefined) return
    // Of a channel that is still to come it waits for that; a leave is the end of one that is here.
    if (op !== "leave" || this.channels.has(channel)) this.#offer(channel, seq - 1, seq, [event])
  }

  #record(fact: Bare, seat: Seat): void {
    // Omit and & are each other's inverse here, which the compiler can't see for a union.
    this.#options.recorder.add({ ...seat, ...fact } as Fact)
  }

  #seat(connection = this.#connection): Seat {
    return { user: this.user, device: this.device, connection }
  }

  #wake(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }
}

const later = (a: Position | undefined, b: Position | undefined): Position | undefined =>
  a === undefined || b === undefined ? (a ?? b) : laterCursor(a, b)

const ownEvent = (mutation: Mutation, by: string, seq: number, at: number, n: number): ChannelEvent | undefined => {
  const { cid, members = [], mentions = [], name = "", op, target = 0, text = "" } = mutation
  // The ids are those that the schemas of the frames sent with them accepted.
  const base = { seq, at, by, cid } as Pick<ChannelEvent & { kind: "message" }, "seq" | "at" | "by" | "cid">
  // Branded as above.
  const users = (op === "leave" ? [by] : members) as ReadonlyArray<typeof base.by>
  switch (op) {
    case "send":
      // Branded as above.
      return { ...base, kind: "message", n, text, mentions: mentions as ReadonlyArray<typeof base.by> }
    case "edit":
      return { ...base, kind: "edit", target, text }
    case "delete":
      return { ...base, kind: "delete", target }
    case "update":
      return { ...base, kind: "updated", name }
    case "add_members":
      return { ...base, kind: "added", members: users }
    case "leave":
    case "remove_members":
      return { ...base, kind: "removed", members: users }
    default:
      return undefined
  }
}
