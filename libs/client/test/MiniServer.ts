/**
 * A server in a few hundred lines that speaks the protocol's frames and keeps its promises, for tests of the client: one
 * sequence a channel, client ids, sync by position or reload, cursors, personal events, no echo. Faults are the test's:
 * it may drop or double pushes, refuse mutations, and cut lines.
 */
import { renderFailure, type ApiFailure } from "@parley/protocol/ApiError"
import type {
  PlainEvent,
  PlainMessage,
  PlainPosition,
  PlainPush,
  PlainReceipt,
  PlainUserEvent
} from "../src/PlainFrame.ts"
import type { ServerEnd, ServerLine } from "./MemorySocket.ts"

export interface MiniChannel {
  readonly id: string
  generation: number
  name: string
  events: Array<PlainEvent>
  /** User → the seq from which he may read. */
  members: Map<string, number>
  fanout: "write" | "read"
  /** User → how far he has come; of a small channel. */
  receipts: Map<string, PlainReceipt>
}

interface MiniSession {
  readonly generation: number
  events: Array<PlainUserEvent>
  cursors: Map<string, PlainPosition>
}

export interface Faults {
  /** How often a live push comes: 0 is lost, 2 is doubled. */
  copies?: (push: PlainPush) => number
  /** Refuses a mutation before it is executed. */
  refuse?: (op: string, frame: Frame) => ApiFailure | undefined
  /** After it was executed: the answer is another, or `silent`. */
  instead?: (op: string, frame: Frame) => ApiFailure | "silent" | undefined
  /** So many events before the head the counts of a `read` were made: those events may be on the device by then. */
  countedBefore?: () => number
  /** Channels that a sync can't answer. */
  unavailable?: (channel: string) => boolean
}

/** A request as it was parsed; a test's server trusts the client under test. */
// oxlint-disable-next-line typescript/no-explicit-any -- a mini server reads fields of many shapes
export type Frame = { readonly id: number; readonly op: string } & Record<string, any> // fields of any op

export interface MiniBounds {
  readonly eventsPerSync: number
  readonly gapMax: number
  readonly channelsPerPage: number
  readonly receiptsMembersMax: number
}

export class MiniServer {
  readonly channels = new Map<string, MiniChannel>()
  readonly sessions = new Map<string, MiniSession>()
  readonly connections = new Set<MiniConnection>()
  /** Client id → ack, by user. */
  readonly acks = new Map<string, object>()
  /** Frames received, for tests that count. */
  readonly received: Array<Frame> = []
  faults: Faults = {}
  now: () => number
  bounds: MiniBounds = { eventsPerSync: 4, gapMax: 40, channelsPerPage: 2, receiptsMembersMax: 4 }
  expiresInMs = 3_600_000
  heartbeatMs = 12_000

  constructor(now: () => number) {
    this.now = now
  }

  accept(line: ServerLine): ServerEnd {
    return new MiniConnection(this, line)
  }

  session(user: string): MiniSession {
    const known = this.sessions.get(user)
    if (known !== undefined) return known
    const fresh = { generation: 1, events: [], cursors: new Map<string, PlainPosition>() }
    this.sessions.set(user, fresh)
    return fresh
  }

  make(id: string, members: ReadonlyArray<string>): MiniChannel {
    const channel: MiniChannel = {
      id,
      generation: 1,
      name: id,
      events: [],
      members: new Map(),
      fanout: "write",
      receipts: new Map()
    }
    this.channels.set(id, channel)
    for (const member of members) channel.members.set(member, 1)
    this.append(
      channel,
      { kind: "created", by: members[0] ?? "x", cid: "c", name: id, topic: "", members: [...members], fanout: "write" },
      undefined
    )
    for (const member of members) this.personal(member, { kind: "added", channel: id, seq: 1 })
    return channel
  }

