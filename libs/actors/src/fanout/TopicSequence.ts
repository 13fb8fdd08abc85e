/**
 * One topic's place in its sequence at an edge, without a clock or calls: an item is delivered in seq order, once, or
 * shows a hole, and then waits until the hole was filled from the owner's tail (†9). Used for channels (seq) and for
 * sessions (user seq). Plain TypeScript on the hot path: bench `fanout`.
 */

/** Items held while a topic is being repaired; past it the oldest go, and the next repair fetches them. */
export const topicHeldMax = 512

/** An item that covers `(from, to]`. */
export interface SequencedItem {
  readonly from: number
  readonly to: number
}

export type Offered =
  /** Next in order: the caller delivers it now. */
  | "deliver"
  /** All of it was delivered before. */
  | "skip"
  /** Kept: the topic is being repaired or not known yet. */
  | "held"
  /** Kept, and `(delivered, from]` is missing: the caller starts a repair. */
  | "repair"

export class TopicSequence<Item extends SequencedItem> {
  #generation = 0
  #delivered = -1
  #held: Array<Item> | null = null

  /** Everything up to here was delivered, or was there before the edge was interested; -1: not attached yet. */
  get delivered(): number {
    return this.#delivered
  }
  /** Positions of different generations do not compare. */
  get generation(): number {
    return this.#generation
  }
  get repairing(): boolean {
    return this.#held !== null
  }

  /** What is next is delivered in a repair, too: a link that is late may bring it before the owner does. */
  offer(item: Item): Offered {
    if (this.#delivered >= 0 && item.from <= this.#delivered) {
      if (item.to <= this.#delivered) return "skip"
      this.#delivered = item.to
      return "deliver"
    }
    const holds = this.#held !== null || this.#delivered < 0
    this.#keep(item)
    return holds ? "held" : "repair"
  }

  /** Begins to hold items: heads showed a hole that no item has shown yet. */
  hold(): void {
    this.#held ??= []
  }

  /** Begins anew at a place of another generation, also a smaller one; what is held is of the old one. */
  restart(generation: number, at: number): void {
    this.#generation = generation
    this.#delivered = at
    if (this.#held !== null) this.#held = []
  }

  /** A repair has delivered up to `to` and goes on. */
  advance(to: number): void {
    if (to > this.#delivered) this.#delivered = to
  }

  /**
   * Everything up to `to` was delivered, or is to be taken as delivered. Gives the held items that follow, in order,
   * already counted as delivered; where they show a hole again the topic stays in repair, and `again` says so.
   */
  resume(to: number): { readonly items: ReadonlyArray<Item>; readonly again: boolean } {
    this.advance(to)
    const held = (this.#held ?? []).sort(bySeq)
    const items: Array<Item> = []
    for (let i = 0; i < held.length; i++) {
      const item = held[i]
      if (item === undefined || item.to <= this.#delivered) continue
      if (item.from > this.#delivered) {
        this.#held = held.slice(i)
        return { items, again: true }
      }
      this.#delivered = item.to
      items.push(item)
    }
    this.#held = null
    return { items, again: false }
  }

  /** Everything up to `to`, and all that is held, is taken as delivered: nobody was there to miss it. */
  pass(to: number): void {
    this.advance(to)
    for (const item of this.#held ?? []) this.advance(item.to)
    this.#held = null
  }

  #keep(item: Item): void {
    this.#held ??= []
    this.#held.push(item)
    if (this.#held.length > topicHeldMax) this.#held.shift()
  }
}

const bySeq = (a: SequencedItem, b: SequencedItem): number => a.to - b.to
