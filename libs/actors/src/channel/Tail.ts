/**
 * The recent committed events of a channel in their current form, served to syncs and pages without the store. A
 * delete takes the text out of the message and of its edits here (†16), an edit replaces the message's. It is bounded
 * in events and bytes, but nothing above the floor (what the store surely has) is dropped: those bytes are `pinnedBytes`
 * and have a bound of their own, at which the channel takes no more mutations.
 */
import type { StoredMessage } from "@parley/storage/MessageStore"
import type { WireText } from "@parley/protocol/WireText"
import { changedMessage, editBody, messageFieldsOf, parseBody, textOf } from "./EventBody.ts"

/** One event; `body` is its current form. An entry of the log is one, and is held as it is: a copy each would be garbage. */
export interface TailEvent {
  readonly seq: number
  readonly kind: string
  readonly at: number
  readonly by: string
  readonly cid: string
  readonly bodyHash: string
  readonly n: number
  readonly target: number
  readonly hidden: string
  readonly body: WireText
  /** Seq of the delete of this message; 0 or not there: none. */
  readonly deleted?: number
}

/** `(after, upTo]`. */
export interface SeqRange {
  readonly after: number
  readonly upTo: number
}

export interface Unread {
  readonly unread: number
  readonly mentions: number
}

/** A message's text replaced by the edit at `edited`, or taken away by the delete at `deleted`. */
export interface MessageChange {
  readonly text: string
  readonly mentions: ReadonlyArray<string>
  readonly edited?: number
  readonly deleted?: number
}

export interface MessageRange {
  readonly after: number
  readonly before: number
  readonly limit: number
  readonly newest: boolean
}

/** What an event costs besides its body, in bytes: the object, its strings and its place in the array. */
const eventBytes = 200

const costOf = (event: { readonly body: WireText; readonly hidden: string }): number =>
  eventBytes + event.body.length + event.hidden.length

export const isDeleted = (event: TailEvent): boolean => event.deleted !== undefined && event.deleted > 0

/** An event that the store has, in current form: what it no longer knows (hash, private part) nobody asks any more. */
export const storedTailEvent = (body: WireText): TailEvent => {
  const message = messageFieldsOf(body)
  if (message !== undefined) {
    const { at, by, cid, deleted, n, seq } = message
    return { seq, kind: "message", at, by, cid, bodyHash: "", n, target: 0, hidden: "", body, deleted }
  }
  const event = parseBody(body)
  return {
    seq: event.seq,
    kind: event.kind,
    at: event.at,
    by: event.by,
    cid: event.kind === "fanout" ? "" : event.cid,
    bodyHash: "",
    n: 0,
    target: event.kind === "edit" || event.kind === "delete" ? event.target : 0,
    hidden: "",
    body,
    deleted: 0
  }
}

/** Events of the store in current form, ascending. */
export type StoredEvents = ReadonlyArray<{ readonly seq: number; readonly body: WireText }>

/** The newest of the events that follow one another without a hole up to `seq`: a tail has no holes. */
export const endingAt = (seq: number, events: StoredEvents): StoredEvents => {
  const upTo = events.filter((event) => event.seq <= seq)
  let first = upTo.length
  while (first > 0 && upTo[first - 1]?.seq === seq - (upTo.length - first)) first--
  return upTo.slice(first)
}

/** The author of what a delete or edit changed: named in the private part where it was somebody else's. */
export const changedAuthor = (event: { readonly by: string; readonly hidden: string }): string => {
  // as: hidden parts are made by ChannelDecide
  const hidden = event.hidden === "" ? {} : (JSON.parse(event.hidden) as { readonly author?: string })
  return hidden.author ?? event.by
}

/** The store surely has what precedes the tail. */
const nowhere = -1

/** Of nearly all tails at first; never changed. */
const noEvents: Array<TailEvent> = []
/** In the place of one that is held no more. */
const given: TailEvent = {
  seq: 0,
  kind: "",
  at: 0,
  by: "",
  cid: "",
  bodyHash: "",
  n: 0,
  target: 0,
  hidden: "",
  body: ""
}
const noChanges: Array<number> = []

