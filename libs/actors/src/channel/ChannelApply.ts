/**
 * The whole state of one channel, apart from any process: it imports no service and takes time as an argument. It
 * changes in place, by `apply(entry)` alone, and each change can be taken back until it is committed (†20). What is
 * speculative is for deciding only: everything a reader may see (`name`, `tail`, `visibleRange` …) stops at the
 * committed seq. Hot: watched by `bench send`.
 */
import { Limits } from "@parley/protocol/Limits"
import type { Fanout, Role } from "@parley/protocol/Event"
import type { ChannelRow, Membership } from "@parley/storage/Directory"
import type { WireText } from "@parley/protocol/WireText"
import type { StoredMessage } from "@parley/storage/MessageStore"
import type { Entry } from "../log/Entry.ts"
import { channelTypeOf, type ChannelType } from "./ChannelType.ts"
import { membersOf, settingsOf } from "./EventBody.ts"
import { IdempotencyWindow } from "./IdempotencyWindow.ts"
import { Members, type MembersLimits, type Stay, visibleRanges } from "./Members.ts"
import { type ChannelSettings, type ChannelSnapshot, decodeSnapshot, encodeSnapshot } from "./Snapshot.ts"
import {
  type MessageChange,
  type MessageRange,
  storedForm,
  storedTailEvent,
  Tail,
  tailEventOf,
  type Unread
} from "./Tail.ts"

export interface ChannelLimits extends MembersLimits {
  /** Events and bytes of the tail where the store has them too. */
  readonly tailEventsMax: number
  readonly tailBytesMax: number
  /** Bytes of events that the store may not have yet; beyond, mutations are refused with `log_full`. */
  readonly tailPinnedBytesMax: number
  readonly windowIdsMax: number
  /** What an encoded state keeps of tail and window, besides what the store may not have yet. */
  readonly warmTailEventsMax: number
  readonly warmTailBytesMax: number
  readonly warmWindowIdsMax: number
  /** Members above which the channel switches to read fan-out, and how far below it switches back. */
  readonly fanoutThreshold: number
  readonly fanoutHysteresis: number
  readonly typingTtlMs: number
  /** A repeated sign is shown again no sooner than this. */
  readonly typingIntervalMs: number
  readonly typistsMax: number
}

export const channelLimitsDefault: ChannelLimits = {
  tailEventsMax: Limits.syncGapMax,
  tailBytesMax: 1_048_576,
  tailPinnedBytesMax: 67_108_864,
  windowIdsMax: 2_048,
  warmTailEventsMax: 64,
  warmTailBytesMax: 16_384,
  warmWindowIdsMax: 64,
  fanoutThreshold: 200,
  fanoutHysteresis: 40,
  typingTtlMs: Limits.typingTtlMs,
  typingIntervalMs: Limits.typingIntervalMs,
  typistsMax: 64,
  membersResidentMax: 2_000,
  recordsMax: 512,
  staysPerUserMax: 16,
  seniorsMax: 32
}

interface Pending {
  readonly entry: Entry
  /** Settings after it. */
  readonly settings: ChannelSettings
  readonly undo: () => void
}

const noSettings: ChannelSettings = { exists: false, name: "", topic: "", fanout: "write", createdAt: 0, members: 0 }

/** Rough size of an entity without tail, window and members, and of one of their records, in bytes. */
const stateBytes = 2_048
const rememberedBytes = 256
const memberBytes = 192

export class ChannelState {
  readonly channel: string
  readonly limits: ChannelLimits
  readonly type: ChannelType
  generation = 1
  /** The last seq given out, and the messages up to it: speculative. */
  seq = 0
  n = 0
  committedSeq = 0
  committedN = 0
  /** Time and author of the last event given out: times never go back within a channel. */
  at = 0
  by = ""
  /** Settings with all that is pending: for decisions. */
  latest: ChannelSettings = noSettings
  members: Members
  window: IdempotencyWindow
  /** Committed events only. */
  tail: Tail
  pendingBytes = 0
  #committed: ChannelSettings = noSettings
  readonly #pending: Array<Pending> = []
  /** Who is typing: until when, and when that was shown. Never logged, not part of the encoded state. */
  readonly typing = new Map<string, { readonly until: number; readonly shown: number }>()

  constructor(channel: string, limits: ChannelLimits) {
    this.channel = channel
    this.limits = limits
    this.type = channelTypeOf(channel)
    this.members = new Members(limits)
    this.window = new IdempotencyWindow(limits.windowIdsMax, 0)
    this.tail = new Tail(limits.tailEventsMax, limits.tailBytesMax, 0, 0)
  }

  static empty(channel: string, limits: ChannelLimits): ChannelState {
    return new ChannelState(channel, limits)
  }

  // --- as of the committed seq: what readers may see ------------------------------------------------------------

