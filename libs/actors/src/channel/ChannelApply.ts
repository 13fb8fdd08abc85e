/**
 * The whole state of one channel, apart from any process: it imports no service and takes time as an argument. It
 * changes in place, by `apply(entry)` alone, and each change can be taken back until it is committed (†20). What is
 * speculative is for deciding only: everything a reader may see (`name`, `tail`, `visibleRange` …) stops at the
 * committed seq. Hot: watched by `bench send`.
 */
import type { ChannelRow, Membership } from "@parley/storage/Directory"
import type { Entry } from "../log/Entry.ts"
import type { ChannelLimits } from "./ChannelLimits.ts"
import { CommittedChannel } from "./CommittedChannel.ts"
import { membersOf, settingsOf } from "./EventBody.ts"
import { IdempotencyWindow } from "./IdempotencyWindow.ts"
import { Members } from "./Members.ts"
import { type ChannelSettings, type ChannelSnapshot, decodeSnapshot, encodeSnapshot } from "./Snapshot.ts"
import { type HeadMessage, type StoredHead, storedSnapshot } from "./StoredChannel.ts"
import { type StoredEvents, Tail, type TailEvent } from "./Tail.ts"

interface Pending {
  readonly entry: Entry
  /** Settings after it. */
  settings: ChannelSettings
  readonly undo: () => void
}

/** Of nearly all channels; never changed. */
const none: Array<Pending> = []

export class ChannelState extends CommittedChannel {
  #pending = none

  static empty(channel: string, limits: ChannelLimits): ChannelState {
    return new ChannelState(channel, limits)
  }

  // --- change ---------------------------------------------------------------------------------------------------

  get pendingCount(): number {
    return this.#pending.length
  }

  /** Events given out and not committed, oldest first. */
  pendingEntries(): ReadonlyArray<Entry> {
    return this.#pending.map((pending) => pending.entry)
  }

  /** The store has all events up to `floor`, durably. */
  setFloor(floor: number): void {
    this.tail.setFloor(Math.min(floor, this.committedSeq))
    this.window.settle(this.tail.floor)
  }

  /** Whether what the store answered when its floor was `floor` and what is held here leave no hole between them (†31). */
  joins(floor: number): boolean {
    return floor >= this.tail.from
  }

  /**
   * Takes the store's stays of a user who is not known here. The tail's events and the pending ones go on top: the
   * store may be behind them, and where it is not they change nothing. `floor` is that before the store was asked;
   * false: the tail was cut above it, read again (†31).
   */
  learn(user: string, rows: ReadonlyArray<Membership>, floor = this.floor): boolean {
    if (!this.joins(floor)) return false
    const stays = rows.map((row) => ({ from: row.from, to: row.to }))
    for (const event of [...this.tail.after(this.tail.from), ...this.pendingEntries()]) {
      if (event.kind !== "added" && event.kind !== "removed" && event.kind !== "created") continue
      if (!membersOf(event.body).includes(user)) continue
      const at = stays.findIndex((stay) => stay.from <= event.seq && (stay.to === null || stay.to >= event.seq))
      const found = stays[at]
      if (event.kind === "removed" && found !== undefined) stays[at] = { from: found.from, to: event.seq }
      else if (event.kind !== "removed" && found === undefined) stays.push({ from: event.seq, to: null })
    }
    const owner = rows.some((row) => row.to === null && row.role === "owner") && stays.some((stay) => stay.to === null)
    this.members.learn(user, stays, owner)
    if (owner && !this.latest.owners.includes(user)) this.#learnOwner(user)
    return true
  }

  /** Puts back what a checkpoint cut, where the store will not have it soon: see `Tail.uncut`. */
  uncut(entries: ReadonlyArray<Entry>): boolean {
    const written = entries.filter(({ seq }) => seq <= this.tailFrom)
    if (!this.isCut || !this.tail.uncut(written)) return false
    this.window.recall(written)
    this.card = undefined
    return true
  }

