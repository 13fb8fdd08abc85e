/**
 * One topic at an edge: its place in the sequence, and the connections that hear of it. `late` holds those whose sync
 * is not answered yet: what comes live meanwhile waits (†8), and what lies before their first seq is not for them.
 * Plain TypeScript on the hot path: bench `fanout`.
 */
import { TopicSequence } from "@parley/actors/fanout/TopicSequence"
import type { LinkItem, TopicName } from "@parley/actors/owner/OwnerProtocol"
import type { WireText } from "@parley/protocol/WireText"
import type { Connection } from "./Connection.ts"

/** Frames that wait for one connection's sync; past it the connection is closed and resumes. */
export const lateFramesMax = 1_024
/** Up to this many connections an array is smaller and no slower than a set. */
const crowdArrayMax = 64

export type Event = Extract<LinkItem, { readonly _tag: "Event" }>
export type Covered = Extract<LinkItem, { readonly _tag: "Covered" }>
export type Personal = Extract<LinkItem, { readonly _tag: "Personal" }>
export type Ephemeral = Extract<LinkItem, { readonly _tag: "Ephemeral" }>

/** An item that takes a place in its topic's sequence. */
export interface Sequenced {
  readonly from: number
  readonly to: number
  readonly item: Event | Covered | Personal
}

export interface Late {
  /** Nothing up to here is for the connection. */
  from: number
  /** Frames that wait for its sync; null: it was answered. */
  held: Array<{ readonly to: number; readonly frame: WireText }> | null
  /** While they wait: the seq of the user's newest removal; 0: none. The sync says whether it is older than his stay. */
  removedAt: number
}

export type TopicKind = "channel" | "user" | "presence"

export class Topic {
  readonly name: TopicName
  readonly kind: TopicKind
  /** The channel, the user, or the number of the presence shard. */
  readonly id: string
  readonly shard: number
  readonly sequence = new TopicSequence<Sequenced>()
  /** As of the last event. */
  readFanout = false
  late: Map<Connection, Late> | null = null
  repairTries = 0
  /** The round of its shard's interest in which the owner granted it; see `isServed`. */
  attachedIn = -1
  /** When the last connection went; 0: somebody is here. */
  idleSince = 0
  #crowd: Array<Connection> | Set<Connection> = []

  constructor(name: TopicName, kind: TopicKind, id: string, shard: number) {
    this.name = name
    this.kind = kind
    this.id = id
    this.shard = shard
  }

  get size(): number {
    return Array.isArray(this.#crowd) ? this.#crowd.length : this.#crowd.size
  }

  /** Not to be changed while it is walked: take a copy for that. */
  get connections(): Iterable<Connection> {
    return this.#crowd
  }

  has(connection: Connection): boolean {
    return Array.isArray(this.#crowd) ? this.#crowd.includes(connection) : this.#crowd.has(connection)
  }

  /** False: it is here already. */
  add(connection: Connection): boolean {
    if (this.has(connection)) return false
    this.idleSince = 0
    if (!Array.isArray(this.#crowd)) this.#crowd.add(connection)
    else if (this.#crowd.length < crowdArrayMax) this.#crowd.push(connection)
    else this.#crowd = new Set(this.#crowd).add(connection)
    return true
  }

  remove(connection: Connection): boolean {
    this.late?.delete(connection)
    if (!Array.isArray(this.#crowd)) return this.#crowd.delete(connection)
    const at = this.#crowd.indexOf(connection)
    if (at < 0) return false
    const last = this.#crowd.pop()
    if (last !== undefined && at < this.#crowd.length) this.#crowd[at] = last
    return true
  }

  /** The users whose connections are here, each once. */
  users(): Set<string> {
    const users = new Set<string>()
    for (const connection of this.#crowd) users.add(connection.user)
    return users
  }
}

/**
 * Whether the owner serves this edge the topic now, and nothing of it is missing: interest outlives the last connection
 * by a grace period, so a herd that comes back finds its topics attached. This saves the topic, never the permission
 * (†7): whoever joins is authorised by the owner's answer to his own request, before he is shown anything.
 */
export const isServed = (interest: { roundOf(shard: number): number }, topic: Topic): boolean =>
  topic.attachedIn === interest.roundOf(topic.shard) &&
  topic.sequence.delivered >= 0 &&
  (topic.size > 0 || !topic.sequence.repairing)
