/**
 * A channel's state as its readers see it: everything stops at the committed seq, whatever is under way above it
 * (DURABLE-BEFORE-ACK). How it changes is ChannelApply's business.
 */
import type { Fanout, Role } from "@parley/protocol/Event"
import type { WireText } from "@parley/protocol/WireText"
import type { Membership } from "@parley/storage/Directory"
import type { StoredMessage } from "@parley/storage/MessageStore"
import type { ChannelLimits } from "./ChannelLimits.ts"
import { channelTypeOf, type ChannelType } from "./ChannelType.ts"
import { IdempotencyWindow } from "./IdempotencyWindow.ts"
import { Members, type Stay, visibleRanges } from "./Members.ts"
import type { Receipts } from "./Receipts.ts"
import type { ChannelSettings } from "./Snapshot.ts"
import type { SyncCard } from "./SyncCard.ts"
import {
  endingAt,
  type MessageChange,
  type MessageRange,
  type StoredEvents,
  storedTailEvent,
  Tail,
  type TailEvent,
  type Unread
} from "./Tail.ts"

const noSettings: ChannelSettings = {
  exists: false,
  name: "",
  topic: "",
  fanout: "write",
  createdAt: 0,
  members: 0,
  owners: []
}

/** Rough size of an entity without tail, window and members, and of one of their records, in bytes. */
const stateBytes = 1_200
const rememberedBytes = 256
const memberBytes = 80

export abstract class CommittedChannel {
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
  /** Settings as of the committed seq. */
  settled: ChannelSettings = noSettings
  /** What members have got and read: not part of the encoded state either; see ChannelReceipts. */
  receipts: Receipts | undefined = undefined
  /** What syncs say of some committed head; see SyncCard. */
  card: SyncCard | undefined = undefined
  /** Who waits for the tail to be filled up; undefined: nobody asks the store for it (TailFill). */
  filling: Array<() => void> | undefined = undefined
  /** Who is typing: until when, and when that was shown. Never logged, not part of the encoded state. */
  typing: Map<string, { readonly until: number; readonly shown: number }> | undefined = undefined

  /** The parts of one that was: a new one begins with none. */
  constructor(
    channel: string,
    limits: ChannelLimits,
    members = new Members(limits),
    window = new IdempotencyWindow(limits.windowIdsMax, 0, limits.windowYoungIdsMax),
    tail = new Tail(limits.tailEventsMax, limits.tailBytesMax, 0, 0)
  ) {
    this.channel = channel
    this.limits = limits
    this.type = channelTypeOf(channel)
    this.members = members
    this.window = window
    this.tail = tail
  }

  get exists(): boolean {
    return this.settled.exists
  }
  get name(): string {
    return this.settled.name
  }
  get topic(): string {
    return this.settled.topic
  }
  get fanout(): Fanout {
    return this.settled.fanout
  }
  get createdAt(): number {
    return this.settled.createdAt
  }
  get memberCount(): number {
    return this.settled.members
  }
  /** T, for checkpoint and head (†29). */
  get idBound(): number {
    return this.window.bound
  }
  get floor(): number {
    return this.tail.floor
  }
  /** Whether what precedes the tail was in the log alone when the channel was checkpointed (`Tail.isCut`). */
  get isCut(): boolean {
    return this.tail.isCut
  }
  get tailFrom(): number {
    return this.tail.from
  }
  get committed(): number {
    return this.committedSeq
  }

  /** It woke with its head only (WakeDepth), and no message has followed yet. */
  get lastUnknown(): boolean {
    return this.tail.last === null && this.committedN > 0
  }

  /** Takes the store's newest message at or below `tailFrom`, where nobody has told it yet. */
  learnLast(row: StoredMessage | undefined): void {
    if (row === undefined || !this.lastUnknown) return
    this.tail.learnLast(row)
    this.card = undefined
  }

  /** The newest message in its current form, also when the tail no longer has it. */
  lastMessage(): WireText | undefined {
    return this.tail.last?.body
  }

  /** Puts what the store has before the tail in front of it: ascending, in the store's current form. */
  fillTail(events: StoredEvents): void {
    this.tail.prepend(endingAt(this.tail.from, events).map(({ body }) => storedTailEvent(body)))
    // What it says of its head stays right; what it counted before could not look this far.
    this.card = undefined
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
      return { role: this.roleOf(user), from: since, to: null }
    }
    const stays = this.members.stays(user, this.committedSeq)
    const last = stays?.at(-1)
    return stays === undefined
      ? undefined
      : last === undefined
        ? null
        : { role: "member", from: last.from, to: last.to }
  }

  /** Of one who is in. */
  roleOf(user: string): Role {
    return this.settled.owners.includes(user) ? "owner" : "member"
  }

  /**
   * What the user may read at the committed head, inclusive on both ends; empty: nothing (†15). Undefined: his stays are
   * not all here; ask the store, and `learn`.
   */
  visibleRange(user: string): ReadonlyArray<Stay> | undefined {
    if (this.isMember(user) === false) return []
    const stays = this.members.stays(user, this.committedSeq)
    return stays === undefined ? undefined : visibleRanges(stays, this.committedSeq, this.type.rejoinOpens)
  }

  /**
   * The seq after which the user may read without a gap, up to the committed head: the last of his ranges. The head
   * itself (nothing) for one who is out or not known here.
   */
  readableAfter(user: string): number {
    // Most users came once and stayed: that is told without lists of stays.
    const only = this.members.onlyStay(user, this.committedSeq)
    if (only !== undefined) return only - 1
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
      .map(({ from, user }) => ({ channel: this.channel, user, role: this.roleOf(user), from, to: null, seq: from }))
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
  changedAbove(floor: number): ReadonlySet<number> {
    return this.tail.changedAbove(floor)
  }
  changesAbove(floor: number): ReadonlyArray<TailEvent> {
    return this.tail.changesAbove(floor)
  }
  unreadInTail(after: number, user: string): Unread | undefined {
    return this.tail.unread(after, user)
  }
  unreadSplit(after: number, user: string): ReturnType<Tail["unreadSplit"]> {
    return this.tail.unreadSplit(after, user)
  }
  changedSince(head: number, after: number, upTo: number): boolean {
    return this.tail.changedSince(head, after, upTo)
  }

  inspectWindow(): { readonly ids: number; readonly idsMax: number; readonly bound: number } {
    return { ids: this.window.size, idsMax: this.window.idsMax, bound: this.window.bound }
  }

  /** Rough resident size. */
  get bytes(): number {
    return (
      stateBytes +
      this.tail.bytes +
      this.pendingBytes +
      (this.card?.bytes ?? 0) +
      this.window.size * rememberedBytes +
      this.members.recordCount * memberBytes
    )
  }
}