export class Tail {
  readonly eventsMax: number
  readonly bytesMax: number
  /** The seq before the first event held. */
  from: number
  floor: number
  bytes = 0
  pinnedBytes = 0
  /** Of a tail that was restored without events above the floor (`newest`): that floor, until it has passed them. */
  #cutAt = nowhere
  /** The newest message in its current form, also when it is older than the tail. */
  last: StoredMessage | null = null
  // Dense: events[start + i] has the seq from + 1 + i.
  #events = noEvents
  #start = 0
  /** Seqs of the edits and deletes held, ascending: few among many, and looked for by every page and count. */
  #changes = noChanges

  constructor(eventsMax: number, bytesMax: number, from: number, floor: number) {
    this.eventsMax = eventsMax
    this.bytesMax = bytesMax
    this.from = from
    this.floor = floor
  }

  get length(): number {
    return this.#events.length - this.#start
  }

  /** The last seq held (`from` when empty). */
  get to(): number {
    return this.from + this.length
  }

  /**
   * Whether the log had events between the floor and this tail when it was cut for a checkpoint. The store has them once
   * it has come past that checkpoint (`ShardOwner.storeReady`), but for what it has parked.
   */
  get isCut(): boolean {
    return this.#cutAt !== nowhere
  }

  /** What the store has for certain, whatever it has come past since. */
  get floorForCertain(): number {
    return this.isCut ? this.#cutAt : this.floor
  }

  get(seq: number): TailEvent | undefined {
    return seq <= this.from ? undefined : this.#events[this.#start + seq - this.from - 1]
  }

  /** Events after `after`, oldest first. */
  *after(after: number): Generator<TailEvent> {
    for (let at = this.#start + Math.max(0, after - this.from); at < this.#events.length; at++) {
      const event = this.#events[at]
      if (event !== undefined) yield event
    }
  }

