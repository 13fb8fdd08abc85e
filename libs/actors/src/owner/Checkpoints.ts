/**
 * Checkpoints of one shard: compact committed states of its most recently active entities, logged now and then, so
 * that a takeover is bounded however far the store is behind, and most channels wake without the store (DESIGN §5.7).
 * What a checkpoint leaves out is safe: such an entity is loaded from the store, once the store has everything up to
 * the checkpoint, and what was replayed after it is applied on top.
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
const checkpointTicksMax = 120
/**
 * An entity of which the store lacks more than this is left out: it would take the room of a hundred others, and the
 * time to encode it. A hot channel is always one; by the time it is loaded the store has what precedes the checkpoint.
 */
const unstoredBytesMax = 131_072
/** A checkpoint isn't worth it below this many events. */
const checkpointEventsMin = 64

const channelPrefix = "c/"
const userPrefix = "u/"
const key = (topic: Topic, id: string): string => (topic === "channel" ? channelPrefix : userPrefix) + id

export class Checkpoints {
  readonly #owner: ShardOwner
  /** Changed since the opening, oldest change first, by name alone: the next checkpoint takes the newest that fit. */
  readonly #active = new Set<string>()
  /** Sessions as of the checkpoint: they wake with the cursors that the store has since then. */
  readonly #sessions = new Map<string, Uint8Array | SessionState>()
  readonly #late = new Map<string, Array<Entry>>()
  #bytes = 0
  #events = 0
  #ticks = 0

  constructor(owner: ShardOwner) {
    this.#owner = owner
  }

  /** Puts back what the last checkpoint and the records after it say. */
  restore(opened: OpenedShard): void {
    const { channels } = this.#owner
    for (const { bytes, id, topic } of opened.checkpoint === undefined
      ? []
      : decodeCheckpoint(opened.checkpoint).snapshots) {
      if (topic === "channel") channels.residents.putWarm(id, bytes)
      else this.#sessions.set(id, bytes)
      this.#active.add(key(topic, id))
    }
    for (const { entry, position } of opened.entries) {
      this.#replay(entry)
      this.#active.add(key(entry.topic, entry.id))
      if (position <= this.#owner.storePosition) continue
      this.#owner.unstored.committed(position, entry.topic, entry.id, entry.seq)
    }
    if (!this.#owner.context.forgetIds) return
    for (const { state } of channels.residents.all()) if (state !== undefined) forgetIds(state)
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

  committed(entries: ReadonlyArray<PendingEvent>): void {
    for (const { entry } of entries) {
      const name = key(entry.topic, entry.id)
      this.#active.delete(name)
      this.#active.add(name)
      this.#bytes += entry.body.length + 100
      this.#events++
    }
    if (this.#bytes >= this.#owner.context.bounds.checkpointBytes) this.write()
  }

  tick(): void {
    if (++this.#ticks >= checkpointTicksMax && this.#events >= checkpointEventsMin) this.write()
  }

  /**
   * The log is full, and cut below checkpoints only: nothing is committed that would make the next one due (†28). Not
   * before the store has come past the last one: while it stands still, one more would only take room.
   */
  makeRoom(): void {
    if (this.#owner.storePosition > this.#owner.log.replayFrom) this.write()
  }

  /** Logs a checkpoint of what is committed now. */
  write(): void {
    if (this.#events === 0) return
    const events = this.#events
    this.#bytes = 0
    this.#events = 0
    this.#ticks = 0
    this.#owner.log.appendCheckpoint(
      () => this.#body(),
      "full",
      // There was no room, or another is on its way: it stays due.
      (position) => {
        if (position === null) this.#events += events
      }
    )
  }

  /** Called at the checkpoint's turn, when what is committed is exactly what precedes it in the log. */
  #body(): Uint8Array {
    const snapshots: Array<Snapshot> = []
    let room = checkpointBytesMax
    for (const name of [...this.#active].reverse()) {
      const topic: Topic = name.startsWith(channelPrefix) ? "channel" : "user"
      const id = name.slice(channelPrefix.length)
      const bytes = this.#encoded(topic, id)
      if (bytes === undefined) continue
      const snapshot = { topic, id, bytes }
      const size = snapshotBytes(snapshot)
      // One that is larger than what is left may be followed by smaller ones; looking at all of them isn't worth it.
      if (size > room && room < unstoredBytesMax) break
      if (size > room) continue
      room -= size
      snapshots.push(snapshot)
    }
    this.#active.clear()
    for (const { id, topic } of snapshots.toReversed()) this.#active.add(key(topic, id))
    return encodeCheckpoint({ snapshots })
  }

  #encoded(topic: Topic, id: string): Uint8Array | undefined {
    const residents = topic === "channel" ? this.#owner.channels.residents : this.#owner.sessions.residents
    const kept = topic === "user" ? this.#sessions.get(id) : undefined
    if (kept !== undefined) return kept instanceof Uint8Array ? kept : kept.encode()
    const warm = residents.warm(id)
    if (warm !== undefined) return warm.bytes
    const state = residents.peek(id)?.state
    if (state === undefined) return undefined
    return state instanceof ChannelState && state.tail.pinnedBytes > unstoredBytesMax ? undefined : state.encode()
  }

  #replay(entry: Entry): void {
    if (entry.topic === "user") {
      const session = this.takeSession(entry.id)
      if (session === undefined) return this.#later(entry)
      replaySession(session, entry)
      this.#sessions.set(entry.id, session)
      return
    }
    const { channels, context } = this.#owner
    const warm = channels.residents.takeWarm(entry.id)
    const resident =
      warm === undefined
        ? channels.residents.peek(entry.id)
        : channels.residents.put(entry.id, ChannelState.decode(warm.bytes, channelLimits(context.bounds)))
    if (resident?.state === undefined) this.#later(entry)
    else replayChannel(resident.state, entry)
  }

  #later(entry: Entry): void {
    const name = key(entry.topic, entry.id)
    const late = this.#late.get(name)
    if (late === undefined) this.#late.set(name, [entry])
    else late.push(entry)
  }
}
