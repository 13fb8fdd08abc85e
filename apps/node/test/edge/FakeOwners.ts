/**
 * Owners for tests of the edge: channels and sessions as plain arrays, links that can lose messages, answers that can
 * be held back. Small and obvious rather than complete; the real owners have their own tests.
 */
import { Context, Effect, Layer } from "effect"
import { Interest } from "@parley/actors/fanout/Interest"
import { OwnerLinks } from "@parley/actors/fanout/OwnerLink"
import { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type {
  Attach,
  ChannelMutation,
  LinkItem,
  LinkMessage,
  OwnerReply,
  OwnerRequest,
  SyncItem,
  SyncResult
} from "@parley/actors/owner/OwnerProtocol"
import { channelTopic, userTopic } from "@parley/actors/owner/OwnerProtocol"
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import { Limits } from "@parley/protocol/Limits"
import { toWire } from "@parley/protocol/WireText"

interface FakeChannel {
  seq: number
  n: number
  events: Array<{ seq: number; body: string; kind: string; by: string }>
  /** user → the seq since which he is a member. */
  members: Map<string, number>
  /** user → the seq of his removal. */
  removed: Map<string, number>
  acks: Map<string, { seq: number; n: number; at: number; generation: number }>
  readFanout: boolean
}

interface FakeSession {
  userSeq: number
  personal: Array<{ seq: number; body: string }>
  channels: Set<string>
  left: Map<string, number>
  cursors: Map<string, { generation: number; seq: number }>
  revokedBefore: number
}

const shardCount = 4

export class FakeOwners {
  /** What a user should look at first. */
  readonly inboxes = new Map<string, ReadonlyArray<{ readonly channel: string; readonly place: number }>>()
  readonly channels = new Map<string, FakeChannel>()
  readonly sessions = new Map<string, FakeSession>()
  readonly requests: Array<OwnerRequest> = []
  readonly attaches: Array<Attach> = []
  readonly interest = new Interest()
  readonly subscribers = new Map<string, (message: LinkMessage) => void>()
  readonly serving = new Set<(shard: number, epoch: number) => void>()
  epoch = 1
  /** Decides whether a link message is lost. */
  lose: (message: LinkMessage) => boolean = () => false
  /** Answers a request instead of the fake. */
  intercept: (request: OwnerRequest) => OwnerReply<unknown> | undefined = () => undefined
  /** Whether the answer, once it is made, waits for `release`. */
  holds: (asked: OwnerRequest | ({ readonly _tag: "Attach" } & Attach)) => boolean = () => false
  /** Answers that wait. */
  held: Array<() => void> = []
  readonly links = new OwnerLinks({
    owner: "fake",
    start: 1,
    publish: (message) => {
      if (!this.lose(message)) queueMicrotask(() => this.subscribers.get(message.edge)?.(message))
    }
  })

  readonly layer = Layer.effectContext(
    Effect.sync(() => Context.make(OwnerCalls, this.calls).pipe(Context.add(LinkBus, this.bus)))
  )

  channel(channel: string, members: ReadonlyArray<string> = []): FakeChannel {
    let found = this.channels.get(channel)
    if (found === undefined) {
      found = { seq: 0, n: 0, events: [], members: new Map(), removed: new Map(), acks: new Map(), readFanout: false }
      this.channels.set(channel, found)
      this.append(channel, "created", "system", { name: channel, topic: "", members, fanout: "write" })
    }
    for (const user of members) {
      found.members.set(user, 1)
      this.session(user).channels.add(channel)
    }
    return found
  }

  session(user: string): FakeSession {
    let found = this.sessions.get(user)
    if (found === undefined) {
      found = { userSeq: 0, personal: [], channels: new Set(), left: new Map(), cursors: new Map(), revokedBefore: 0 }
      this.sessions.set(user, found)
    }
    return found
  }

  append(
    channel: string,
    kind: string,
    by: string,
    fields: Record<string, unknown>,
    origin = { edge: "", connection: 0 }
  ): number {
    const state = this.channel(channel)
    const seq = ++state.seq
    if (kind === "message") state.n++
    const body = toWire(
      JSON.stringify({ kind, seq, at: 1_000 + seq, by, ...fields, ...(kind === "message" ? { n: state.n } : {}) })
    )
    state.events.push({ seq, body, kind, by })
    // Callers give these kinds a list of users.
    const members = kind === "added" || kind === "removed" ? (fields["members"] as ReadonlyArray<string>) : []
    this.publish({
      _tag: "Event",
      topic: channelTopic(channel),
      from: seq - 1,
      to: seq,
      body,
      kind,
      originEdge: origin.edge,
      originConnection: origin.connection,
      members,
      readFanout: state.readFanout
    })
    return seq
  }

  personal(
    user: string,
    kind: string,
    fields: { channel?: string; seq?: number; before?: number; [other: string]: unknown }
  ): number {
    const session = this.session(user)
    const seq = ++session.userSeq
    const body = toWire(JSON.stringify({ kind, user_seq: seq, at: 1, ...fields }))
    session.personal.push({ seq, body })
    if (fields.before !== undefined) session.revokedBefore = fields.before
    this.publish({
      _tag: "Personal",
      topic: userTopic(user),
      seq,
      kind,
      frame: `{"ev":"personal","event":${body}}`,
      channel: fields.channel ?? "",
      channelSeq: fields.seq ?? 0,
      exceptConnection: 0,
      revokedBefore: fields.before ?? 0
    })
    return seq
  }

  /** As the real ones: the channel's event first, the notice in the session from the log. */
  add(channel: string, user: string): void {
    const state = this.channel(channel)
    const seq = this.append(channel, "added", "system", { members: [user], cid: "" })
    state.members.set(user, seq)
    this.session(user).channels.add(channel)
    this.personal(user, "added", { channel, seq })
  }

  remove(channel: string, user: string): number {
    const state = this.channel(channel)
    const seq = this.append(channel, "removed", "system", { members: [user], cid: "" })
    state.members.delete(user)
    state.removed.set(user, seq)
    this.session(user).channels.delete(channel)
    this.session(user).left.set(channel, seq)
    return seq
  }

  publish(item: LinkItem): void {
    for (const edge of this.interest.edgesOf(item.topic)) this.links.push(edge, item)
  }

  heartbeat(): void {
    for (const edge of this.subscribers.keys()) {
      const interestVersion = this.interest.version(edge)
      const digest = Array.from({ length: shardCount }, (_, i) => ({
        shard: i + 1,
        epoch: this.epoch,
        interestVersion
      }))
      this.links.heartbeat(edge, digest)
    }
  }

  readonly bus = LinkBus.of({
    publish: () => {},
    subscribe: (edge, onMessage) => {
      this.subscribers.set(edge, onMessage)
      return () => this.subscribers.delete(edge)
    }
  })

  readonly calls = OwnerCalls.of({
    shardCount,
    shardOf: (id) => (Buffer.from(id).reduce((sum, byte) => sum + byte, 0) % shardCount) + 1,
    request: (_shard, request, reply) => {
      this.requests.push(request)
      queueMicrotask(() => {
        const instead = this.intercept(request)
        const send = this.holds(request) ? this.later(reply) : reply
        if (instead !== undefined) send(instead)
        else this.answer(request, send)
      })
    },
    attach: (attach, reply) => {
      this.attaches.push(attach)
      queueMicrotask(() => {
        const topics = attach.topics.map(({ topic, users }) => this.authorise(topic, users))
        const granted = topics
          .filter(({ denied }, i) => denied.length < (attach.topics[i]?.users.length ?? 0))
          .map(({ topic }) => topic)
        const interestVersion = this.interest.add(attach.edge, granted)
        const send = this.holds({ _tag: "Attach", ...attach }) ? this.later(reply) : reply
        send({ ok: { shard: attach.shard, epoch: this.epoch, interestVersion, topics } })
      })
    },
    detach: ({ edge, topics }) => void this.interest.remove(edge, topics),
    resend: (_owner, _start, edge, from) => this.links.resend(edge, from),
    onServed: (served) => {
      this.serving.add(served)
      return () => void this.serving.delete(served)
    }
  })

  /** Another owner has all shards, knows of no interest, and has not said yet that it serves. */
  move(): void {
    for (const edge of this.subscribers.keys()) this.interest.removeEdge(edge)
    this.epoch++
  }

  announce(): void {
    for (let shard = 1; shard <= shardCount; shard++) for (const served of this.serving) served(shard, this.epoch)
  }

  /** Lets the answers go that wait. */
  release(): void {
    this.holds = () => false
    const { held } = this
    this.held = []
    for (const send of held) send()
  }

  private later<Reply>(send: (reply: Reply) => void): (reply: Reply) => void {
    return (reply) => this.held.push(() => send(reply))
  }

  private authorise(topic: string, users: ReadonlyArray<string>) {
    const id = topic.slice(2)
    if (topic.startsWith("c/")) {
      const state = this.channels.get(id)
      const denied = users.filter((user) => state?.members.has(user) !== true)
      return { topic, head: state?.seq ?? 0, generation: 1, denied }
    }
    if (topic.startsWith("u/"))
      return { topic, head: this.session(id).userSeq, generation: 1, denied: users.filter((u) => u !== id) }
    return { topic, head: 0, generation: 0, denied: [] }
  }

  private answer(request: OwnerRequest, reply: (reply: OwnerReply<unknown>) => void): void {
    switch (request._tag) {
      case "Mutate":
        return reply(this.mutate(request.caller.user, request.mutation, request.caller))
      case "Inbox":
        return reply({ ok: this.inboxes.get(request.user) ?? [] })
      case "Standing": {
        const { revokedBefore, userSeq } = this.session(request.user)
        return reply({ ok: { position: { generation: 1, seq: userSeq }, revokedBefore } })
      }
      case "Open": {
        const session = this.session(request.user)
        return reply({
          ok: {
            position: { generation: 1, seq: session.userSeq },
            reload: request.after.generation !== 1,
            personal: session.personal.filter(({ seq }) => seq > request.after.seq).map(({ body }) => body),
            channels: [...session.channels].map((channel) => ({
              channel,
              cursor: session.cursors.get(channel) ?? { generation: 0, seq: 0 }
            })),
            left: [...session.left].map(([channel, seq]) => ({ channel, seq })),
            revokedBefore: session.revokedBefore
          }
        })
      }
      case "Sync":
        return reply({ ok: request.items.map((item) => this.sync(request.user, item, request.eventsMax)) })
      case "Unread": {
        const state = this.channels.get(request.channel)
        if (state === undefined || !state.members.has(request.user)) return reply({ failure: { code: "not_found" } })
        if (request.cursor.seq > state.seq) return reply({ failure: { code: "invalid", detail: "past the head" } })
        const unread = state.events.filter(
          (e) => e.kind === "message" && e.seq > request.cursor.seq && e.by !== request.user
        ).length
        return reply({ ok: { unread, mentions: 0, head: state.seq } })
      }
      case "MoveCursor": {
        const session = this.session(request.caller.user)
        const before = session.cursors.get(request.channel) ?? { generation: 0, seq: 0 }
        const stays =
          before.seq >= request.seq || (request.generation !== null && request.generation !== before.generation)
        const cursor = stays ? before : { generation: before.generation, seq: request.seq }
        session.cursors.set(request.channel, cursor)
        if (cursor !== before) this.cursorPush(request.caller, request.channel, { ...request, cursor })
        return reply({ ok: { cursor, userSeq: session.userSeq } })
      }
      case "MarkUnread": {
        const userSeq = this.personal(request.caller.user, "marked_unread", {
          channel: request.channel,
          seq: request.seq,
          cid: request.cid
        })
        const cursor = { generation: userSeq, seq: request.seq }
        this.session(request.caller.user).cursors.set(request.channel, cursor)
        return reply({ ok: { cursor, userSeq } })
      }
      case "Revoke":
        this.personal(request.user, "revoked", { before: request.before, cid: request.cid })
        return reply({ ok: { userSeq: this.session(request.user).userSeq } })
      case "History": {
        const bodies = this.channel(request.channel)
          .events.filter((e) => e.kind === "message")
          .map((e) => e.body)
        return reply({
          ok: `{"channel":"${request.channel}","generation":1,"from":0,"to":${bodies.length},"events":[${bodies.join(",")}],"before":false,"after":false}`
        })
      }
      case "Watch":
        return reply({
          ok: {
            shard: request.shard,
            epoch: 1,
            n: 0,
            users: request.users.map((user) => ({ user, state: "offline", last_seen: null }))
          }
        })
      case "Members":
        return reply({
          ok: [...this.channel(request.channel).members].map(([user, from]) => ({
            channel: request.channel,
            user,
            role: "member",
            from,
            to: null,
            seq: from
          }))
        })
      default:
        return reply({ ok: {} })
    }
  }

  private cursorPush(
    caller: { readonly user: string; readonly connection: number },
    channel: string,
    state: { readonly cursor: object; readonly unread: number; readonly mentions: number; readonly head: number }
  ) {
    const { cursor, head, mentions, unread } = state
    this.publish({
      _tag: "Personal",
      topic: userTopic(caller.user),
      seq: 0,
      kind: "cursor",
      frame: JSON.stringify({ ev: "cursor", channel, cursor, unread, mentions, head }),
      channel: "",
      channelSeq: 0,
      exceptConnection: caller.connection,
      revokedBefore: 0
    })
  }

  private mutate(
    user: string,
    mutation: ChannelMutation,
    origin: { readonly edge: string; readonly connection: number }
  ): OwnerReply<unknown> {
    if (clientIdTime(mutation.cid) > Date.now() + Limits.clientIdAheadMsMax) {
      return { failure: { code: "id_ahead", server_time: Date.now() } }
    }
    const state =
      mutation.op === "create"
        ? this.channel(mutation.channel, [user, ...mutation.members])
        : this.channels.get(mutation.channel)
    if (state === undefined || !state.members.has(user)) return { failure: { code: "not_found" } }
    const known = state.acks.get(mutation.cid)
    if (known !== undefined) return { ok: known }
    const { channel, op, ...fields } = mutation
    const kind = {
      send: "message",
      edit: "edit",
      delete: "delete",
      create: "updated",
      update: "updated",
      join: "added",
      leave: "removed",
      add_members: "added",
      remove_members: "removed"
    }[op]
    const seq = op === "leave" ? this.remove(channel, user) : this.append(channel, kind, user, fields, origin)
    const ack = { seq, n: state.n, at: 1_000 + seq, generation: 1 }
    state.acks.set(mutation.cid, ack)
    return { ok: ack }
  }

  sync(user: string, { channel, cursor, held }: SyncItem, eventsMax: number): SyncResult {
    const state = this.channels.get(channel)
    const since = state?.members.get(user)
    if (state === undefined || since === undefined) return { _tag: "Lost", channel, seq: state?.removed.get(user) ?? 0 }
    const reload = held === null || held.generation !== 1
    const from = reload ? state.seq : held.seq
    const events = state.events.filter((e) => e.seq > from && e.seq >= since).slice(0, eventsMax)
    const to = events.length < eventsMax ? state.seq : events.at(-1)!.seq
    const head = {
      channel,
      generation: 1,
      seq: state.seq,
      n: state.n,
      name: channel,
      topic: "",
      members: state.members.size,
      role: "member",
      fanout: state.readFanout ? "read" : "write",
      cursor,
      unread: 0,
      mentions: 0,
      last: null
    }
    return {
      _tag: "Sync",
      channel,
      head: state.seq,
      sync: `{"head":${JSON.stringify(head)},"from":${from},"to":${to},"events":[${events.map((e) => e.body).join(",")}],"reload":${reload}}`
    }
  }
}
