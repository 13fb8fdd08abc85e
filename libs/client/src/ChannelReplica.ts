/**
 * One channel as this device holds it: state, no input or output. It takes syncs, live ranges and own acks in any order
 * and any number of times, and is at every moment what the server's list was at `position` (NO-GAP-SYNC), cut to a
 * window. Returns the events that it applied, in order, for those who care (outbox, typing, receipts).
 */
import { Coverage } from "./Coverage.ts"
import { ChannelSettings } from "./ChannelSettings.ts"
import type { ClientSettings } from "./ClientSettings.ts"
import { MessageWindow } from "./MessageWindow.ts"
import type {
  PlainChannelSync,
  PlainEvent,
  PlainHead,
  PlainMessage,
  PlainPosition,
  PlainReadState,
  PlainReceipt
} from "./PlainFrame.ts"
import { Receipts } from "./Receipts.ts"
import { type CountHeld, UnreadCount } from "./UnreadCount.ts"

export type ChannelStatus = "unknown" | "member" | "left"

/** Before the first position: every range lies beyond it and waits. */
const nowhere = -1

type ReplicaSettings = Pick<ClientSettings, "heldBackMax" | "orphansMax">

export class ChannelReplica {
  readonly #bounds: ReplicaSettings
  readonly #me: () => string
  readonly #coverage: Coverage<PlainEvent>
  #status: ChannelStatus = "unknown"
  #generation: number | undefined
  #window: MessageWindow
  #settings = new ChannelSettings()
  #unread = new UnreadCount()
  #receipts = new Receipts()
  #last: PlainMessage | null = null
  /** The seq of the removal, where it is known. */
  #leftAt: PlainPosition | undefined

  constructor(bounds: ReplicaSettings, me: () => string) {
    this.#bounds = bounds
    this.#me = me
    this.#coverage = new Coverage(nowhere, bounds.heldBackMax)
    this.#window = new MessageWindow(nowhere, bounds.orphansMax)
  }

  get status(): ChannelStatus {
    return this.#status
  }

  /** What a sync names; undefined: nothing is held. */
  get position(): PlainPosition | undefined {
    return this.#generation === undefined ? undefined : { generation: this.#generation, seq: this.#coverage.position }
  }