  /** Takes the next committed event, and what it does to those before it. */
  push(event: TailEvent): void {
    if (event.seq !== this.to + 1) throw new Error(`tail ends at ${this.to}, got ${event.seq} (ONE-ORDER)`)
    // An array that grows from nothing has room for seventeen; most channels rest with one.
    if (this.#events.length === 0) this.#events = [event]
    else this.#events.push(event)
    const cost = costOf(event)
    this.bytes += cost
    if (event.seq > this.floor) this.pinnedBytes += cost
    if (event.kind === "message")
      this.last = { seq: event.seq, n: event.n, by: event.by, deleted: false, body: event.body }
    else if (isChange(event)) {
      this.#noteChange(event.seq)
      this.#change(event)
    }
    this.#trim()
  }

  /** The newest message before the tail, as the store had it at some moment: what the tail changes of it is applied. */
  learnLast(row: StoredMessage): void {
    this.last = row
    for (const event of this.after(this.from)) {
      if (isChange(event) && event.target === row.seq) this.last = changedRow(this.last, event)
    }
  }

  /**
   * Puts the events that end where the tail begins in front of it, as the store had them at some moment: what the tail
   * itself changes of them is applied, again where the store knew it (the last edit wins, a delete stays).
   */
  prepend(events: ReadonlyArray<TailEvent>): void {
    const last = events.at(-1)
    if (last === undefined) return
    if (last.seq !== this.from) throw new Error(`tail begins after ${this.from}, got ${last.seq} (ONE-ORDER)`)
    const changes = this.#changesAfter(this.from)
    const { from } = this
    this.#events = [...events, ...this.#events.slice(this.#start)]
    this.#start = 0
    this.from -= events.length
    this.#changes = [...events.filter(isChange).map(({ seq }) => seq), ...changes.map(({ seq }) => seq)]
    for (const event of events) this.bytes += costOf(event)
    for (const change of changes) if (change.target <= from) this.#change(change)
    this.#trim()
  }

  /**
   * Puts back what was cut: all that the store does not have up to here, oldest first and as it was written. Nothing: it has
   * it all. False: what is given is not all of it.
   */
  uncut(written: ReadonlyArray<TailEvent>): boolean {
    const first = written[0]
    if (first === undefined) {
      this.#cutAt = nowhere
      return true
    }
    if (written.at(-1)?.seq !== this.from || written.length !== this.from - first.seq + 1) return false
    const older = new Tail(Infinity, Infinity, first.seq - 1, first.seq - 1)
    for (const event of written) older.push(event)
    this.floor = first.seq - 1
    this.#cutAt = nowhere
    this.prepend([...older.after(this.floor)])
    this.pinnedBytes = this.bytes
    return true
  }

  setFloor(floor: number): void {
    const next = Math.min(floor, this.to)
    if (next <= this.floor) return
    for (let seq = Math.max(this.floor, this.from) + 1; seq <= next; seq++) {
      const event = this.get(seq)
      if (event !== undefined) this.pinnedBytes -= costOf(event)
    }
    this.floor = next
    this.#cutAt = nowhere
    this.#trim()
  }

  /** Committed events with `after < seq <= upTo`, ascending, at most `limit`; only what is held. */
  events(after: number, upTo: number, limit: number): Array<{ readonly seq: number; readonly body: WireText }> {
    const found: Array<{ readonly seq: number; readonly body: WireText }> = []
    for (let seq = Math.max(after, this.from) + 1; seq <= Math.min(upTo, this.to) && found.length < limit; seq++) {
      const event = this.get(seq)
      if (event !== undefined) found.push({ seq, body: event.body })
    }
    return found
  }

  /** Messages held with `after < seq < before`, ascending: the newest `limit` of them, or the oldest. */
  messages(range: MessageRange): Array<StoredMessage> {
    const first = Math.max(range.after, this.from) + 1
    const last = Math.min(range.before - 1, this.to)
    const found: Array<StoredMessage> = []
    for (let step = 0; step <= last - first && found.length < range.limit; step++) {
      const event = this.get(range.newest ? last - step : first + step)
      if (event?.kind === "message") found.push(storedForm(event))
    }
    return range.newest ? found.reverse() : found
  }

  /** What the events above `floor` make of the message `seq`, which may be older than the tail. */
  changeOf(seq: number, floor: number): MessageChange | undefined {
    let change: MessageChange | undefined
    for (const event of this.#changesAfter(Math.max(floor, seq))) {
      if (event.target !== seq) continue
      if (event.kind === "delete") return { text: "", mentions: [], deleted: event.seq }
      if (event.kind === "edit") change = { ...textOf(event.body), edited: event.seq }
    }
    return change
  }

  /** The messages that events above `floor` change. */
  changedAbove(floor: number): ReadonlySet<number> {
    return new Set(this.#changesAfter(floor).map((event) => event.target))
  }

  /** Edits and deletes held above `floor`, oldest first. */
  changesAbove(floor: number): ReadonlyArray<TailEvent> {
    return this.#changesAfter(floor)
  }

  /**
   * Undeleted messages after `after` that are not by `user`, and those of them that name him; undefined when the tail
   * starts above `after`.
   */
  unread(after: number, user: string): Unread | undefined {
    if (after < this.from) return undefined
    let unread = 0
    let mentions = 0
    for (let seq = after + 1; seq <= this.to; seq++) {
      const event = this.get(seq)
      if (event?.kind !== "message" || isDeleted(event) || event.by === user) continue
      unread++
      if (names(event.body, user)) mentions++
    }
    return { unread, mentions }
  }

  /**
   * Unread where the tail starts above `after`: the store counts the messages of `stored` and the mentions of `naming`,
   * ranges within `(after, storeUpTo]`, and `inTail` adds the rest. A message that a delete above the floor took away is in
   * none of them, and whether one names him that such a delete or edit has the last word on is said here: whether the
   * store's counts have that event is not known until the floor passes it, and with a store that can't be written that is
   * not soon.
   */
  unreadSplit(
    after: number,
    user: string
  ): {
    readonly storeUpTo: number
    readonly stored: ReadonlyArray<SeqRange>
    readonly naming: ReadonlyArray<SeqRange>
    readonly inTail: Unread
  } {
    const storeUpTo = Math.max(after, this.from)
    const gone: Array<number> = []
    const named = new Map<number, boolean>()
    for (const event of this.#changesAfter(this.floor)) {
      const { kind, target } = event
      // His own messages are not counted, whatever was done to them.
      if (target <= after || target > this.from || changedAuthor(event) === user) continue
      if (kind === "delete") gone.push(target)
      if (kind === "edit" && names(event.body, user)) named.set(target, true)
      else if (takesMention(event.hidden, user)) named.set(target, false)
    }
    const { mentions, unread } = this.unread(storeUpTo, user) ?? { unread: 0, mentions: 0 }
    const namedAgain = [...named.values()].filter((is) => is).length
    return {
      storeUpTo,
      stored: around(gone, after, storeUpTo),
      naming: around([...named.keys()], after, storeUpTo),
      inTail: { unread, mentions: mentions + namedAgain }
    }
  }

  /** Whether an event after `head` changed a message in `(after, upTo]`; also where that is no longer known. */
  changedSince(head: number, after: number, upTo: number): boolean {
    if (this.from > head) return true
    return this.#changesAfter(head).some(({ target }) => target > after && target <= upTo)
  }

  /** Edits and deletes held after `after`, oldest first. */
  #changesAfter(after: number): ReadonlyArray<TailEvent> {
    const found: Array<TailEvent> = []
    for (let at = this.#changes.length - 1; at >= 0; at--) {
      const seq = this.#changes[at]
      if (seq === undefined || seq <= after || seq <= this.from) break
      const event = this.get(seq)
      if (event !== undefined) found.push(event)
    }
    return found.reverse()
  }

  #noteChange(seq: number): void {
    if (this.#changes.length === 0) this.#changes = [seq]
    else this.#changes.push(seq)
  }

  #change(change: TailEvent): void {
    if (this.last?.seq === change.target) this.last = changedRow(this.last, change)
    const message = this.get(change.target)
    if (message?.kind === "message" && !isDeleted(message)) {
      const changed = changedRow(storedForm(message), change)
      this.#replace({ ...message, body: changed.body, deleted: changed.deleted ? change.seq : 0 })
    }
    if (change.kind !== "delete") return
    for (const event of this.#changesAfter(change.target)) {
      if (event.kind === "edit" && event.target === change.target) {
        this.#replace({ ...event, body: editBody(event, event.target, "", [], true) })
      }
    }
  }

