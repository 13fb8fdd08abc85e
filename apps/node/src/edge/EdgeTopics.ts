/**
 * The topics this edge holds, and the delivery of what comes for them: one frame an event, to every connection that is
 * to have it, in seq order (†9). A removal is delivered, and the removed users' connections are off the channel before
 * the next event is looked at (REVOKED-IS-OUT). Plain TypeScript on the hot path: bench `fanout`.
 */
import {
  channelTopic,
  type LinkItem,
  presenceTopic,
  type TopicName,
  userTopic
} from "@parley/actors/owner/OwnerProtocol"
import type { CloseName } from "@parley/protocol/CloseCode"
import type { WireText } from "@parley/protocol/WireText"
import type { Connection } from "./Connection.ts"
import { frameOf, type Outbound } from "./Outbound.ts"
import { deliverPresence } from "./PresenceDelivery.ts"
import {
  type Covered,
  type Ephemeral,
  type Event,
  lateFramesMax,
  type Personal,
  type Sequenced,
  Topic,
  type TopicKind
} from "./Topic.ts"

export interface EdgeTopicsOptions {
  readonly edge: string
  readonly outbound: Outbound
  readonly shardOf: (id: string) => number
  readonly detachGraceMs: number
  readonly close: (connection: Connection, why: CloseName) => void
  /** A topic has a hole after what it delivered. */
  readonly repair: (topic: Topic) => void
  /** A personal event was delivered to the user's connections. */
  readonly onPersonal: (topic: Topic, item: Personal) => void
  /** The user's connections are off the channel by his removal at `at`, which may be older than what he knows of. */
  readonly onRemoved: (topic: Topic, user: string, at: number) => void
  /** Whether somebody waits for an owner's answer about the topic. */
  readonly isAsking: (topic: Topic) => boolean
  /** The edge holds the topic no longer. */
  readonly onDropped: (topic: Topic) => void
}

const nobody: ReadonlyArray<Connection> = []

export class EdgeTopics {
  readonly #options: EdgeTopicsOptions
  readonly #topics = new Map<TopicName, Topic>()
  /** Those of channels by the channel: a sync looks for each of its channels, and would make each one's name for that. */
  readonly #channels = new Map<string, Topic>()
  readonly #byShard = new Map<number, Set<Topic>>()
  readonly #idle = new Set<Topic>()

  constructor(options: EdgeTopicsOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#topics.size
  }

  channel(channel: string): Topic {
    const known = this.#channels.get(channel)
    if (known !== undefined) return known
    const topic = this.#open(channelTopic(channel), "channel", channel, this.#options.shardOf(channel))
    this.#channels.set(channel, topic)
    return topic
  }
  user(user: string): Topic {
    return this.#open(userTopic(user), "user", user, this.#options.shardOf(user))
  }
  presence(shard: number): Topic {
    return this.#open(presenceTopic(shard), "presence", String(shard), shard)
  }

  get(name: TopicName): Topic | undefined {
    return this.#topics.get(name)
  }

  ofShard(shard: number): Iterable<Topic> {
    return this.#byShard.get(shard) ?? []
  }

  /** The connections of a user on this edge. */
  connectionsOf(user: string): ReadonlyArray<Connection> {
    const topic = this.#topics.get(userTopic(user))
    return topic === undefined ? nobody : [...topic.connections]
  }

