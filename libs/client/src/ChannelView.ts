/**
 * A channel for the screen: a snapshot that stays the same object until something changes, somebody to tell when it
 * does, and what a person can do there. Local messages appear at once, with the state of their delivery.
 */
import { ChannelReplica } from "./ChannelReplica.ts"
import type { ChannelSnapshot } from "./ChannelSnapshot.ts"
import type { ClientSettings } from "./ClientSettings.ts"
import type { Environment } from "./Environment.ts"
import { Observers, type Unsubscribe } from "./Observers.ts"
import type { Outbox, Sent } from "./Outbox.ts"
import type { Mutation, MutationName, OutboxEntry, Settled } from "./OutboxEntry.ts"
import type {
  AnswerOf,
  OpFields,
  OpNames,
  PlainChannelSync,
  PlainEvent,
  PlainMessage,
  PlainPosition,
  PlainReadState,
  PlainReceipt,
  Result
} from "./PlainFrame.ts"
import { OlderMessages } from "./OlderMessages.ts"
import type { Reads } from "./Reads.ts"
import { OwnTyping, TypingUsers } from "./Typing.ts"
import { eventOfAck } from "./OwnAck.ts"
import { previewOf, shownMessages } from "./ShownMessages.ts"

export interface ViewHost {
  readonly environment: Environment
  readonly settings: ClientSettings
  readonly outbox: Outbox
  readonly reads: Reads
  /** The empty string before the first hello. */
  user(): string
  /** Never called back before it returns. */
  request<Name extends OpNames>(op: Name, fields: OpFields<Name>, done: (result: Result<AnswerOf<Name>>) => void): void
  /** What is missing at `position` of a channel, or of what `of` names, is given time to come by itself, then the client syncs. */
  suspect(of: string, position: number, missing: () => boolean): void
  resync(): void
  listChanged(): void
}

export class ChannelView {
  readonly channel: string
  readonly #host: ViewHost
  readonly #observers = new Observers()
  readonly #replica: ChannelReplica
  readonly #typing: TypingUsers
  readonly #ownTyping: OwnTyping
  #snapshot: ChannelSnapshot | undefined
  readonly #older: OlderMessages
  #watchers = 0
  #memberSince = Number.NEGATIVE_INFINITY

  constructor(channel: string, host: ViewHost) {
    this.channel = channel
    this.#host = host
    this.#replica = new ChannelReplica(host.settings, () => host.user())
    this.#older = new OlderMessages(channel, this.#replica, host, () => this.#observersOnly())
    this.#typing = new TypingUsers(host.environment, () => this.#observersOnly())
    this.#ownTyping = new OwnTyping(host.environment, (on) => host.request("typing", { channel, on }, () => {}))
  }

  get replica(): ChannelReplica {
    return this.#replica
  }

  /** Monotonic time at which this device heard of the membership. */
  get memberSince(): number {
    return this.#memberSince
  }

  get watched(): boolean {
    return this.#watchers > 0
  }

  subscribe(observer: () => void): Unsubscribe {
    return this.#observers.add(observer)
  }

  snapshot(): ChannelSnapshot {
    this.#snapshot ??= this.#make()
    return this.#snapshot
  }

  // --- what a person does ------------------------------------------------------------------------------------

  send(text: string, options: { readonly mentions?: ReadonlyArray<string> } = {}): Sent {
    this.#ownTyping.sent()
    const { mentions } = options
    return this.#mutate({ op: "send", fields: { text, ...(mentions?.length ? { mentions: [...mentions] } : {}) } })
  }