  get exists(): boolean {
    return this.#committed.exists
  }
  get name(): string {
    return this.#committed.name
  }
  get topic(): string {
    return this.#committed.topic
  }
  get fanout(): Fanout {
    return this.#committed.fanout
  }
  get createdAt(): number {
    return this.#committed.createdAt
  }
  get memberCount(): number {
    return this.#committed.members
  }
  /** T, for checkpoint and head (†29). */
  get idBound(): number {
    return this.window.bound
  }
  get floor(): number {
    return this.tail.floor
  }
  get tailFrom(): number {
    return this.tail.from
  }
  get committed(): number {
    return this.committedSeq
  }

  /** The newest message in its current form, also when the tail no longer has it. */
  lastMessage(): WireText | undefined {
    return this.tail.last?.body
  }

  /** Whether the user is in at the committed head; undefined: ask the store, and `learn`. */
  isMember(user: string): boolean | undefined {
    if (this.members.since(user, this.committedSeq) !== undefined) return true
    return this.members.standing(user) === "unknown" ? undefined : false
  }

  /** The user's stay that lasts at the committed head, or his last one; null: none ever; undefined: ask the store, and `learn`. */
  stayOf(user: string): { readonly role: Role; readonly from: number; readonly to: number | null } | null | undefined {
    const since = this.members.since(user, this.committedSeq)
    if (since !== undefined) {
      return { role: this.members.standing(user) === "owner" ? "owner" : "member", from: since, to: null }
    }
    const stays = this.members.stays(user, this.committedSeq)
    const last = stays?.at(-1)
    return stays === undefined
      ? undefined
      : last === undefined
        ? null
        : { role: "member", from: last.from, to: last.to }
  }

  /**
   * What the user may read at the committed head, inclusive on both ends; empty: nothing (†15). Undefined: his stays are
   * not all here; ask the store, and `learn`.
   */
  visibleRange(user: string): ReadonlyArray<Stay> | undefined {
    const stays = this.members.stays(user, this.committedSeq)
    return stays === undefined ? undefined : visibleRanges(stays, this.committedSeq, this.type.rejoinOpens)
  }

  /**
   * The seq after which the user may read without a gap, up to the committed head: the last of his ranges. The head
   * itself (nothing) for one who is out or not known here.
   */
  readableAfter(user: string): number {
    const ranges = this.visibleRange(user)
    const from = ranges === undefined ? this.members.since(user, this.committedSeq) : ranges.at(-1)?.from
    return from === undefined ? this.committedSeq : from - 1
  }

  /** Members now, by id; undefined: they are not all here. */
  memberPage(afterUser: string, limit: number): ReadonlyArray<Membership> | undefined {
    return this.members
      .list(this.committedSeq)
      ?.filter((member) => member.user > afterUser)
      .sort((a, b) => (a.user < b.user ? -1 : 1))
      .slice(0, limit)
      .map((member) => ({ channel: this.channel, ...member, to: null, seq: member.from }))
  }

  /** Events held with `after < seq <= upTo`, at most `limit`, in current form; up to `tailFrom` they are the store's. */
  tailEvents(
    after: number,
    upTo: number,
    limit: number
  ): ReadonlyArray<{ readonly seq: number; readonly body: WireText }> {
    return this.tail.events(after, upTo, limit)
  }
  tailMessages(range: MessageRange): ReadonlyArray<StoredMessage> {
    return this.tail.messages(range)
  }
  changeOf(seq: number, floor: number): MessageChange | undefined {
    return this.tail.changeOf(seq, floor)
  }
  unreadInTail(after: number, user: string): Unread | undefined {
    return this.tail.unread(after, user)
  }
  unreadSplit(after: number, user: string): ReturnType<Tail["unreadSplit"]> {
    return this.tail.unreadSplit(after, user)
  }

