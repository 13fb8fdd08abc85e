/**
 * One shard, owned: its log, its channels and sessions, their interest. Commands become entries of the shard's open
 * batch; what the log answers is told to the entities in one place: committed events are committed, delivered and
 * acknowledged; failed ones are undone, newest first, before any entity's next command (†20); after "out" nothing is
 * answered any more but "not mine" (†22). Plain TypeScript: bench `send`.
 */
import type { ApiFailure } from "@parley/protocol/ApiError"
import { Interest } from "../fanout/Interest.ts"
import { shardOf } from "../fanout/ShardHash.ts"
import type { Entry, Topic } from "../log/Entry.ts"
import type { LogPosition } from "@parley/storage/EventLog"
import type { ParkedEntity } from "@parley/storage/ParkedEvents"
import type { Released } from "../fanout/Parking.ts"
import { ShardLog } from "../log/ShardLog.ts"
import type { OpenedShard } from "../log/Takeover.ts"
import { ChannelHandler } from "./ChannelHandler.ts"
import { Checkpoints } from "./Checkpoints.ts"
import type { OwnerContext } from "./OwnerContext.ts"
import { MemoryBudget, type ShardMemory } from "./MemoryBudget.ts"
import type { Attach, Attached, Detach, LinkItem, OwnerReply, OwnerRequest, TopicName } from "./OwnerProtocol.ts"
import { ParkedHere } from "./ParkedHere.ts"
import { PresenceHandler } from "./PresenceHandler.ts"
import { type AnyResident, enterPending, type PendingEvent } from "./Residents.ts"
import { SessionHandler } from "./SessionHandler.ts"
import { Unstored } from "./Unstored.ts"

export type Reply = (reply: OwnerReply<unknown>) => void

/** What the store has got is taken note of for so long in one turn of the event loop; the rest in the next ones. */
const settleMsMax = 4
/** Items between two looks at the clock. */
const settleItems = 16
/** Residents looked at for passivation after a commit, besides two for each of its events: it may have woken as many. */
const sweepLooksMin = 16

export class ShardOwner {
  readonly shard: number
  readonly epoch: number
  readonly context: OwnerContext
  readonly interest = new Interest()
  readonly memory: ShardMemory
  readonly channels: ChannelHandler
  readonly sessions: SessionHandler
  readonly presence: PresenceHandler
  readonly unstored = new Unstored()
  readonly parked = new ParkedHere()
  readonly log: ShardLog<PendingEvent>
  readonly checkpoints: Checkpoints
  /** Requests that it took and messages that it sent to edges, since it was opened: what it costs, more or less. */
  work = 0
  #state: "serving" | "draining" | "out" = "serving"
  /** The store has to have all that precedes what was replayed: before that, nothing below a tail is read from it. */
  readonly storeNeeded: LogPosition
  #storePosition: LogPosition
  #settling = false

  constructor(context: OwnerContext, opened: OpenedShard, storePosition: LogPosition) {
    this.context = context
    this.shard = opened.shard
    this.epoch = opened.epoch
    this.#storePosition = storePosition
    this.storeNeeded = opened.replayedFrom
    this.log = new ShardLog<PendingEvent>({
      shard: opened.shard,
      epoch: opened.epoch,
      position: opened.position,
      number: opened.number,
      hash: opened.hash,
      checkpointPlace: opened.checkpointPlace,
      fullPlace: opened.fullPlace,
      log: context.log,
      // The embedded log gathers by itself, for all shards at once.
      commitWindowMs: context.bounds.commitWindowMs,
      onCommitted: (entries, position) => this.#onCommitted(entries, position),
      onFailed: (entries, reason) => this.#onFailed(entries, reason),
      onUnknown: (entries) => tell(entries, { code: "outcome_unknown" }),
      onOut: () => this.#leave("another owner has the shard"),
      onQuarantined: (what) => context.quarantine(this.shard, what)
    })
    const { residentBytesMax, warmBytesMax } = context.bounds
    this.memory = { resident: new MemoryBudget(residentBytesMax), warm: new MemoryBudget(warmBytesMax) }
    this.channels = new ChannelHandler(this)
    this.sessions = new SessionHandler(this)
    this.presence = new PresenceHandler(this)
    this.checkpoints = new Checkpoints(this)
    this.checkpoints.restore(opened)
  }