  /** The newest seq heard of, held or not. */
  get known(): number {
    return Math.max(this.#coverage.known, 0)
  }

  get hole(): boolean {
    return this.#status === "member" && this.#coverage.hole
  }

  get window(): MessageWindow {
    return this.#window
  }

  get settings(): ChannelSettings {
    return this.#settings
  }

  get unread(): UnreadCount {
    return this.#unread
  }

  get receipts(): Receipts {
    return this.#receipts
  }

  /** The newest message, in the form it has here. */
  get last(): PlainMessage | null {
    const newest = this.#window.messages.at(-1)
    if (newest === undefined) return this.#last
    return this.#last !== null && this.#last.seq > newest.seq ? this.#last : newest
  }

  /**
   * One channel of a sync's answer, or of a `channel` push. `named`: the answer is to the position that is held. Otherwise its
   * reload says nothing about what is held, only where the head is: what lies between is asked for, not given up.
   */
  sync(sync: PlainChannelSync, named = true): ReadonlyArray<PlainEvent> {
    const { head, from, to, reload } = sync
    const held = this.position
    if (held !== undefined && head.generation < held.generation) return []
    // Asked before the removal, answered after it.
    const left = this.#leftAt
    if (held === undefined && left?.generation === head.generation && head.seq <= left.seq) return []
    const anew = held === undefined || head.generation > held.generation
    if (!anew && reload && !named) {
      this.head(head)
      this.heardOf(to)
      return []
    }
    // Told to reload; or the answer begins above what is held, which is the same thing said badly.
    const restarts = anew || (reload ? to > held.seq : from > held.seq)
    if (held !== undefined && anew) this.#forgetSequence()
    if (anew) {
      this.#status = "member"
      this.#generation = head.generation
    }
    if (restarts) this.#restart(reload ? to : from)
    // Before what waited: that may lie above the head, and changes what the head says.
    this.head(head)
    const applied = restarts ? this.#applyAll(this.#coverage.resume()) : []
    if (reload || this.#status !== "member") return applied
    return [...applied, ...this.offer(from, to, sync.events)]
  }

  /** A head of the channel: what it says is as of its seq, which may be above or below the position. */
  head(head: PlainHead): void {
    if (this.#generation !== head.generation) return
    this.#settings.adopt(head)
    this.#receipts.adopt(head, this.#me())
    const isNow = head.seq >= this.#coverage.position
    if (head.last === null) {
      // What was the newest is of an earlier stay.
      if (isNow) this.#last = null
    } else if (head.last.seq >= (this.#last?.seq ?? -1) + (isNow ? 0 : 1)) this.#last = head.last
    this.readState({ cursor: head.cursor, unread: head.unread, mentions: head.mentions, head: head.seq })
  }

  /** Another member got or read more; false: nothing new. */
  receipt(receipt: PlainReceipt): boolean {
    return this.#status === "member" && this.#receipts.take(receipt, this.#me())
  }

  readState(state: PlainReadState): boolean {
    return this.#unread.adopt(state, this.countHeld)
  }

  /** `(from, to]` with its events: live, or out of a sync, or an own ack. */
  offer(from: number, to: number, events: ReadonlyArray<PlainEvent>): ReadonlyArray<PlainEvent> {
    return this.#applyAll(this.#coverage.offer(from, to, events))
  }

  /** Somebody spoke of `seq`: if it is not here yet, there is a hole. */
  heardOf(seq: number): void {
    if (seq > this.#coverage.position) this.#coverage.offer(seq, seq, [])
  }

  /** The connection went: the next sync begins at the position. */
  disconnected(): void {
    this.#coverage.forgetHeld()
  }

  /** The user is no member any more (since `seq`): nothing of the channel stays readable here (REVOKED-IS-OUT). */
  leave(seq?: number): void {
    const left = this.#leftAt
    if (this.#generation !== undefined && seq !== undefined) this.#leftAt = { generation: this.#generation, seq }
    // Out of a later stay, of which nothing had come yet.
    else if (left !== undefined && seq !== undefined && seq > left.seq) this.#leftAt = { ...left, seq }
    if (this.#status !== "left") this.#forget("left")
  }

  /** What is held may be wrong (another generation): the next sync takes it as new. */
  forget(): void {
    this.#forget("unknown")
  }

  readonly countHeld: CountHeld = (after) => {
    const head = this.#coverage.position
    if (after < this.#window.floor || after > head) return undefined
    const me = this.#me()
    // In current form, which may be that of a delete still to come.
    const unread = this.#window.messages.filter(
      ({ seq, by, deleted }) => seq > after && seq <= head && by !== me && (deleted ?? Infinity) > head
    )
    return { unread: unread.length, mentions: unread.filter(({ mentions }) => mentions?.includes(me)).length, head }
  }

  #forget(status: ChannelStatus): void {
    this.#status = status
    this.#generation = undefined
    this.#forgetSequence()
    this.#unread = new UnreadCount()
    this.#restart(nowhere)
  }

  /** What is as of some seq of a sequence that is over: seqs of the next one do not compare with it. */
  #forgetSequence(): void {
    this.#coverage.forgetHeld()
    this.#settings = new ChannelSettings()
    this.#unread.forgetHead()
    this.#last = null
  }

  /** What waits beyond `position` goes on waiting, for `resume`. */
  #restart(position: number): void {
    this.#receipts = new Receipts()
    this.#window = new MessageWindow(position, this.#bounds.orphansMax)
    this.#unread.restart(position)
    this.#coverage.restart(position)
  }

  #applyAll(events: ReadonlyArray<PlainEvent>): ReadonlyArray<PlainEvent> {
    const applied: Array<PlainEvent> = []
    for (const event of events) {
      this.#apply(event)
      applied.push(event)
      // What the same range holds above a removal is not for the one who was removed.
      if (event.kind === "removed" && event.members.includes(this.#me())) {
        this.leave(event.seq)
        break
      }
    }
    return applied
  }

  #apply(event: PlainEvent): void {
    const me = this.#me()
    if (event.kind === "message" && event.by !== me) {
      const { deleted, edited, mentions, seq } = event
      this.#unread.arrived(seq, mentions?.includes(me) ?? false, deleted !== undefined, edited)
    } else if (event.kind === "delete" || event.kind === "edit") this.#count(event, me)
    this.#window.apply(event)
    this.#settings.apply(event)
    this.#receipts.apply(event)
    this.#changeLast(event)
  }

  #count(event: Extract<PlainEvent, { kind: "edit" | "delete" }>, me: string): void {
    const { seq, target } = event
    const message = this.#window.find(target)
    const unread = message !== undefined && message.by !== me && (message.deleted ?? Infinity) >= seq
    const form = message?.edited === undefined ? {} : { edited: message.edited }
    const held = message && { unread, mention: unread && (message.mentions?.includes(me) ?? false), ...form }
    if (event.kind === "delete") this.#unread.deleted(seq, target, held)
    // Only its author edits a message; a blank edit is of one that was deleted.
    else if (event.by !== me && event.void !== true) {
      this.#unread.edited(seq, target, held, event.mentions?.includes(me) ?? false)
    }
  }

  /** The preview may be of a message that the window does not hold. */
  #changeLast(event: PlainEvent): void {
    const last = this.#last
    if (last === null || (event.kind !== "edit" && event.kind !== "delete") || event.target !== last.seq) return
    if (event.kind === "delete") this.#last = { ...last, text: "", deleted: event.seq }
    else if (last.deleted === undefined && event.void !== true && event.seq > (last.edited ?? 0)) {
      this.#last = { ...last, text: event.text, edited: event.seq }
    }
  }
}