  #replace(event: TailEvent): void {
    const at = this.#start + event.seq - this.from - 1
    const old = this.#events[at]
    if (old === undefined) return
    const more = costOf(event) - costOf(old)
    this.#events[at] = event
    this.bytes += more
    if (event.seq > this.floor) this.pinnedBytes += more
  }

  /** Gives up all but the newest so many events and bytes, and what the store may not have yet. */
  shrink(eventsMax: number, bytesMax: number): void {
    this.#trim(eventsMax, bytesMax)
  }

  #trim(eventsMax = this.eventsMax, bytesMax = this.bytesMax): void {
    while (this.from < this.floor && this.length > 0 && (this.length > eventsMax || this.bytes > bytesMax)) {
      const first = this.#events[this.#start]
      if (first !== undefined) this.bytes -= costOf(first)
      // Until the front is moved up nobody looks there, but it would be held.
      this.#events[this.#start] = given
      this.#start++
      this.from++
    }
    // Moves the array's front up when half of it is dead, so that dropping stays O(1) on average.
    if (this.#start > 64 && this.#start * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#start)
      this.#start = 0
      const { from } = this
      this.#changes = this.#changes.filter((seq) => seq > from)
    }
  }

  /** What a snapshot keeps with room for so many: the newest events, and all above the floor. */
  snapshot(eventsMax: number, bytesMax: number): ReadonlyArray<TailEvent> {
    const { floor, to } = this
    return this.#newest(({ seq }, bytes) => seq > floor || (to - seq < eventsMax && bytes <= bytesMax))
  }

  /** The newest events of at most so many bytes, also where the store lacks what precedes them. */
  newest(bytesMax: number): ReadonlyArray<TailEvent> {
    return this.#newest((_event, bytes) => bytes <= bytesMax)
  }

  /** As long as they are to be kept; `bytes`: with this one. */
  #newest(keeps: (event: TailEvent, bytes: number) => boolean): ReadonlyArray<TailEvent> {
    let first = this.to + 1
    let bytes = 0
    for (let event = this.get(first - 1); event !== undefined; event = this.get(first - 1)) {
      bytes += costOf(event)
      if (!keeps(event, bytes)) break
      first--
    }
    return [...this.after(first - 1)]
  }

  /**
   * A tail of these events; they are in current form already, so nothing is applied to them again. Where they begin above
   * the floor it is one that was cut, and whoever reads below it has to wait for the store.
   */
  static restore(
    limits: { readonly eventsMax: number; readonly bytesMax: number },
    to: number,
    floor: number,
    events: ReadonlyArray<TailEvent>,
    last: StoredMessage | null
  ): Tail {
    const from = to - events.length
    const tail = new Tail(limits.eventsMax, limits.bytesMax, from, Math.max(from, floor))
    if (from > floor) tail.#cutAt = floor
    if (events.length > 0) tail.#events = [...events]
    for (const event of events) {
      tail.bytes += costOf(event)
      if (event.seq > tail.floor) tail.pinnedBytes += costOf(event)
      if (isChange(event)) tail.#noteChange(event.seq)
    }
    tail.last = last
    return tail
  }
}