  // A large channel that came out of the store did not know its owners: he was one all along.
  #learnOwner(user: string): void {
    const withOwner = (settings: ChannelSettings) => ({ ...settings, owners: [...settings.owners, user].sort() })
    this.latest = withOwner(this.latest)
    this.settled = withOwner(this.settled)
    for (const pending of this.#pending) pending.settings = withOwner(pending.settings)
  }

  push(entry: Entry): () => void {
    if (entry.seq !== this.seq + 1) throw new Error(`channel is at ${this.seq}, got ${entry.seq} (ONE-ORDER)`)
    const { generation, n, at, by, latest } = this
    const undoMembers = this.#applyMembers(entry)
    this.generation = entry.generation
    this.seq = entry.seq
    this.n = entry.n
    this.at = entry.at
    this.by = entry.by
    if (entry.cid !== "") this.window.remember(entry)
    const size = entry.body.length + entry.hidden.length
    this.pendingBytes += size
    const undo = () => {
      if (entry.cid !== "") this.window.forget(entry)
      undoMembers?.()
      this.pendingBytes -= size
      this.seq = entry.seq - 1
      this.generation = generation
      this.n = n
      this.at = at
      this.by = by
      this.latest = latest
    }
    const pending = { entry, settings: this.latest, undo }
    if (this.#pending.length === 0) this.#pending = [pending]
    else this.#pending.push(pending)
    return () => this.#undo(entry.seq)
  }

  commitTo(seq: number): void {
    if (seq > this.seq) throw new Error(`channel is at ${this.seq}, got a commit of ${seq}`)
    let done = 0
    for (let next = this.#pending[0]; next !== undefined && next.entry.seq <= seq; next = this.#pending[done]) {
      const { entry, settings } = next
      this.committedSeq = entry.seq
      this.committedN = entry.n
      this.settled = settings
      this.pendingBytes -= entry.body.length + entry.hidden.length
      this.tail.push(entry)
      if (entry.kind !== "message") this.members.trim(entry.seq)
      done++
    }
    if (done === 0) return
    if (done === this.#pending.length) this.#pending = none
    else this.#pending.splice(0, done)
    this.card = undefined
  }

  #undo(seq: number): void {
    const newest = this.#pending.at(-1)
    if (newest === undefined || newest.entry.seq !== seq)
      throw new Error(`undo of ${seq}, which is not the newest pending event`)
    this.#pending.pop()
    newest.undo()
  }

  #applyMembers(entry: Entry): (() => void) | undefined {
    switch (entry.kind) {
      case "created": {
        const users = membersOf(entry.body)
        const { name = "", topic = "", fanout = "write" } = settingsOf(entry.body)
        const undo = this.members.add(users, entry.seq, entry.by)
        this.latest = { ...this.#counted(), exists: true, name, topic, fanout, createdAt: entry.at }
        return undo
      }
      case "added": {
        const undo = this.members.add(membersOf(entry.body), entry.seq, undefined)
        this.latest = this.#counted()
        return undo
      }
      case "removed": {
        // as: hidden parts are made by ChannelDecide
        const { heir } = JSON.parse(entry.hidden === "" ? "{}" : entry.hidden) as { readonly heir?: string }
        const undo = this.members.remove(membersOf(entry.body), entry.seq, heir)
        this.latest = this.#counted()
        return undo
      }
      case "updated":
      case "fanout": {
        const {
          name = this.latest.name,
          topic = this.latest.topic,
          fanout = this.latest.fanout
        } = settingsOf(entry.body)
        this.latest = { ...this.latest, name, topic, fanout }
        return undefined
      }
      default:
        return undefined
    }
  }

  #counted(): ChannelSettings {
    return { ...this.latest, members: this.members.count, owners: this.members.owners() }
  }

  // --- at rest --------------------------------------------------------------------------------------------------