  edit(target: number, text: string, options: { readonly mentions?: ReadonlyArray<string> } = {}): Sent {
    const { mentions } = options
    return this.#mutate({
      op: "edit",
      fields: { target, text, ...(mentions?.length ? { mentions: [...mentions] } : {}) }
    })
  }

  delete(target: number): Sent {
    return this.#mutate({ op: "delete", fields: { target } })
  }

  /** Sends a failed message again. */
  retry(cid: string): void {
    this.#host.outbox.retry(cid)
  }

  /** Forgets a failed or unsent message; false: it may be in already. */
  discard(cid: string): boolean {
    return this.#host.outbox.discard(cid)
  }

  update(values: { readonly name?: string; readonly topic?: string }): Sent {
    return this.#mutate({ op: "update", fields: values })
  }

  /** Shown up to `seq` (default: everything that is here). The badge goes at once, the server hears of it soon. */
  read(seq: number = this.#replica.position?.seq ?? 0): void {
    if (this.#replica.status !== "member") return
    if (!this.#replica.unread.readTo(seq, this.#replica.countHeld)) return
    this.#host.reads.read(this.channel, seq)
    this.changed()
  }

  /** The cursor goes to `seq`, also backwards: what is after it is unread on all devices. */
  markUnread(seq: number): Sent {
    this.#host.reads.forget(this.channel)
    this.#replica.unread.marking()
    return this.#mutate({ op: "mark_unread", fields: { seq } })
  }

  /** A key was pressed in the channel's input. */
  typing(): void {
    this.#ownTyping.pressed()
  }

  /** The input was emptied. */
  stopTyping(): void {
    this.#ownTyping.stopped()
  }

  /** Live events and typing also where the channel has too many members to send them to everybody. Counted. */
  watch(): void {
    this.#watchers += 1
    if (this.#watchers === 1) this.sendWatch()
  }

  unwatch(): void {
    if (this.#watchers === 0) return
    this.#watchers -= 1
    if (this.#watchers > 0) return
    this.#host.request("unwatch", { channel: this.channel }, () => {})
    this.release()
  }

  /** Fetches a page of older messages in front. Resolves to whether there are more; rejects with RequestFailed. */
  loadOlder(): Promise<boolean> {
    return this.#older.load()
  }

  /** Scrolled back to the end: older messages need not be held any longer. */
  release(): void {
    this.#older.scrolled = false
    this.#trim()
    this.#observersOnly()
  }

  // --- what the connection brings ----------------------------------------------------------------------------

  /** A page of a sync that was asked for at `askedAt`; undefined: a push. */
  sync(sync: PlainChannelSync, askedAt?: number): void {
    const { replica } = this
    const window = replica.window
    const before = replica.status
    this.#applied(replica.sync(sync, askedAt !== undefined && this.#memberSince < askedAt))
    // Nothing else fills a hole that a push has left; one that a sync has left may be filled by what is on its way.
    if (replica.hole && askedAt === undefined) this.#host.resync()
    else if (replica.hole) this.#suspect(() => replica.hole)
    if (replica.window !== window) this.#older.more = replica.window.floor > 0
    if (before !== "member" && replica.status === "member") {
      this.#memberSince = this.#host.environment.monotonic()
      if (this.watched) this.sendWatch()
    }
    this.#offerCursor(sync.head.cursor)
    this.#askCounts()
    this.#tellDelivered(sync.head.last?.by === this.#host.user() ? 0 : (sync.head.last?.seq ?? 0))
    this.changed()
  }

  /** A live event, or a range without one. */
  pushed(from: number, to: number, event: PlainEvent | undefined): void {
    const removesMe = event?.kind === "removed" && event.members.includes(this.#host.user())
    // Whatever came before it, it is the end.
    if (removesMe && to > (this.#replica.position?.seq ?? -1)) return this.leave(to)
    if (this.#isOutside(event) && from > (this.#replica.position?.seq ?? 0)) return
    this.offer(from, to, event === undefined ? [] : [event])
  }

  /**
   * Under read fan-out only those that watch get messages; the others get what everybody has to know, and are not to
   * sync by the thousands for each. An event of another kind says that the fan-out is another by now.
   */
  #isOutside(event: PlainEvent | undefined): boolean {
    if (this.watched || this.#replica.settings.values.fanout === "write") return false
    return event === undefined || event.kind === "removed"
  }

  offer(from: number, to: number, events: ReadonlyArray<PlainEvent>): void {
    const applied = this.#replica.offer(from, to, events)
    this.#applied(applied)
    if (this.#replica.hole) this.#suspect(() => this.#replica.hole)
    if (applied.length > 0) this.changed()
  }

  /** False: the message's place is beyond a hole, and it is not in the list yet. */
  acknowledged(entry: OutboxEntry, answer: AnswerOf<MutationName>): boolean {
    if ("cursor" in answer) {
      this.readState(answer)
      this.#offerCursor()
      return true
    }
    const { seq } = answer
    const event = eventOfAck(entry, answer, this.#host.user())
    if (event !== undefined) {
      this.offer(seq - 1, seq, [event])
      return event.kind !== "message" || !this.#replica.hole || (this.#replica.position?.seq ?? 0) >= seq
    }
    if (entry.mutation.op === "leave") {
      // Asked again after its first ack was lost, it is answered as then: he may be in again by now.
      this.removed(seq)
      return true
    }
    // Joined or created: the channel itself comes by a push of its own.
    this.#replica.heardOf(seq)
    if (this.#replica.hole) this.#host.resync()
    else this.expect()
    return true
  }

  /** The user is in this channel, somebody said: its head is to come. */
  expect(): void {
    if (this.#replica.status !== "member") this.#suspect(() => this.#replica.status !== "member")
  }

  #suspect(missing: () => boolean): void {
    this.#host.suspect(this.channel, this.#replica.position?.seq ?? -1, missing)
  }

  readState(state: PlainReadState): void {
    if (!this.#replica.readState(state)) return
    this.#askCounts()
    this.changed()
  }

  /** The session says that the cursor was set back; the counts follow. */
  cursorMoved(generation: number, seq: number): void {
    const { unread } = this.#replica
    if (!unread.moveTo({ generation, seq }, this.#replica.countHeld)) return
    // A push with the counts comes next, unless it is lost: then a sync brings them.
    if (unread.stale) this.#host.suspect(`unread ${this.channel}`, seq, () => this.#replica.unread.stale)
    this.#host.reads.forget(this.channel)
    this.#offerCursor()
    this.changed()
  }

  mentioned(seq: number): void {
    // Up to the position the messages themselves say so; beyond it are those that are not sent to this device.
    const position = this.#replica.position
    if (position === undefined || seq <= position.seq) return
    this.#replica.unread.mention(seq)
    this.changed()
  }

  typingSign(user: string, on: boolean, ttlMs: number): void {
    if (user !== this.#host.user() && this.#replica.status === "member") this.#typing.sign(user, on, ttlMs)
  }

  receipt(receipt: PlainReceipt): void {
    if (this.#replica.receipt(receipt)) this.#observersOnly()
  }

  leave(seq?: number): void {
    const before = this.#replica.status
    this.#replica.leave(seq)
    if (before === "left") return
    this.#left()
    this.changed()
  }

  /** His membership ended at `seq`; he may be a member again by now, from later on. */
  removed(seq: number): void {
    // Nothing is told of what lies above a removal: whoever heard of it heard of another stay.
    if (this.#replica.position === undefined || seq === 0 || this.#replica.known <= seq) return this.leave(seq)
    this.#cut(seq)
  }

  /** A sync that was asked for at `askedAt` says so; a push `channel` may have brought him back before its answer came. */
  lost(seq: number, askedAt: number): void {
    if (this.#replica.position !== undefined && this.#memberSince >= askedAt) this.#cut(seq)
    else this.removed(seq)
  }

  /** Messages are fetched anew on demand; position and counts stay. */
  empty(): void {
    if (this.#replica.position !== undefined) this.#cut(this.#replica.position.seq)
  }

  #cut(seq: number): void {
    this.#replica.window.cut(Math.min(seq, this.#replica.position?.seq ?? 0))
    this.#older.more = true
    this.changed()
  }

  disconnected(): void {
    this.#replica.disconnected()
    this.#typing.clear()
  }

  sendWatch(): void {
    this.#host.request("watch", { channel: this.channel }, (result) => {
      if (result._tag !== "Ok") return
      const { head } = result.value
      if (this.#replica.position?.generation !== head.generation) return this.#host.resync()
      this.#replica.head(head)
      this.#replica.heardOf(head.seq)
      if (this.#replica.hole) this.#host.resync()
      this.changed()
    })
  }

  /** Something of this channel is different, here or in the outbox. */
  changed(): void {
    this.#observersOnly()
    this.#host.listChanged()
  }

  #observersOnly(): void {
    this.#snapshot = undefined
    this.#observers.changed()
  }

  #mutate(mutation: Mutation): Sent {
    return this.#host.outbox.add(this.channel, mutation)
  }

  #applied(events: ReadonlyArray<PlainEvent>): void {
    const me = this.#host.user()
    let newest = 0
    for (const event of events) {
      if (event.by === me && "cid" in event) this.#host.outbox.settle(event.cid, settledBy(this.channel, event))
      if (event.kind !== "message") continue
      this.#typing.ended(event.by)
      if (event.by !== me) newest = event.seq
    }
    if (events.length > 0 && this.#replica.status === "left") this.#left()
    else this.#tellDelivered(newest)
    this.#host.outbox.reached(this.channel, this.#replica.position?.seq ?? 0)
    this.#askCounts()
    this.#trim()
  }

  /** Only where somebody sees it, and nothing that the server knows already. */
  #tellDelivered(seq: number): void {
    const { receipts, status, unread } = this.#replica
    if (status !== "member" || !receipts.shown || seq <= Math.max(receipts.ownDelivered, unread.cursor.seq)) return
    this.#host.reads.delivered(this.channel, seq)
  }

  #left(): void {
    this.#host.outbox.reached(this.channel, Number.MAX_SAFE_INTEGER)
    this.#typing.clear()
    this.#ownTyping.sent()
    this.#host.reads.forget(this.channel)
    this.#older.more = true
    this.#older.scrolled = false
  }

  /** What was read here and the server has not, or has no longer: it is told again (†5). */
  #offerCursor(theirs?: PlainPosition): void {
    const { status, unread } = this.#replica
    const lacked = unread.unconfirmed ?? (theirs && unread.lackedBy(theirs))
    if (lacked !== undefined && status === "member") this.#host.reads.offerAgain(this.channel, lacked)
  }

  #askCounts(): void {
    const { status, unread } = this.#replica
    if (unread.stale && status === "member") this.#host.reads.ask(this.channel)
  }

  #trim(): void {
    const { messagesHeldMax, messagesIdleMax, messagesScrolledMax } = this.#host.settings
    const looked = this.watched || this.#observers.count > 0
    const floor = this.#replica.window.floor
    this.#replica.window.trim(this.#older.scrolled ? messagesScrolledMax : looked ? messagesHeldMax : messagesIdleMax)
    if (this.#replica.window.floor !== floor) this.#older.more = true
  }

  #make(): ChannelSnapshot {
    const { status, window, settings, receipts, unread, position, known, last } = this.#replica
    const me = this.#host.user()
    const entries = this.#host.outbox.of(this.channel)
    return {
      channel: this.channel,
      status,
      ...settings.values,
      messages: shownMessages(window.messages, entries, me, receipts.counter(settings.values.members, me)),
      more: status === "member" && this.#older.more,
      loading: this.#older.loading,
      typing: this.#typing.users,
      receipts: receipts.list,
      unread: unread.unread,
      mentions: unread.mentions,
      cursor: unread.cursor.seq,
      position: position?.seq ?? 0,
      head: known,
      last: previewOf(last)
    }
  }
}

const settledBy = (channel: string, event: PlainEvent | PlainMessage): Settled => ({
  channel,
  seq: event.seq,
  at: event.at
})