  /** Whether requests may be answered: the owner by lease, and not on its way out (†17). */
  get serving(): boolean {
    return this.#state === "serving" && this.context.leaseHeld(this.shard)
  }

  /** Whether an id belongs to this shard: a caller with another map of shards is told "not mine" (†17). */
  has(id: string): boolean {
    return shardOf(id, this.context.shardCount) === this.shard
  }

  get state(): string {
    return this.#state
  }

  /** Whether the store may be read below a tail. */
  get storeReady(): boolean {
    return this.#storePosition >= this.storeNeeded
  }

  get storePosition(): LogPosition {
    return this.#storePosition
  }

  request(request: OwnerRequest, reply: Reply, notMine: () => void): void {
    if (!this.serving) {
      notMine()
      return
    }
    this.work++
    switch (request._tag) {
      case "Mutate":
      case "Sync":
      case "History":
      case "Unread":
      case "Typing":
      case "Receipt":
      case "Members":
      case "InspectChannel":
        return this.channels.request(request, reply, notMine)
      case "Standing":
      case "Open":
      case "Inbox":
      case "MoveCursor":
      case "MarkUnread":
      case "Notice":
      case "Revoke":
      case "InspectSession":
        return this.sessions.request(request, reply, notMine)
      case "Report":
      case "Watch":
      case "InspectPresence":
        return request.shard === this.shard ? this.presence.request(request, reply) : notMine()
    }
  }