  /** The committed state, with as much of tail and window as the warm limits allow; what is pending is left out. */
  encode(): Uint8Array {
    return new Uint8Array(this.#encode(false))
  }

  /** The same for a place in memory; it holds until the next one. `scarce`: without what the store has as well. */
  pack(scarce: boolean): Uint8Array {
    return this.#encode(scarce)
  }

  /** Gives up what tail and window hold beyond the warm limits and the store has; false: nothing. */
  shrink(): boolean {
    const { warmTailBytesMax, warmTailEventsMax, warmWindowIdsMax } = this.limits
    const before = this.bytes
    this.tail.shrink(warmTailEventsMax, warmTailBytesMax)
    this.window.shrink(warmWindowIdsMax)
    return this.bytes < before
  }

  /**
   * For a checkpoint of a channel that the store is far behind with: without the older of the events that it lacks. Whoever
   * restores it goes on at once, and reads what precedes its tail when the store has come past the checkpoint.
   */
  encodeCut(): Uint8Array {
    const { cutTailBytesMax, cutWindowIdsMax } = this.limits
    const tail = this.tail.newest(cutTailBytesMax)
    return new Uint8Array(this.#encode(false, { tail, idsMax: cutWindowIdsMax }))
  }

  #encode(scarce: boolean, cut?: { readonly tail: ReadonlyArray<TailEvent>; readonly idsMax: number }): Uint8Array {
    const pending = this.pendingEntries()
    for (const entry of pending.toReversed()) this.#undo(entry.seq)
    const { warmTailBytesMax, warmTailEventsMax, warmWindowIdsMax } = this.limits
    const window =
      cut === undefined
        ? this.window.snapshot(scarce ? 0 : warmWindowIdsMax, this.seq)
        : this.window.snapshot(cut.idsMax, this.seq, this.seq - cut.tail.length)
    const bytes = encodeSnapshot({
      channel: this.channel,
      generation: this.generation,
      seq: this.seq,
      n: this.n,
      at: this.at,
      by: this.by,
      floor: this.tail.floorForCertain,
      settings: this.latest,
      members: this.members.snapshot(),
      window,
      tail: cut?.tail ?? this.tail.snapshot(scarce ? 0 : warmTailEventsMax, warmTailBytesMax),
      last: this.tail.last
    })
    for (const entry of pending) this.push(entry)
    return bytes
  }

  static decode(bytes: Uint8Array, limits: ChannelLimits): ChannelState {
    return ChannelState.#restore(decodeSnapshot(bytes), limits)
  }

  /** A channel that is neither warm nor checkpointed, from the store: see `storedSnapshot`. */
  static fromStore(
    row: ChannelRow,
    head: StoredHead,
    members: ReadonlyArray<Membership> | undefined,
    events: StoredEvents,
    limits: ChannelLimits,
    headMessage?: HeadMessage
  ): ChannelState {
    const state = ChannelState.#restore(storedSnapshot(row, head, members, events, headMessage), limits)
    state.members.trim(state.seq)
    return state
  }

  static #restore(snapshot: ChannelSnapshot, limits: ChannelLimits): ChannelState {
    const { last, seq } = snapshot
    const tailLimits = { eventsMax: limits.tailEventsMax, bytesMax: limits.tailBytesMax }
    const state = new ChannelState(
      snapshot.channel,
      limits,
      Members.restore(limits, snapshot.members, snapshot.settings.owners),
      IdempotencyWindow.restore(limits.windowIdsMax, snapshot.window, snapshot.floor, limits.windowYoungIdsMax),
      Tail.restore(tailLimits, seq, snapshot.floor, snapshot.tail, last)
    )
    state.generation = snapshot.generation
    state.seq = state.committedSeq = seq
    state.n = state.committedN = snapshot.n
    state.at = snapshot.at
    state.by = snapshot.by
    state.latest = state.settled = snapshot.settings
    return state
  }
}

/** Takes the next event, speculatively; the answer takes it back, newest first, as long as it is not committed (†20). */
export const apply = (state: ChannelState, entry: Entry): (() => void) => state.push(entry)

/** All events up to `seq` are in the log: from now on readers see them. */
export const commit = (state: ChannelState, seq: number): void => state.commitTo(seq)

/** An event out of the log. */
export const replay = (state: ChannelState, entry: Entry): void => {
  state.push(entry)
  state.commitTo(entry.seq)
}