  /** Takes the next seq, and delivers to everybody but the connection that caused it. */
  append(channel: MiniChannel, body: object, origin: MiniConnection | undefined): PlainEvent {
    const event = { seq: channel.events.length + 1, at: this.now(), ...body } as PlainEvent // made by this file
    channel.events.push(event)
    const removed = event.kind === "removed" ? event.members : []
    for (const connection of this.connections) {
      if (!connection.channels.has(channel.id) || connection === origin) continue
      if (
        channel.fanout === "read" &&
        !connection.watched.has(channel.id) &&
        event.kind !== "removed" &&
        event.kind !== "fanout"
      )
        continue
      connection.push({ ev: "event", channel: channel.id, from: event.seq - 1, to: event.seq, event })
    }
    for (const connection of this.connections)
      if (removed.includes(connection.user)) connection.channels.delete(channel.id)
    return event
  }

  say(
    channel: MiniChannel,
    by: string,
    text: string,
    mentions: ReadonlyArray<string> = [],
    cid = `by-${by}-${channel.events.length}`,
    origin?: MiniConnection
  ) {
    const n = channel.events.filter((event) => event.kind === "message").length + 1
    const event = this.append(
      channel,
      { kind: "message", by, cid, n, text, ...(mentions.length > 0 ? { mentions } : {}) },
      origin
    )
    if (channel.fanout === "write")
      for (const user of mentions) this.personal(user, { kind: "mentioned", channel: channel.id, seq: event.seq, by })
    return event
  }

  add(channel: MiniChannel, user: string, by: string, origin?: MiniConnection): PlainEvent {
    channel.members.set(user, channel.events.length + 1)
    const event = this.append(
      channel,
      { kind: "added", by, cid: `add-${channel.events.length}`, members: [user] },
      origin
    )
    this.personal(user, { kind: "added", channel: channel.id, seq: event.seq })
    for (const connection of this.connections) {
      if (connection.user !== user || !connection.synced) continue
      connection.channels.add(channel.id)
      connection.push({ ev: "channel", sync: this.syncOf(channel, user, undefined) })
    }
    return event
  }

  remove(channel: MiniChannel, user: string, by: string, origin?: MiniConnection): PlainEvent {
    const event = this.append(
      channel,
      { kind: "removed", by, cid: `remove-${channel.events.length}`, members: [user] },
      origin
    )
    channel.members.delete(user)
    channel.receipts.delete(user)
    if (origin?.user === user) origin.channels.delete(channel.id)
    this.personal(user, { kind: "removed", channel: channel.id, seq: event.seq })
    return event
  }

  /** 0: he never was. */
  removedAt(channel: string, user: string): number {
    const events = this.channels.get(channel)?.events ?? []
    return events.findLast((event) => event.kind === "removed" && event.members.includes(user))?.seq ?? 0
  }

  personal(user: string, body: object): PlainUserEvent {
    const session = this.session(user)
    const event = { user_seq: session.events.length + 1, at: this.now(), ...body } as PlainUserEvent // made by this file
    session.events.push(event)
    for (const connection of this.connections) if (connection.user === user) connection.push({ ev: "personal", event })
    return event
  }

  /** Says where each channel's head is, as links do when they are idle: a lost last event shows. */
  heartbeatHeads(): void {
    for (const connection of this.connections) {
      for (const id of connection.channels) {
        const head = this.channels.get(id)?.events.length ?? 0
        connection.line.send(JSON.stringify({ ev: "covered", channel: id, from: head, to: head }))
      }
    }
  }

  /** Events in `(after, upTo]` in current form. */
  current(channel: MiniChannel, after: number, upTo = channel.events.length): ReadonlyArray<PlainEvent> {
    return channel.events.slice(after, upTo).map((event) => {
      if (event.kind === "message") return this.currentMessage(channel, event)
      if (event.kind !== "edit") return event
      const deleted = channel.events.some((other) => other.kind === "delete" && other.target === event.target)
      return deleted ? { ...event, text: "", void: true } : event
    })
  }

