/**
 * One channel as a device holds it, by the rules of the protocol's document and nothing else: coverage, messages in
 * their current form, the head's values with what came after them, and unread as a subtraction. Pure state.
 */
import type { ChannelEvent, MessageEvent } from "@parley/protocol/Event"
import type { ChannelHead, ChannelSync, ReadState } from "@parley/protocol/Frame"
import type { Position } from "@parley/protocol/Ids"
import type { ChannelView, MessageView } from "../checker/FinalState.ts"

interface Message extends MessageView {
  readonly by: string
  readonly mentions: ReadonlyArray<string>
}

interface Range {
  readonly from: number
  readonly to: number
  readonly events: ReadonlyArray<ChannelEvent>
}

const messageOf = (event: MessageEvent): Message => ({
  seq: event.seq,
  text: event.text,
  edited: event.edited ?? null,
  deleted: event.deleted ?? null,
  by: event.by,
  mentions: event.mentions ?? []
})

const isLater = (a: Position, b: Position): boolean =>
  a.generation !== b.generation ? a.generation > b.generation : a.seq > b.seq

export class ChannelCopy {
  readonly #me: string
  generation = 0
  /** Everything up to here is held; -1: nothing yet, what comes waits for the sync. */
  position = -1
  fanout: "write" | "read" = "write"
  /** Ranges beyond a hole. */
  #waiting: Array<Range> = []
  #messages = new Map<number, Message>()
  /** `by` wrote what was deleted; null: it is not held, and may be from before the user's stay, or his own. */
  #deletes: Array<{ readonly seq: number; readonly target: number; readonly by: string | null }> = []
  /** Name, topic, members and `n` are as of this seq. */
  #asOf = -1
  #values = { n: 0, name: "", members: 0 }
  #base = { cursor: { generation: 0, seq: 0 }, unread: 0, mentions: 0, head: -1 }
  /** The server's cursor as it last said. */
  #theirs: Position = { generation: 0, seq: 0 }
  /** All events from here to the position are held: counts of a head below can't be brought up to it. */
  #from = 0
  #last: Message | null = null

  constructor(me: string) {
    this.#me = me
  }

  /**
   * One channel of a sync, or of a `channel` push. The head comes before the ranges: those that waited may lie above it,
   * and what they change is changed in its values. A reload that ends below what is held is older than that.
   */
  sync(sync: ChannelSync): void {
    const { events, from, head, reload, to } = sync
    const anew = this.position === -1 || head.generation !== this.generation
    if (anew || (reload && to > this.position)) {
      this.generation = head.generation
      this.#messages = new Map()
      this.#deletes = []
      this.#last = null
      this.#asOf = -1
      this.#base = { ...this.#base, head: -1 }
      this.position = this.#from = reload ? to : from
    }
    this.#adoptHead(head)
    this.offer(from, to, events)
  }

  /** `(from, to]` with all there is in it: pushed, of a sync, or of an own ack. */
  offer(from: number, to: number, events: ReadonlyArray<ChannelEvent>): void {
    this.#waiting.push({ from, to, events })
    this.#drain()
  }

  /** It has to come anew. The cursor stays: what brings it may have been written before the cursor moved. */
  forget(): void {
    this.position = -1
    this.#waiting = []
  }

  /** The connection went: the next sync begins at the position. */
  disconnected(): void {
    this.#waiting = []
  }

  /** Something lies beyond a hole. */
  get hole(): boolean {
    return this.#waiting.length > 0
  }

  /** What is held does not bring the counts up to the position: they have to be asked for. */
  get uncounted(): boolean {
    if (this.position < 0) return false
    const { head, unread } = this.#base
    return head < this.#from || (unread > 0 && this.#deletedSince().some(({ by }) => by === null))
  }

  /** For whoever looks into a failed run. */
  get state(): string {
    const beyond = this.#waiting.map(({ from, to }) => `(${from}, ${to}]`).join(" ")
    const { cursor, head, mentions, unread } = this.#base
    const counted = `${unread} unread, ${mentions} mentions after ${cursor.generation}/${cursor.seq} as of ${head}`
    const deleted = this.#deletedSince().map(({ seq, target }) => `${seq}→${target}`)
    return `${this.fanout} fan-out, held (${this.#from}, ${this.position}]${beyond === "" ? "" : ` and ${beyond}`}, told ${counted}, deleted since: ${deleted.join(" ")}, as of ${this.#asOf}`
  }

  get cursor(): Position {
    return this.#base.cursor
  }