/** Events as a store had them, with what later edits and deletes, oldest first, make of them (†16); again is no other. */
export const inCurrentForm = (events: StoredEvents, changes: ReadonlyArray<TailEvent>): StoredEvents => {
  if (changes.length === 0) return events
  const byTarget = new Map<number, Array<TailEvent>>()
  for (const change of changes) {
    const others = byTarget.get(change.target)
    if (others === undefined) byTarget.set(change.target, [change])
    else others.push(change)
  }
  return events.map((event) => {
    const own = byTarget.get(event.seq)
    if (own !== undefined)
      return { seq: event.seq, body: own.reduce(changedRow, storedForm(storedTailEvent(event.body))).body }
    if (!event.body.includes('"kind":"edit"')) return event
    const edit = storedTailEvent(event.body)
    const isGone = byTarget.get(edit.target)?.some(({ kind }) => kind === "delete") ?? false
    return isGone ? { seq: event.seq, body: editBody(edit, edit.target, "", [], true) } : event
  })
}

const isChange = (event: TailEvent): boolean => event.kind === "edit" || event.kind === "delete"

export const storedForm = (event: TailEvent): StoredMessage => ({
  seq: event.seq,
  n: event.n,
  by: event.by,
  deleted: isDeleted(event),
  body: event.body
})

/** A message's row after an edit or delete; one that is deleted stays so, one edited later keeps the later text. */
export const changedRow = (row: StoredMessage, change: TailEvent): StoredMessage => {
  if (row.deleted) return row
  if (change.kind === "delete") {
    const body = changedMessage(row.body, { text: "", mentions: [], edited: 0, deleted: change.seq })
    return { ...row, deleted: true, body }
  }
  const { text, mentions } = textOf(change.body)
  return { ...row, body: changedMessage(row.body, { text, mentions, edited: change.seq, deleted: 0 }) }
}

/** `(after, upTo]` without the seqs of `holes`, which lie within it. */
const around = (holes: ReadonlyArray<number>, after: number, upTo: number): ReadonlyArray<SeqRange> => {
  const ranges: Array<SeqRange> = []
  let begin = after
  for (const hole of holes.toSorted((a, b) => a - b)) {
    if (hole - 1 > begin) ranges.push({ after: begin, upTo: hole - 1 })
    begin = hole
  }
  if (upTo > begin) ranges.push({ after: begin, upTo })
  return ranges
}

const mentionsStart = ',"mentions":["'

/** Whether a message names somebody directly. */
export const namesAnybody = (body: WireText): boolean => body.includes(mentionsStart)

/** Whether a message or edit names the user: text can't look like the field, its quotes are escaped. */
const names = (body: WireText, user: string): boolean => lists(body, mentionsStart, user)

/** Whether a delete or edit ended that its message names the user: in the private part, which has ids only. */
const takesMention = (hidden: string, user: string): boolean => lists(hidden, ',"unmentioned":["', user)

const lists = (json: string, listStart: string, user: string): boolean => {
  const start = json.indexOf(listStart)
  if (start < 0) return false
  const at = json.indexOf('"' + user + '"', start + listStart.length - 1)
  return at >= 0 && at < json.indexOf("]", start)
}