  currentMessage(channel: MiniChannel, message: PlainMessage, head = channel.events.length): PlainMessage {
    let current = message
    for (const event of channel.events.slice(0, head)) {
      if (event.kind === "edit" && event.target === message.seq) {
        const { mentions: _, ...rest } = current
        const mentions = event.mentions === undefined ? {} : { mentions: event.mentions }
        current = { ...rest, text: event.text, edited: event.seq, ...mentions }
      }
      if (event.kind === "delete" && event.target === message.seq)
        current = { ...current, text: "", deleted: event.seq }
    }
    return current
  }

  messages(channel: MiniChannel): ReadonlyArray<PlainMessage> {
    return this.current(channel, 0).filter((event) => event.kind === "message")
  }

  readState(channel: MiniChannel, user: string, before = 0) {
    const cursor = this.cursor(channel.id, user)
    const since = Math.max(cursor.seq, (channel.members.get(user) ?? 1) - 1)
    const head = Math.max(Math.min(since, channel.events.length), channel.events.length - before)
    const unread = channel.events
      .slice(0, head)
      .flatMap((event) => (event.kind === "message" ? [this.currentMessage(channel, event, head)] : []))
      .filter((message) => message.seq > since && message.by !== user && message.deleted === undefined)
    return {
      cursor,
      unread: unread.length,
      mentions: unread.filter((message) => message.mentions?.includes(user)).length,
      head
    }
  }

  cursor(channel: string, user: string): PlainPosition {
    return this.session(user).cursors.get(channel) ?? { generation: 0, seq: 0 }
  }

  /** Takes how far a member has come, and tells the others. */
  progress(channel: MiniChannel, user: string, delivered: number, read: number): void {
    if (channel.members.size > this.bounds.receiptsMembersMax) return
    const before = channel.receipts.get(user) ?? { user, delivered: 0, read: 0 }
    const next = { user, delivered: Math.max(before.delivered, delivered, read), read: Math.max(before.read, read) }
    channel.receipts.set(user, next)
    if (next.delivered === before.delivered && next.read === before.read) return
    for (const connection of this.connections) {
      if (connection.user !== user && connection.channels.has(channel.id))
        connection.push({ ev: "receipt", channel: channel.id, ...next })
    }
  }

  headOf(channel: MiniChannel, user: string) {
    const { cursor, mentions, unread, head } = this.readState(channel, user)
    const messages = this.messages(channel)
    return {
      channel: channel.id,
      generation: channel.generation,
      seq: head,
      n: messages.length,
      name: channel.name,
      topic: "",
      members: channel.members.size,
      role: "member" as const,
      fanout: channel.fanout,
      cursor,
      unread,
      mentions,
      last: messages.at(-1) ?? null,
      ...(channel.members.size > this.bounds.receiptsMembersMax ? {} : { receipts: [...channel.receipts.values()] })
    }
  }

  syncOf(channel: MiniChannel, user: string, held: PlainPosition | undefined) {
    const head = this.headOf(channel, user)
    if (
      held === undefined ||
      held.generation !== channel.generation ||
      held.seq > head.seq ||
      head.seq - held.seq > this.bounds.gapMax
    ) {
      return { head, from: head.seq, to: head.seq, events: [], reload: true }
    }
    const to = Math.min(head.seq, held.seq + this.bounds.eventsPerSync)
    const readable = (channel.members.get(user) ?? 1) - 1
    return { head, from: held.seq, to, events: this.current(channel, Math.max(held.seq, readable), to), reload: false }
  }
}

export class MiniConnection implements ServerEnd {
  readonly server: MiniServer
  readonly line: ServerLine
  readonly channels = new Set<string>()
  readonly watched = new Set<string>()
  user = ""
  device = ""
  synced = false

  constructor(server: MiniServer, line: ServerLine) {
    this.server = server
    this.line = line
    server.connections.add(this)
  }

  gone(): void {
    this.server.connections.delete(this)
  }

