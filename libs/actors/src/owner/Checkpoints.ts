/**
 * Checkpoints of one shard: compact committed states of its most recently active entities, logged now and then, so
 * that a takeover is bounded however far the store is behind, and most channels wake without the store (DESIGN §5.7).
 * What a checkpoint leaves out is safe: such an entity is loaded from the store, once the store has everything up to
 * the checkpoint, and what was replayed after it is applied on top.
 *
 * Who was woken from the store and only looked at since is in a full one as well, some of them: after a takeover their users
 * come back all at once.
 *
 * Between two full ones, an incremental one has those that are in neither: woken from the store since then, and changed.
 * Without it a takeover would need the store for them, and the store may be away (WRITE-BEHIND-SAFE). A channel that the
 * store is far behind is cut in a full one (`unstoredBytesMax`). Never in an incremental one: the next owner waits until
 * the store has come past the full one, and for nothing later.
 */
import { ChannelState, replay as replayChannel } from "../channel/ChannelState.ts"
import {
  checkpointBytesMax,
  decodeCheckpoint,
  encodeCheckpoint,
  type Snapshot,
  snapshotBytes
} from "../log/Checkpoint.ts"
import type { Entry, Topic } from "../log/Entry.ts"
import type { OpenedShard } from "../log/Takeover.ts"
import { replay as replaySession, SessionState } from "../session/SessionState.ts"
import { channelLimits, forgetIds } from "./ChannelLoader.ts"
import type { PendingEvent } from "./Residents.ts"
import type { ShardOwner } from "./ShardOwner.ts"

/** A shard with changes is checkpointed at least this often, in ticks. */
export const checkpointTicksMax = 120
/** In a cluster sooner, from when a takeover would have to replay as much as the checkpoint takes; but no more often than this. */
export const checkpointTicksMin = 40
/** Room that is left in a checkpoint is not filled up any more below this. */
const roomMin = 131_072
/** An incremental checkpoint's bytes. */
const incrementalBytesMax = 262_144
/** An incremental checkpoint is paid for by the events since the last one, and by so many bytes a tick. */
const incrementalBytesPerTick = 4_096
/** Entities that a full checkpoint has although nothing of them changed. Only so many: each checkpoint has them again. */
export const checkpointWokenMax = 256
/** A checkpoint isn't worth it below this many events. */
const checkpointEventsMin = 64
/**
 * The last checkpoint of a shard that rests lies further and further behind what others write, and holds up the cut of the front
 * that they share. It is logged once more when so many places lie after it …
 */
export const heldPlacesMin = 16_384
/** … or, where checkpoints are large, more: those of all shards then have at most so many bytes a place. */
const heldBytesPerPlace = 256
/** Shards that rest since the same time have their turns one after the other: each of these waits a little longer than the one before. */
const heldTurns = 16

const channelPrefix = "c/"
const userPrefix = "u/"
const key = (topic: Topic, id: string): string => (topic === "channel" ? channelPrefix : userPrefix) + id

export class Checkpoints {
  readonly #owner: ShardOwner
  /** Changed since the opening, oldest change first, by name alone: the next checkpoint takes the newest that fit. */
  readonly #active = new Set<string>()
  /** Woken from the store since the opening and not changed, the last one last. */
  readonly #woken = new Set<string>()
  /** Sessions as of the checkpoint: they wake with the cursors that the store has since then. */
  readonly #sessions = new Map<string, Uint8Array | SessionState>()
  readonly #late = new Map<string, Array<Entry>>()
  /** What a takeover has without the store and without an incremental checkpoint: in the full one, or begun after it. */
  #covered = new Set<string>()
  /** Changed, and not covered: what the next incremental checkpoint has, oldest change first. */
  #uncovered = new Set<string>()
  /** Whether one of these changed since the last incremental checkpoint. */
  #due = false
  #credit = 0
  #incrementalSize = 0
  #fullSize = 0
  /** Since the last full checkpoint. */
  #bytes = 0
  /** Of these, where the next full one is due. */
  #dueBytes: number
  #events = 0
  #ticks = 0

  constructor(owner: ShardOwner) {
    this.#owner = owner
    this.#dueBytes = owner.context.bounds.checkpointBytes
  }

