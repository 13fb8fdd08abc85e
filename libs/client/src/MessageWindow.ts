/**
 * The messages a view holds: a window `(floor, position]` of the channel without holes, each in its current form. Edits
 * and deletes of messages outside it need no place, but for those that come while a page of history is under way: the
 * page may be older than they are, so they are remembered until it is in.
 */
import type { PlainEvent, PlainMessage } from "./PlainFrame.ts"

type Change = Extract<PlainEvent, { kind: "edit" | "delete" }>

export class MessageWindow {
  readonly #orphansMax: number
  #floor: number
  /** Ascending by seq. */
  #messages: Array<PlainMessage> = []
  #pagesUnderWay = 0
  #orphans: Array<Change> = []
  #orphansLost = false

  constructor(floor: number, orphansMax: number) {
    this.#floor = floor
    this.#orphansMax = orphansMax
  }

  /** What is at or below is not held. */
  get floor(): number {
    return this.#floor
  }

  get messages(): ReadonlyArray<PlainMessage> {
    return this.#messages
  }

  find(seq: number): PlainMessage | undefined {
    const found = this.#messages[this.#indexOf(seq)]
    return found?.seq === seq ? found : undefined
  }

  /** The next event in order. Only the three kinds that concern messages do anything. */
  apply(event: PlainEvent): void {
    if (event.kind === "message") this.#messages.push(event)
    else if (event.kind === "edit" || event.kind === "delete") this.#change(event)
  }

  /** A page of history is asked for; the answer is `prepend`, or `pageFailed`. */
  pageAsked(): void {
    this.#pagesUnderWay += 1
  }

  pageFailed(): void {
    this.#pagesUnderWay -= 1
    if (this.#pagesUnderWay > 0) return
    this.#orphans = []
    this.#orphansLost = false
  }

  /** The page covers `(from, to]` and reaches up to the floor. False: it can't be used, ask again. */
  prepend(from: number, to: number, page: ReadonlyArray<PlainMessage>): boolean {
    const usable = to >= this.#floor && !this.#orphansLost
    if (usable) {
      this.#messages = [
        ...page.filter((message) => message.seq > from && message.seq <= this.#floor),
        ...this.#messages
      ]
      this.#floor = Math.min(from, this.#floor)
      for (const change of this.#orphans) this.#change(change)
    }
    this.pageFailed()
    return usable
  }

  /** Lets the oldest go until `most` are left. */
  trim(most: number): void {
    const over = this.#messages.length - most
    const last = this.#messages[over - 1]
    if (last === undefined) return
    this.#floor = last.seq
    this.#messages = this.#messages.slice(over)
  }

  /** Lets everything up to `seq` go. */
  cut(seq: number): void {
    if (seq <= this.#floor) return
    this.#messages = this.#messages.slice(this.#indexOf(seq + 1))
    this.#floor = seq
  }

  #change(event: Change): void {
    const at = this.#indexOf(event.target)
    const held = this.#messages[at]
    if (held?.seq === event.target) this.#messages[at] = changed(held, event)
    else if (event.target <= this.#floor && this.#pagesUnderWay > 0) this.#remember(event)
  }

  #remember(event: Change): void {
    if (this.#orphans.includes(event)) return
    if (this.#orphans.length < this.#orphansMax) this.#orphans.push(event)
    else this.#orphansLost = true
  }

  /** Of the first message at or after `seq`. */
  #indexOf(seq: number): number {
    let low = 0
    let high = this.#messages.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#messages[middle]?.seq ?? seq) < seq) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Absolute values: applied twice, or after a page that has them already, they change nothing. */
const changed = (message: PlainMessage, event: Change): PlainMessage => {
  const { mentions: _mentions, ...rest } = message
  if (event.kind === "delete") {
    return (message.deleted ?? 0) >= event.seq ? message : { ...rest, text: "", deleted: event.seq }
  }
  if (message.deleted !== undefined || event.void === true || (message.edited ?? 0) >= event.seq) return message
  return {
    ...rest,
    text: event.text,
    edited: event.seq,
    ...(event.mentions === undefined ? {} : { mentions: event.mentions })
  }
}