  push(push: PlainPush): void {
    const copies = this.server.faults.copies?.(push) ?? 1
    for (let copy = 0; copy < copies; copy++) this.line.send(JSON.stringify(push))
  }

  receive(text: string): void {
    const frame: Frame = JSON.parse(text)
    const { server } = this
    server.received.push(frame)
    const refused = server.faults.refuse?.(frame.op, frame)
    if (refused !== undefined) return this.fail(frame, refused)
    const answer = this.#answer(frame)
    if (answer === undefined) return
    const instead = server.faults.instead?.(frame.op, frame)
    if (instead === "silent") return
    if (instead !== undefined) return this.fail(frame, instead)
    if ("code" in answer) this.fail(frame, answer)
    else this.line.send(JSON.stringify({ re: frame.id, ok: answer }))
  }

  fail(frame: Frame, failure: ApiFailure): void {
    this.line.send(JSON.stringify({ re: frame.id, error: renderFailure(failure) }))
  }

  #answer(frame: Frame): object | ApiFailure | undefined {
    const { server, user } = this
    switch (frame.op) {
      case "hello":
        return this.#hello(frame)
      case "ping":
        return { server_time: server.now() }
      case "sync":
        return this.#sync(frame)
      case "history":
        return this.#history(frame)
      case "watch":
        this.watched.add(frame["channel"])
        return this.#inChannel(frame, (channel) => ({ head: server.headOf(channel, user) }))
      case "read":
        return this.#inChannel(frame, (channel) => {
          const cursor = server.cursor(channel.id, user)
          if (frame["seq"] > cursor.seq)
            server.session(user).cursors.set(channel.id, { generation: cursor.generation, seq: frame["seq"] })
          server.progress(channel, user, frame["seq"], frame["seq"])
          const state = server.readState(channel, user, server.faults.countedBefore?.())
          for (const other of server.connections) {
            if (other !== this && other.user === user) other.push({ ev: "cursor", channel: channel.id, ...state })
          }
          return state
        })
      case "delivered":
        return this.#inChannel(frame, (channel) => {
          server.progress(channel, user, frame["seq"], 0)
          return {}
        })
      case "unwatch":
      case "typing":
      case "foreground":
      case "background":
      case "presence_set":
        return {}
      case "presence_watch":
        return { shards: [{ shard: 0, epoch: 1, n: 0 }], users: [] }
      default:
        return this.#mutate(frame)
    }
  }

  #hello(frame: Frame): object | undefined {
    const [user, validity] = String(frame["token"]).split("/")
    if (validity === "expired") {
      this.line.close(4201, "")
      return undefined
    }
    this.user = user ?? ""
    this.device = frame["device"]
    const { server } = this
    const { generation, events } = server.session(this.user)
    return {
      user,
      device: this.device,
      server_time: server.now(),
      heartbeat_ms: server.heartbeatMs,
      session: { generation, seq: events.length },
      expires_at: server.now() + server.expiresInMs,
      limits: {}
    }
  }

  #sync(frame: Frame): object {
    const { server, user } = this
    this.synced = true
    const session = server.session(user)
    const named = new Map<string, PlainPosition>(
      frame["channels"].map(([id, generation, seq]: [string, number, number]) => [id, { generation, seq }])
    )
    const mine = [...server.channels.values()]
      .filter((channel) => channel.members.has(user))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    const after: string = frame["page"] ?? ""
    const rest = mine.filter((channel) => channel.id > after)
    const page = rest.slice(0, server.bounds.channelsPerPage)
    const unavailable = page.map(({ id }) => id).filter((id) => server.faults.unavailable?.(id) ?? false)
    const answered = page.filter(({ id }) => !unavailable.includes(id))
    for (const channel of answered) this.channels.add(channel.id)
    const held: PlainPosition = frame["session"]
    const first = after === ""
    const reload = held.generation !== session.generation || held.seq > session.events.length
    const lost = [...named.keys()].filter((id) => !mine.some((channel) => channel.id === id))
    return {
      session: { generation: session.generation, seq: session.events.length },
      reload: first && reload,
      personal: first && !reload ? session.events.slice(held.seq) : [],
      channels: answered.map((channel) => server.syncOf(channel, user, named.get(channel.id))),
      ...(unavailable.length === 0 ? {} : { unavailable }),
      lost: first ? lost.map((channel) => ({ channel, seq: server.removedAt(channel, user) })) : [],
      more: rest.length > page.length ? (page.at(-1)?.id ?? null) : null
    }
  }

  #history(frame: Frame): object {
    return this.#inChannel(frame, (channel) => {
      const since = (channel.members.get(this.user) ?? 1) - 1
      const before: number = frame["before"] ?? channel.events.length + 1
      const below = this.server.messages(channel).filter((message) => message.seq < before && message.seq > since)
      const events = below.slice(-frame["limit"])
      const more = below.length > events.length
      const from = more ? (events[0]?.seq ?? 1) - 1 : since
      return {
        channel: channel.id,
        generation: channel.generation,
        from: Math.min(from, before - 1),
        to: before - 1,
        events,
        before: more,
        after: before <= channel.events.length
      }
    })
  }

  #inChannel(frame: Frame, run: (channel: MiniChannel) => object): object | ApiFailure {
    const channel = this.server.channels.get(frame["channel"])
    return channel?.members.has(this.user) ? run(channel) : { code: "not_found" }
  }

  #mutate(frame: Frame): object | ApiFailure {
    const { server, user } = this
    const key = `${user} ${frame["cid"]}`
    const known = server.acks.get(key)
    if (known !== undefined) return known
    const done = this.#execute(frame)
    if (!("code" in done)) server.acks.set(key, done)
    return done
  }

  #execute(frame: Frame): object | ApiFailure {
    const { server, user } = this
    const { cid } = frame as { cid?: string } // each mutation has one
    const ackOf = ({ seq, at }: PlainEvent) => ({ channel: frame["channel"], seq, at })
    const existing = server.channels.get(frame["channel"])
    if (frame.op === "create") {
      if (existing !== undefined) return { code: "conflict" }
      const channel = server.make(frame["channel"], [user, ...frame["members"]])
      this.#show(channel)
      return { ...ackOf(channel.events[0]!), generation: 1 }
    }
    if (frame.op === "join") {
      if (existing === undefined) return { code: "not_found" }
      return ackOf(server.add(existing, user, user, this))
    }
    return this.#inChannel(frame, (channel) => {
      switch (frame.op) {
        case "send": {
          const event = server.say(channel, user, frame["text"], frame["mentions"], cid, this)
          return { ...ackOf(event), n: event.kind === "message" ? event.n : 0 }
        }
        case "edit":
        case "delete": {
          const target = server.messages(channel).find((message) => message.seq === frame["target"])
          if (target === undefined || target.deleted !== undefined) return { code: "not_found" } satisfies ApiFailure
          const body = frame.op === "edit" ? { kind: "edit", text: frame["text"] } : { kind: "delete" }
          return ackOf(server.append(channel, { ...body, by: user, cid, target: target.seq }, this))
        }
        case "leave":
          return ackOf(server.remove(channel, user, user, this))
        case "mark_unread": {
          const event = server.personal(user, { kind: "marked_unread", channel: channel.id, seq: frame["seq"], cid })
          server.session(user).cursors.set(channel.id, { generation: event.user_seq, seq: frame["seq"] })
          return { ...server.readState(channel, user), user_seq: event.user_seq }
        }
        default:
          return { code: "unknown_op" } satisfies ApiFailure
      }
    })
  }

  #show(channel: MiniChannel): void {
    for (const connection of this.server.connections) {
      if (!channel.members.has(connection.user) || !connection.synced) continue
      connection.channels.add(channel.id)
      connection.push({ ev: "channel", sync: this.server.syncOf(channel, connection.user, undefined) })
    }
  }
}