  /** Puts back what the last checkpoint and the records after it say. */
  restore(opened: OpenedShard): void {
    const { channels } = this.#owner
    this.#fullSize = opened.checkpoint?.length ?? 0
    this.#put(opened.checkpoint, this.#covered)
    this.#put(opened.incremental, this.#uncovered)
    for (const { entry, position } of opened.entries) {
      this.#replay(entry)
      const name = key(entry.topic, entry.id)
      this.#active.add(name)
      this.#changed(name, entry)
      this.#bytes += entry.body.length + 100
      if (position <= this.#owner.storePosition) continue
      this.#owner.unstored.committed(position, entry.topic, entry.id, entry.seq)
    }
    if (!this.#owner.context.forgetIds) return
    for (const { state } of channels.residents.all()) if (state !== undefined) forgetIds(state)
  }

  #put(body: Uint8Array | undefined, names: Set<string>): void {
    if (body === undefined) return
    // The newest are the first in it, and the last to be given up here.
    for (const { bytes, id, topic } of decodeCheckpoint(body).snapshots.toReversed()) {
      if (topic === "channel") this.#owner.channels.residents.putWarm(id, bytes)
      else this.#sessions.set(id, bytes)
      this.#active.add(key(topic, id))
      names.add(key(topic, id))
    }
  }

  /** Entries that were replayed before their entity was loaded; the loader applies those above the state it found. */
  takeLate(topic: Topic, id: string): ReadonlyArray<Entry> {
    const entries = this.#late.get(key(topic, id)) ?? []
    this.#late.delete(key(topic, id))
    return entries
  }

  /** A session as of the last checkpoint and what was replayed after it, where it was in it. */
  takeSession(user: string): SessionState | undefined {
    const kept = this.#sessions.get(user)
    this.#sessions.delete(user)
    return kept instanceof Uint8Array ? SessionState.decode(kept) : kept
  }

  /** An entity that the store has was loaded from it. */
  woken(topic: Topic, id: string): void {
    const name = key(topic, id)
    if (this.#active.has(name)) return
    this.#woken.delete(name)
    this.#woken.add(name)
    for (const oldest of this.#woken) {
      if (this.#woken.size <= checkpointWokenMax) return
      this.#woken.delete(oldest)
    }
  }

  committed(entries: ReadonlyArray<PendingEvent>): void {
    for (const { entry } of entries) {
      const name = key(entry.topic, entry.id)
      this.#woken.delete(name)
      this.#active.delete(name)
      this.#active.add(name)
      this.#changed(name, entry)
      this.#bytes += entry.body.length + 100
      this.#credit += entry.body.length + 100
      this.#events++
    }
    if (this.#bytes >= this.#dueBytes) this.write()
  }

  tick(): void {
    this.#ticks++
    if (this.#events >= checkpointEventsMin && this.#ticks >= this.#dueTicks) return this.write()
    if (this.#holdsFront()) return this.#writeFull()
    this.#credit += incrementalBytesPerTick
    const { incrementalTicks } = this.#owner.context.bounds
    if (this.#due && incrementalTicks > 0 && this.#ticks % incrementalTicks === 0) this.#writeIncremental()
  }

  get #dueTicks(): number {
    const soon = this.#owner.context.bounds.incrementalTicks > 0 && this.#bytes >= this.#fullSize
    return soon ? checkpointTicksMin : checkpointTicksMax
  }

  /** And is not waiting for the store: then one more checkpoint would free nothing. */
  #holdsFront(): boolean {
    const { log, shard, context, storePosition } = this.#owner
    const places = context.log.newest(shard) - log.replayFrom
    if (places < heldPlacesMin || storePosition < log.replayFrom) return false
    const enough = Math.max(heldPlacesMin, (this.#fullSize * context.shardCount) / heldBytesPerPlace)
    return places >= enough * (1 + (shard % heldTurns) / heldTurns)
  }

  #changed(name: string, entry: Entry): void {
    if (this.#owner.context.bounds.incrementalTicks === 0) return
    if (isFirst(entry)) this.#covered.add(name)
    if (this.#covered.has(name)) return
    this.#uncovered.delete(name)
    this.#uncovered.add(name)
    this.#due = true
  }

  /** For many cold entities it is large: then it is rarer, so that the log has at most about twice the bytes. */
  #writeIncremental(): void {
    // Paid for as well: it may have no room for it.
    if (this.#credit >= this.#fullSize && [...this.#uncovered].some((name) => this.#isCut(name))) {
      this.#credit = 0
      return this.#writeFull()
    }
    if (this.#credit < this.#incrementalSize) return
    this.#credit = 0
    this.#due = false
    this.#owner.log.appendCheckpoint(
      () => {
        const body = encodeCheckpoint({ snapshots: this.#newest(this.#uncovered, incrementalBytesMax, false) })
        this.#incrementalSize = body.length
        return body
      },
      "incremental",
      (position) => {
        if (position === null && this.#uncovered.size > 0) this.#due = true
      }
    )
  }

  /**
   * The log is full, and cut below checkpoints only: nothing is committed that would make the next one due (†28). Not
   * before the store has come past the last one: while it stands still, one more would only take room.
   */
  makeRoom(): void {
    if (this.#events > 0 && this.#owner.storePosition > this.#owner.log.replayFrom) this.#writeFull()
  }

  /** Logs a checkpoint of what is committed now. Calls back when it is over. */
  write(done: () => void = () => {}): void {
    if (this.#events === 0) done()
    else this.#writeFull(done)
  }

  /** The owner goes: what the last full checkpoint lacks is left to the next one, who may have no store to ask. */
  leave(): void {
    if (!this.#due || this.#owner.context.bounds.incrementalTicks === 0) return
    this.#credit = this.#incrementalSize
    this.#writeIncremental()
  }

  /**
   * Whether a full checkpoint has it cut. Not one with parked events: the next owner would have nothing below the tail until
   * they are released, so he loads it.
   */
  #isCut(name: string): boolean {
    const { parked } = this.#owner
    return this.#isLarge(name) && !(parked.known && parked.has("channel", name.slice(channelPrefix.length)))
  }

  /** Whether the store is too far behind with it for all of that to be in a checkpoint. */
  #isLarge(name: string): boolean {
    if (!name.startsWith(channelPrefix)) return false
    const state = this.#owner.channels.residents.peek(name.slice(channelPrefix.length))?.state
    return state !== undefined && state.tail.pinnedBytes > this.#owner.context.bounds.unstoredBytesMax
  }

  #writeFull(done: () => void = () => {}): void {
    const events = this.#events
    this.#bytes = 0
    this.#dueBytes = this.#owner.context.bounds.checkpointBytes
    this.#events = 0
    this.#ticks = 0
    const covered = this.#covered
    const uncovered = this.#uncovered
    this.#owner.log.appendCheckpoint(
      () => this.#body(),
      "full",
      // There was no room, or another is on its way: it stays due.
      (position) => {
        done()
        if (position !== null) return
        this.#events += events
        // The one before is the last one still.
        for (const name of this.#uncovered) uncovered.add(name)
        this.#covered = covered
        this.#uncovered = uncovered
      }
    )
  }

  /** Called at the checkpoint's turn, when what is committed is exactly what precedes it in the log. */
  #body(): Uint8Array {
    const changed = [...this.#active]
    const woken = new Set(this.#woken)
    this.#active.clear()
    // Looked at as older than any change: they are left out first.
    for (const name of [...woken, ...changed]) this.#active.add(name)
    const snapshots = this.#newest(this.#active, checkpointBytesMax, true)
    this.#active.clear()
    this.#woken.clear()
    this.#covered = new Set()
    this.#uncovered = new Set()
    for (const { id, topic } of snapshots.toReversed()) {
      const name = key(topic, id)
      if (woken.has(name)) this.#woken.add(name)
      else this.#active.add(name)
      this.#covered.add(name)
    }
    const body = encodeCheckpoint({ snapshots })
    this.#fullSize = body.length
    return body
  }

  /** The newest of these that fit. `cuts`: also those that have to be cut for it. */
  #newest(names: ReadonlySet<string>, bytesMax: number, cuts: boolean): ReadonlyArray<Snapshot> {
    const snapshots: Array<Snapshot> = []
    let room = bytesMax
    for (const name of [...names].reverse()) {
      const topic: Topic = name.startsWith(channelPrefix) ? "channel" : "user"
      const id = name.slice(channelPrefix.length)
      const bytes = this.#encoded(topic, id, cuts)
      if (bytes === undefined) continue
      const snapshot = { topic, id, bytes }
      const size = snapshotBytes(snapshot)
      // One that is larger than what is left may be followed by smaller ones; looking at all of them isn't worth it.
      if (size > room && room < roomMin) break
      if (size > room) continue
      room -= size
      snapshots.push(snapshot)
    }
    return snapshots
  }

  #encoded(topic: Topic, id: string, cuts: boolean): Uint8Array | undefined {
    const residents = topic === "channel" ? this.#owner.channels.residents : this.#owner.sessions.residents
    const kept = topic === "user" ? this.#sessions.get(id) : undefined
    if (kept !== undefined) return kept instanceof Uint8Array ? kept : kept.encode()
    const warm = residents.warm(id)
    if (warm !== undefined) return warm.bytes
    const state = residents.peek(id)?.state
    if (state === undefined) return undefined
    if (!(state instanceof ChannelState) || !this.#isLarge(key(topic, id))) return state.encode()
    return cuts && this.#isCut(key(topic, id)) ? state.encodeCut() : undefined
  }

  #replay(entry: Entry): void {
    if (entry.topic === "user") {
      const session = this.takeSession(entry.id) ?? (isFirst(entry) ? SessionState.empty(entry.id) : undefined)
      if (session === undefined) return this.#later(entry)
      if (entry.seq > session.committedUserSeq) replaySession(session, entry)
      this.#sessions.set(entry.id, session)
      return
    }
    const { channels, context } = this.#owner
    const { residents } = channels
    const limits = channelLimits(context.bounds)
    const warm = residents.takeWarm(entry.id)
    const resident =
      warm !== undefined
        ? residents.put(entry.id, ChannelState.decode(warm.bytes, limits))
        : (residents.peek(entry.id) ??
          (isFirst(entry) ? residents.put(entry.id, ChannelState.empty(entry.id, limits)) : undefined))
    if (resident?.state === undefined) this.#later(entry)
    else if (entry.seq > resident.state.committedSeq) replayChannel(resident.state, entry)
  }

  #later(entry: Entry): void {
    const name = key(entry.topic, entry.id)
    const late = this.#late.get(name)
    if (late === undefined) this.#late.set(name, [entry])
    else late.push(entry)
  }
}

/** Whose log begins with it needs nothing that is older. */
const isFirst = ({ generation, seq }: Entry): boolean => generation === 1 && seq === 1
