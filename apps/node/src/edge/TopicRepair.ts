/**
 * Fills a topic's hole from its owner's tail before anything later of it is delivered (†9): a channel's by a sync as one
 * of its members, a session's by its personal events. What can't be filled is told plainly: the connections are closed
 * with `lost_place` and resume by their own sync (NO-GAP-SYNC).
 */
import type { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { SyncResult } from "@parley/actors/owner/OwnerProtocol"
import type { CloseName } from "@parley/protocol/CloseCode"
import { Limits } from "@parley/protocol/Limits"
import { fromWire, toWire } from "@parley/protocol/WireText"
import type { ChannelSync, Push } from "@parley/protocol/Frame"
import type { Connection } from "./Connection.ts"
import type { EdgeTopics } from "./EdgeTopics.ts"
import { ask } from "./OwnerAnswers.ts"
import type { Topic } from "./Topic.ts"

/** Tries of one hole before the topic's connections are closed. */
export const repairTriesMax = 8
const retryMs = 250

export interface TopicRepairOptions {
  readonly calls: OwnerCalls["Service"]
  readonly topics: () => EdgeTopics
  readonly close: (connection: Connection, why: CloseName) => void
}

export class TopicRepair {
  readonly #options: TopicRepairOptions

  constructor(options: TopicRepairOptions) {
    this.#options = options
  }

  /** The topic holds what comes; one repair a topic at a time. */
  start(topic: Topic): void {
    // Nobody misses anything: the next attach says where the topic stands, see Edge.
    if (topic.size === 0) return
    if (topic.kind === "channel") this.#channel(topic)
    else if (topic.kind === "user") this.#user(topic)
    else this.#options.topics().resume(topic, topic.sequence.delivered)
  }

  #channel(topic: Topic): void {
    const viewer = viewerOf(topic)
    if (viewer === undefined) return this.start(topic)
    const { delivered, generation } = topic.sequence
    const item = {
      channel: topic.id,
      held: { generation, seq: delivered },
      cursor: { generation: 0, seq: delivered }
    }
    ask(
      this.#options.calls,
      topic.shard,
      {
        _tag: "Sync",
        user: viewer.user,
        items: [item],
        eventsMax: Limits.syncEventsPerChannelMax,
        bytesMax: Limits.syncPageBytesMax
      },
      (reply) => {
        const result = "ok" in reply ? reply.ok[0] : undefined
        if (result === undefined || result._tag === "Failed") this.#later(topic)
        else this.#fill(topic, viewer.user, delivered, result)
      }
    )
  }

  #fill(topic: Topic, user: string, after: number, result: Exclude<SyncResult, { readonly _tag: "Failed" }>): void {
    const topics = this.#options.topics()
    if (result._tag === "Lost") {
      // Removed meanwhile: not his to see any more, and somebody else's view is needed.
      topics.removeUsers(topic, [user])
      return this.start(topic)
    }
    // Our own encoding of a ChannelSync.
    const sync = JSON.parse(fromWire(result.sync)) as ChannelSync
    if (sync.head.generation !== topic.sequence.generation) {
      return this.giveUp(topic, sync.head.seq, sync.head.generation)
    }
    if (sync.reload) {
      // The owner has too much for a repair; but what is missing may be on its way yet: the link is late, not lost.
      if (topic.sequence.delivered > after) this.#retry(topic)
      else this.giveUp(topic, sync.head.seq, sync.head.generation)
      return
    }
    // Delivered meanwhile, or taken as delivered while nobody was here: whoever joined since has that from his own sync.
    let at = Math.max(sync.from, topic.sequence.delivered)
    let readFanout = fanoutBefore(topic, sync) === "read"
    for (const event of sync.events) {
      if (event.kind === "fanout") readFanout = event.fanout === "read"
      if (event.seq <= topic.sequence.delivered) continue
      const members = event.kind === "added" || event.kind === "removed" ? event.members : []
      topics.deliver(topic, {
        from: at,
        to: event.seq,
        item: {
          _tag: "Event",
          topic: topic.name,
          from: at,
          to: event.seq,
          body: toWire(JSON.stringify(event)),
          kind: event.kind,
          originEdge: "",
          originConnection: 0,
          members,
          readFanout
        }
      })
      at = event.seq
      topic.sequence.advance(at)
    }
    if (sync.to > at) {
      topics.deliver(topic, {
        from: at,
        to: sync.to,
        item: { _tag: "Covered", topic: topic.name, from: at, to: sync.to }
      })
    }
    topic.sequence.advance(sync.to)
    topic.repairTries = 0
    if (sync.to < sync.head.seq) this.start(topic)
    else topics.resume(topic, sync.to)
  }

  #user(topic: Topic): void {
    const { delivered, generation } = topic.sequence
    const after = { generation, seq: delivered }
    ask(this.#options.calls, topic.shard, { _tag: "Open", user: topic.id, after }, (reply) => {
      if (!("ok" in reply)) return this.#later(topic)
      const { personal, position, reload } = reply.ok
      if (reload || position.generation !== generation) return this.giveUp(topic, position.seq, position.generation)
      const topics = this.#options.topics()
      for (const body of personal) {
        // Our own encoding of a UserEvent.
        const event = JSON.parse(fromWire(body)) as Push<"personal">["event"]
        if (event.user_seq <= topic.sequence.delivered) continue
        topics.deliver(topic, {
          from: event.user_seq - 1,
          to: event.user_seq,
          item: {
            _tag: "Personal",
            topic: topic.name,
            seq: event.user_seq,
            kind: event.kind,
            frame: `{"ev":"personal","event":${body}}`,
            channel: "channel" in event ? event.channel : "",
            channelSeq: "seq" in event ? event.seq : 0,
            exceptConnection: 0,
            revokedBefore: event.kind === "revoked" ? event.before : 0
          }
        })
        topic.sequence.advance(event.user_seq)
      }
      topic.repairTries = 0
      topics.resume(topic, position.seq)
    })
  }

  #later(topic: Topic): void {
    if (++topic.repairTries > repairTriesMax)
      return this.giveUp(topic, topic.sequence.delivered, topic.sequence.generation)
    this.#retry(topic)
  }

  #retry(topic: Topic): void {
    const waitMs = retryMs * 2 ** Math.min(topic.repairTries, 5)
    setTimeout(() => this.start(topic), waitMs * (0.5 + Math.random())).unref()
  }

  /** Nobody here can be given what is missing: each connection resumes by itself. */
  giveUp(topic: Topic, head: number, generation: number): void {
    for (const connection of Array.from(topic.connections)) this.#options.close(connection, "lost_place")
    topic.repairTries = 0
    if (generation !== topic.sequence.generation) topic.sequence.restart(generation, head)
    this.#options.topics().resume(topic, head)
  }
}

/**
 * How the first of the events fanned out when it came: a switch says what was before it, also where the head is of a time
 * after it. What everybody was to have is not for those alone who watch.
 */
const fanoutBefore = (topic: Topic, { events, head, to }: ChannelSync): "read" | "write" => {
  const first = events.find((event) => event.kind === "fanout")
  if (first !== undefined) return first.fanout === "read" ? "write" : "read"
  if (to === head.seq) return head.fanout
  return topic.readFanout ? "read" : "write"
}

/** Whose sync fills the hole: he must be allowed all that the others are. */
const viewerOf = (topic: Topic): Connection | undefined => {
  let best: Connection | undefined
  let bestFrom = Infinity
  for (const connection of topic.connections) {
    const late = topic.late?.get(connection)
    if (late === undefined) return connection
    const from = late.held === null ? late.from : Number.MAX_SAFE_INTEGER
    if (from < bestFrom) {
      best = connection
      bestFrom = from
    }
  }
  return best
}