  #open(name: TopicName, kind: TopicKind, id: string, shard: number): Topic {
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      topic = new Topic(name, kind, id, shard)
      this.#topics.set(name, topic)
      let siblings = this.#byShard.get(shard)
      if (siblings === undefined) this.#byShard.set(shard, (siblings = new Set()))
      siblings.add(topic)
      this.#becameIdle(topic)
    }
    return topic
  }

  // --- who is on a topic ------------------------------------------------------------------------------------------

  add(topic: Topic, connection: Connection): void {
    if (connection.state === "closed") return
    const idle = topic.idleSince > 0
    if (!topic.add(connection)) return
    if (idle) this.#idle.delete(topic)
    if (topic.kind !== "user") connection.topics.push(topic)
  }

  remove(topic: Topic, connection: Connection): void {
    if (!topic.remove(connection)) return
    const at = connection.topics.indexOf(topic)
    if (at >= 0) connection.topics.splice(at, 1)
    if (topic.size === 0) this.#becameIdle(topic)
  }

  /** Takes a closed connection off everything. */
  removeAll(connection: Connection): void {
    const { topics } = connection
    connection.topics = []
    for (const topic of topics) if (topic.remove(connection) && topic.size === 0) this.#becameIdle(topic)
    const own = this.#topics.get(userTopic(connection.user))
    if (own !== undefined && own.remove(connection) && own.size === 0) this.#becameIdle(own)
  }

  #becameIdle(topic: Topic): void {
    topic.idleSince = performance.now()
    this.#idle.delete(topic)
    this.#idle.add(topic)
  }

  /** Drops topics that nobody has wanted for the grace period. */
  sweep(now: number): void {
    for (const topic of this.#idle) {
      // In the order in which they became idle.
      if (now - topic.idleSince < this.#options.detachGraceMs) return
      this.#idle.delete(topic)
      if (topic.size > 0) continue
      if (this.#options.isAsking(topic)) this.#becameIdle(topic)
      else this.#drop(topic)
    }
  }

  #drop(topic: Topic): void {
    this.#topics.delete(topic.name)
    if (topic.kind === "channel") this.#channels.delete(topic.id)
    this.#byShard.get(topic.shard)?.delete(topic)
    this.#options.onDropped(topic)
  }

  // --- a connection whose sync is on its way (†8) -----------------------------------------------------------------

  /** From now on frames of the topic wait for the connection's sync; false: it hears of the topic already. */
  beginJoin(topic: Topic, connection: Connection): boolean {
    if (connection.state === "closed" || topic.has(connection)) return false
    this.add(topic, connection)
    topic.late ??= new Map()
    topic.late.set(connection, { from: 0, held: [], removedAt: 0 })
    return true
  }

  /**
   * Its sync covers up to `to`: what waited and lies behind follows now, up to the user's removal where that came after the
   * sync. Of one that hears of the topic already, nothing up to `to` is news, a removal least of all.
   */
  endJoin(topic: Topic, connection: Connection, to: number): void {
    if (!topic.has(connection)) return
    const late = topic.late?.get(connection)
    const { held = null, removedAt = 0 } = late ?? {}
    const until = removedAt > to ? removedAt : Infinity
    for (const { frame, to: at } of held ?? []) {
      if (at > to && at <= until) this.#options.outbound.push(connection, frame, false)
    }
    if (until !== Infinity) {
      this.remove(topic, connection)
      this.#options.onRemoved(topic, connection.user, until)
    } else this.join(topic, connection, Math.max(to, held === null ? (late?.from ?? 0) : 0))
  }

  /** Puts the connection on a topic right behind its sync, which covers up to `to`: nothing came between. */
  join(topic: Topic, connection: Connection, to: number): void {
    this.add(topic, connection)
    if (topic.sequence.delivered < to && connection.state !== "closed") {
      topic.late ??= new Map()
      topic.late.set(connection, { from: to, held: null, removedAt: 0 })
    } else topic.late?.delete(connection)
    if (topic.late?.size === 0) topic.late = null
  }

  /** The sync that a connection waits for does not come. One that was joined by another meanwhile stays. */
  abortJoin(topic: Topic, connection: Connection): void {
    if (topic.late?.get(connection)?.held) this.remove(topic, connection)
  }

  // --- delivery ---------------------------------------------------------------------------------------------------

  /** Takes an item off the link. */
  take(item: LinkItem): void {
    const topic = this.#topics.get(item.topic)
    if (topic === undefined) return
    switch (item._tag) {
      case "Event":
      case "Covered":
        return this.#offer(topic, { from: item.from, to: item.to, item })
      case "Personal":
        if (item.seq === 0) this.#pushCursor(topic, item)
        else this.#offer(topic, { from: item.seq - 1, to: item.seq, item })
        return
      case "Ephemeral":
        return this.#pushEphemeral(topic, item)
      case "Presence":
        return deliverPresence(this.#options.outbound, topic, item)
    }
  }

  #offer(topic: Topic, item: Sequenced): void {
    const offered = topic.sequence.offer(item)
    if (offered === "deliver") this.deliver(topic, item)
    else if (offered === "repair") this.#options.repair(topic)
  }

  /** The topic has delivered up to `to`: what was held goes on, or shows the next hole. */
  resume(topic: Topic, to: number): void {
    const { again, items } = topic.sequence.resume(to)
    for (const item of items) this.deliver(topic, item)
    if (again) this.#options.repair(topic)
  }

  /** Delivers an item that is next in its topic's order. */
  deliver(topic: Topic, { item }: Sequenced): void {
    switch (item._tag) {
      case "Event":
        return this.#deliverEvent(topic, item)
      case "Covered":
        return this.#deliverCovered(topic, item)
      case "Personal": {
        const frame = frameOf(item.frame)
        for (const connection of topic.connections) this.#options.outbound.push(connection, frame, false)
        this.#options.onPersonal(topic, item)
      }
    }
  }

  #deliverEvent(topic: Topic, item: Event): void {
    topic.readFanout = item.readFanout
    const frame = frameOf(
      `{"ev":"event","channel":"${topic.id}","from":${item.from},"to":${item.to},"event":${item.body}}`
    )
    // Small channels always; in large ones those that watch, besides what everybody has to know.
    const watchersOnly = item.readFanout && item.kind !== "removed" && item.kind !== "fanout"
    const origin = item.originEdge === this.#options.edge ? item.originConnection : 0
    for (const connection of topic.connections) {
      if (watchersOnly && connection.watchedChannels?.has(topic.id) !== true) continue
      if (connection.number === origin && this.#isAcked(topic, connection, item, frame)) continue
      this.#give(topic, connection, frame, item.to)
    }
    if (item.kind === "removed") this.#removed(topic, item.members, item.to)
    if (topic.late !== null) this.#settleLate(topic, item.to)
  }

  /** Its ack is enough; but the sync that it waits for may be older, and have it drop what came before. */
  #isAcked(topic: Topic, connection: Connection, item: Event, frame: WireText): boolean {
    if (topic.late?.get(connection)?.held) return false
    const show = () => {
      if (topic.has(connection)) this.#give(topic, connection, frame, item.to)
    }
    return connection.own?.passes(item, show) ?? true
  }

  #deliverCovered(topic: Topic, item: Covered): void {
    const frame = frameOf(`{"ev":"covered","channel":"${topic.id}","from":${item.from},"to":${item.to}}`)
    for (const connection of topic.connections) this.#give(topic, connection, frame, item.to)
    if (topic.late !== null) this.#settleLate(topic, item.to)
  }

  /** Now, or after the connection's sync, or not at all where that covers it. */
  #give(topic: Topic, connection: Connection, frame: WireText, to: number): void {
    const late = topic.late?.get(connection)
    if (late === undefined) this.#options.outbound.push(connection, frame, false)
    else if (late.held === null) {
      if (to > late.from) this.#options.outbound.push(connection, frame, false)
    } else if (late.held.length < lateFramesMax) late.held.push({ to, frame })
    else queueMicrotask(() => this.#options.close(connection, "lost_place"))
  }

  #settleLate(topic: Topic, to: number): void {
    if (topic.late === null) return
    for (const [connection, late] of topic.late) {
      if (late.held === null && late.from <= to) topic.late.delete(connection)
    }
    if (topic.late.size === 0) topic.late = null
  }

  /** Users were removed at `at`. Who was joined by a sync of a later head is in again, and who waits for one may be. */
  #removed(topic: Topic, users: ReadonlyArray<string>, at: number): void {
    for (const user of users) {
      let off = false
      for (const connection of this.connectionsOf(user)) {
        const late = topic.late?.get(connection)
        if (late === undefined || (late.held === null && late.from < at)) {
          off ||= topic.has(connection)
          this.remove(topic, connection)
        } else if (late.held !== null) late.removedAt = at
      }
      if (off) this.#options.onRemoved(topic, user, at)
    }
  }

  /** Takes the connections of users off a channel, which they are not in as its owner says. */
  removeUsers(topic: Topic, users: ReadonlyArray<string>): void {
    for (const user of users) {
      for (const connection of this.connectionsOf(user)) this.remove(topic, connection)
    }
  }

  #pushCursor(topic: Topic, item: Personal): void {
    const frame = frameOf(item.frame)
    for (const connection of topic.connections) {
      if (connection.number !== item.exceptConnection) this.#options.outbound.push(connection, frame, true)
    }
  }

  #pushEphemeral(topic: Topic, item: Ephemeral): void {
    const frame = frameOf(item.frame)
    for (const connection of topic.connections) {
      if (connection.background || connection.user === item.exceptUser) continue
      if (topic.readFanout && connection.watchedChannels?.has(topic.id) !== true) continue
      const held = topic.late?.get(connection)?.held
      // Nothing says yet that he may have it (†7); of a receipt there may not be another.
      if (!held) this.#options.outbound.push(connection, frame, true)
      else if (held.length < lateFramesMax) held.push({ to: Infinity, frame })
    }
  }
}