  /** Authorises each named user for each topic, then takes the edge's interest (†7). */
  attach(attach: Attach, reply: (reply: OwnerReply<Attached>) => void, notMine: () => void): void {
    if (!this.serving) {
      notMine()
      return
    }
    this.context.links.open(attach.edge)
    const granted: Array<TopicName> = []
    const answers: Array<Attached["topics"][number] | undefined> = Array.from({ length: attach.topics.length })
    let left = attach.topics.length
    const finish = () => {
      if (!this.serving) {
        notMine()
        return
      }
      const interestVersion = this.interest.add(attach.edge, granted)
      const topics = answers.filter((answer) => answer !== undefined)
      reply({ ok: { shard: this.shard, epoch: this.epoch, interestVersion, topics } })
    }
    if (left === 0) finish()
    attach.topics.forEach(({ topic, users }, index) => {
      this.#authorise(topic, users, (answer) => {
        answers[index] = answer
        if (answer !== undefined && (answer.denied.length < users.length || users.length === 0)) {
          granted.push(topic)
          // At once, not with the batch: between this answer and the end of the batch events may commit.
          this.interest.add(attach.edge, [topic])
          if (topic.startsWith("u/")) this.sessions.attached(attach.edge, topic)
        }
        if (--left === 0) finish()
      })
    })
  }

  detach(detach: Detach): void {
    this.interest.remove(detach.edge, detach.topics)
  }

  /**
   * Puts an event that the entity has applied into the log. Tells `waiter` once how it ended. `reserved`: the log can't be
   * cut before it is in, so it may use the room that a full log keeps (†28).
   */
  propose(
    resident: AnyResident,
    entry: Entry,
    undo: () => void,
    origin: { readonly edge: string; readonly connection: number },
    waiter: (failure: ApiFailure | undefined) => void,
    reserved = false
  ): void {
    if (!reserved && this.log.full) {
      undo()
      return waiter({ code: "log_full" })
    }
    const pending: PendingEvent = {
      entry,
      resident,
      undo,
      originEdge: origin.edge,
      originConnection: origin.connection,
      waiters: [waiter],
      reserved
    }
    enterPending(resident, pending)
    if (!this.log.append(pending)) {
      resident.pending.pop()
      undo()
      waiter({ code: "overloaded" })
    }
  }

  /** Sends an item to the edges that want its topic. */
  publish(item: LinkItem): void {
    for (const edge of this.interest.edgesOf(item.topic)) {
      this.work++
      this.context.links.push(edge, item)
    }
  }

  /** The persister has written everything up to here (†25), but for what it has parked (†26). */
  setStored(position: LogPosition, parked?: ReadonlyArray<ParkedEntity>): void {
    if (position > this.#storePosition) this.#storePosition = position
    else if (parked === undefined) return
    if (parked !== undefined) this.parked.replace(parked)
    // A floor that rose past what is parked would not come down again.
    if (this.parked.known && !this.#settling) this.#settle()
  }

  /** What the persister has parked, as the store says; it may have said more meanwhile. */
  setParked(entities: ReadonlyArray<ParkedEntity>): void {
    if (!this.parked.known) this.setStored(this.#storePosition, entities)
  }

  /** A second of a hot channel is tens of thousands of events: in slices, so that nobody waits for all of them. */
  readonly #settle = (): void => {
    const until = performance.now() + settleMsMax
    do {
      this.#settling = this.unstored.stored(this.#storePosition, this.#setFloor, settleItems)
    } while (this.#settling && performance.now() < until)
    if (this.#settling) setImmediate(this.#settle)
  }

  readonly #setFloor = (topic: Topic, id: string, seq: number): void => {
    if (topic === "channel" && !this.parked.has(topic, id)) this.channels.setFloor(id, seq)
  }

  /** What was parked of an entity is in the store now. */
  setReleased({ id, seq, topic }: Released): void {
    this.parked.release(topic, id)
    if (topic === "channel") this.channels.setFloor(id, seq)
  }

  /** Whether the store has all of an entity. */
  stored(topic: Topic, id: string): boolean {
    return !this.unstored.has(topic, id) && !this.parked.has(topic, id)
  }

  /** Every second or so: typing signs, presence, cursors, checkpoints. */
  tick(): void {
    if (!this.serving) return
    this.channels.tick()
    this.sessions.tick()
    this.presence.tick()
    this.checkpoints.tick()
    this.sweep()
  }

  sweep(): void {
    this.#sweep(sweepLooksMin)
  }

  #sweep(looksMax: number): void {
    this.channels.residents.sweep(looksMax)
    this.sessions.residents.sweep(looksMax)
  }

  /** Stops taking requests; what is under way is settled by the log's flush. */
  stop(): void {
    if (this.#state === "serving") this.#state = "draining"
  }

  /**
   * Nothing is answered or written from now on, for good: the shard may come back to this runner, with a lease that would
   * hold for this owner as well, and what waits here for a store since then must not be answered (†18, †24).
   */
  takeAway(): void {
    this.#state = "out"
    this.log.stepDown()
  }

  #authorise(
    topic: TopicName,
    users: ReadonlyArray<string>,
    done: (answer: Attached["topics"][number] | undefined) => void
  ): void {
    const id = topic.slice(2)
    if (topic.startsWith("c/")) this.channels.authorise(topic, id, users, done)
    else if (topic.startsWith("u/")) this.sessions.authorise(topic, id, users, done)
    else done({ topic, head: this.presence.version, generation: this.epoch, denied: [] })
  }

  #onCommitted(entries: ReadonlyArray<PendingEvent>, position: LogPosition): void {
    for (const pending of entries) {
      const { entry, resident } = pending
      resident.pending.shift()
      if (entry.topic === "channel") this.channels.committed(pending)
      else this.sessions.committed(pending)
      this.unstored.committed(position, entry.topic, entry.id, entry.seq)
    }
    tell(entries, undefined)
    this.checkpoints.committed(entries)
    this.context.committed(this.shard)
    this.#sweep(sweepLooksMin + entries.length * 2)
  }

  /** Newest first, so that each undo finds the state it left (†20). */
  #onFailed(entries: ReadonlyArray<PendingEvent>, reason: "full" | "too_large" | "out"): void {
    for (let i = entries.length - 1; i >= 0; i--) {
      const pending = entries[i]
      if (pending === undefined) continue
      pending.resident.pending.pop()
      pending.undo()
    }
    if (reason === "full") this.context.full()
    tell(entries, { code: reason === "full" ? "log_full" : reason === "too_large" ? "too_large" : "moved" })
  }

  #leave(why: string): void {
    if (this.#state === "out") return
    this.#state = "out"
    this.context.lost(this.shard, why)
  }
}

const tell = (entries: ReadonlyArray<PendingEvent>, failure: ApiFailure | undefined): void => {
  for (const pending of entries) {
    const { waiters } = pending
    pending.waiters = []
    for (const waiter of waiters) waiter(failure)
  }
}