  inspectWindow(): { readonly ids: number; readonly idsMax: number; readonly bound: number } {
    return { ids: this.window.size, idsMax: this.window.idsMax, bound: this.window.bound }
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
   * store may be behind them, and where it is not they change nothing.
   */
  learn(user: string, rows: ReadonlyArray<Membership>): void {
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
  }

  push(entry: Entry): () => void {
    if (entry.seq !== this.seq + 1) throw new Error(`channel is at ${this.seq}, got ${entry.seq} (ONE-ORDER)`)
    const { generation, n, at, by, latest } = this
    const undoMembers = this.#applyMembers(entry)
    this.generation = entry.generation
    this.seq = entry.seq
    this.n = entry.n
    this.at = Math.max(at, entry.at)
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
    this.#pending.push({ entry, settings: this.latest, undo })
    return () => this.#undo(entry.seq)
  }

  commitTo(seq: number): void {
    if (seq > this.seq) throw new Error(`channel is at ${this.seq}, got a commit of ${seq}`)
    let done = 0
    for (let next = this.#pending[0]; next !== undefined && next.entry.seq <= seq; next = this.#pending[done]) {
      const { entry, settings } = next
      this.committedSeq = entry.seq
      this.committedN = entry.n
      this.#committed = settings
      this.pendingBytes -= entry.body.length + entry.hidden.length
      this.tail.push(tailEventOf(entry))
      if (entry.kind !== "message") this.members.trim()
      done++
    }
    if (done > 0) this.#pending.splice(0, done)
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
        this.latest = { exists: true, name, topic, fanout, createdAt: entry.at, members: this.members.count }
        return undo
      }
      case "added": {
        const undo = this.members.add(membersOf(entry.body), entry.seq, undefined)
        this.latest = { ...this.latest, members: this.members.count }
        return undo
      }
      case "removed": {
        // as: hidden parts are made by ChannelDecide
        const { heir } = JSON.parse(entry.hidden === "" ? "{}" : entry.hidden) as { readonly heir?: string }
        const undo = this.members.remove(membersOf(entry.body), entry.seq, heir)
        this.latest = { ...this.latest, members: this.members.count }
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

  // --- at rest --------------------------------------------------------------------------------------------------

  /** Rough resident size. */
  get bytes(): number {
    return (
      stateBytes +
      this.tail.bytes +
      this.pendingBytes +
      this.window.size * rememberedBytes +
      this.members.recordCount * memberBytes
    )
  }

  /** The committed state, with as much of tail and window as the warm limits allow; what is pending is left out. */
  encode(): Uint8Array {
    const pending = this.pendingEntries()
    for (const entry of pending.toReversed()) this.#undo(entry.seq)
    const { warmTailEventsMax, warmTailBytesMax, warmWindowIdsMax } = this.limits
    const bytes = encodeSnapshot({
      channel: this.channel,
      generation: this.generation,
      seq: this.seq,
      n: this.n,
      at: this.at,
      by: this.by,
      floor: this.tail.floor,
      settings: this.latest,
      members: this.members.snapshot(),
      window: this.window.snapshot(warmWindowIdsMax, this.seq),
      tail: this.tail.snapshot(warmTailEventsMax, warmTailBytesMax),
      last: this.tail.last
    })
    for (const entry of pending) this.push(entry)
    return bytes
  }

  static decode(bytes: Uint8Array, limits: ChannelLimits): ChannelState {
    return ChannelState.#restore(decodeSnapshot(bytes), limits)
  }

  /**
   * A channel that is neither warm nor checkpointed, from the store: its row, its head, all stays (undefined: too many
   * to load) and its newest events. All of it is at or below the floor. No id that it ever took is more than the
   * permitted advance after its last event's time: that bounds the window which it no longer has (†29).
   */
  static fromStore(
    row: ChannelRow,
    head: { readonly generation: number; readonly seq: number; readonly n: number },
    members: ReadonlyArray<Membership> | undefined,
    events: ReadonlyArray<{ readonly seq: number; readonly body: WireText }>,
    limits: ChannelLimits
  ): ChannelState {
    const tail = endingAt(head.seq, events).map((event) => storedTailEvent(event.body))
    const newest = tail.at(-1)
    const message = tail.findLast((event) => event.kind === "message")
    const byUser = Map.groupBy(members ?? [], (stay) => stay.user)
    const present = [...byUser.values()].filter((stays) => stays.some((stay) => stay.to === null)).length
    const at = newest?.at ?? row.createdAt
    const settings = {
      exists: true,
      name: row.name,
      topic: row.topic,
      fanout: row.fanout,
      createdAt: row.createdAt,
      members: row.members
    }
    const state = ChannelState.#restore(
      {
        channel: row.channel,
        generation: head.generation,
        seq: head.seq,
        n: head.n,
        at,
        by: newest?.by ?? "",
        floor: head.seq,
        settings,
        members: {
          count: row.members,
          resident: members !== undefined && present === row.members,
          allRecorded: members !== undefined && present === row.members,
          owners: [],
          rows: []
        },
        window: { bound: Math.max(row.idBound, at + Limits.clientIdAheadMsMax), ids: [] },
        tail,
        last: message === undefined ? null : storedForm(message)
      },
      limits
    )
    for (const [user, stays] of byUser) {
      const current = stays.find((stay) => stay.to === null)
      state.members.learn(user, stays, current?.role === "owner")
    }
    state.members.trim()
    return state
  }

  static #restore(snapshot: ChannelSnapshot, limits: ChannelLimits): ChannelState {
    const state = new ChannelState(snapshot.channel, limits)
    state.generation = snapshot.generation
    state.seq = state.committedSeq = snapshot.seq
    state.n = state.committedN = snapshot.n
    state.at = snapshot.at
    state.by = snapshot.by
    state.latest = state.#committed = snapshot.settings
    state.members = Members.restore(limits, snapshot.members)
    state.window = IdempotencyWindow.restore(limits.windowIdsMax, snapshot.window, snapshot.floor)
    const tailLimits = { eventsMax: limits.tailEventsMax, bytesMax: limits.tailBytesMax }
    state.tail = Tail.restore(tailLimits, snapshot.seq, snapshot.floor, snapshot.tail, snapshot.last)
    return state
  }
}

/** The newest of the events that follow one another without a hole up to `seq`: a tail has no holes. */
const endingAt = <E extends { readonly seq: number }>(seq: number, events: ReadonlyArray<E>): ReadonlyArray<E> => {
  let first = events.length
  while (first > 0 && events[first - 1]?.seq === seq - (events.length - first)) first--
  return events.slice(first)
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