  /** The own cursor where the server's is behind it in the same generation: it may have forgotten it. */
  get forgotten(): Position | undefined {
    const { cursor } = this.#base
    return this.#theirs.generation === cursor.generation && this.#theirs.seq < cursor.seq ? cursor : undefined
  }

  /** The server's word on what is read and unread, as of its head. */
  readState(state: ReadState): void {
    this.#theirs = state.cursor
    if (isLater(this.#base.cursor, state.cursor)) return
    if (!isLater(state.cursor, this.#base.cursor) && state.head < this.#base.head) return
    this.#base = { cursor: state.cursor, unread: state.unread, mentions: state.mentions, head: state.head }
  }

  messages(): ReadonlyArray<MessageView> {
    return [...this.#messages.values()].map(({ deleted, edited, seq, text }) => ({ seq, text, edited, deleted }))
  }

  /** Own messages with their text, for edits and deletes. */
  own(): ReadonlyArray<MessageView> {
    return [...this.#messages.values()].filter(
      ({ by, deleted, mentions }) => by === this.#me && deleted === null && mentions.length === 0
    )
  }

  view(): ChannelView {
    const newest = [...this.#messages.values()].at(-1) ?? null
    const last = newest !== null && newest.seq >= (this.#last?.seq ?? 0) ? newest : this.#last
    return {
      seq: this.position,
      ...this.#values,
      ...this.#unread(),
      cursor: this.#base.cursor,
      last: last === null ? null : { seq: last.seq, text: last.text, edited: last.edited, deleted: last.deleted }
    }
  }

  #unread(): { readonly unread: number; readonly mentions: number } {
    const { cursor, head } = this.#base
    const arrived = [...this.#messages.values()].filter(
      ({ by, deleted, seq }) => seq > head && seq > cursor.seq && by !== this.#me && deleted === null
    )
    const deleted = this.#deletedSince().filter(({ by }) => by !== this.#me && by !== null)
    return {
      unread: this.#base.unread + arrived.length - deleted.length,
      mentions: this.#base.mentions + arrived.filter(({ mentions }) => mentions.includes(this.#me)).length
    }
  }

  /** Deletes of what the base has counted. */
  #deletedSince() {
    const { cursor, head } = this.#base
    return this.#deletes.filter(({ seq, target }) => seq > head && target <= head && target > cursor.seq)
  }

  #adoptHead(head: ChannelHead): void {
    if (head.seq >= this.#asOf) {
      this.#asOf = head.seq
      this.#values = { n: head.n, name: head.name, members: head.members }
      this.fanout = head.fanout
      if (head.last !== null && head.last.seq >= (this.#last?.seq ?? 0)) this.#last = messageOf(head.last)
    }
    this.readState({ cursor: head.cursor, unread: head.unread, mentions: head.mentions, head: head.seq })
  }

  #drain(): void {
    for (;;) {
      this.#waiting = this.#waiting.filter((range) => range.to > this.position)
      const next = this.#waiting.find((range) => range.from <= this.position)
      if (next === undefined) return
      for (const event of next.events) if (event.seq > this.position) this.#apply(event)
      this.position = next.to
    }
  }

  #apply(event: ChannelEvent): void {
    if (event.kind === "message") this.#messages.set(event.seq, messageOf(event))
    else if (event.kind === "edit" && event.void !== true) this.#edit(event.target, event.seq, event.text)
    else if (event.kind === "delete") {
      const by = this.#messages.get(event.target)?.by ?? null
      this.#deletes.push({ seq: event.seq, target: event.target, by })
      this.#change(event.target, (message) => ({ ...message, text: "", deleted: event.seq }))
    }
    if (event.seq <= this.#asOf) return
    this.#asOf = event.seq
    if (event.kind === "fanout") this.fanout = event.fanout
    const { members, n } = this.#values
    if (event.kind === "message") this.#values = { ...this.#values, n: Math.max(n, event.n) }
    else if (event.kind === "added") this.#values = { ...this.#values, members: members + event.members.length }
    else if (event.kind === "removed") this.#values = { ...this.#values, members: members - event.members.length }
    else if (event.kind === "updated" && event.name !== undefined) this.#values = { ...this.#values, name: event.name }
  }

  #edit(target: number, seq: number, text: string): void {
    this.#change(target, (message) =>
      message.deleted !== null || (message.edited ?? 0) >= seq ? message : { ...message, text, edited: seq }
    )
  }

  #change(target: number, how: (message: Message) => Message): void {
    const held = this.#messages.get(target)
    if (held !== undefined) this.#messages.set(target, how(held))
    if (this.#last?.seq === target) this.#last = how(this.#last)
  }
}
