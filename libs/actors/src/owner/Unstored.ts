/**
 * What is committed and not yet in the store, in order of log position: when the persister's position moves, it says
 * which entities' floors move with it. Bounded by the log's own bound: nothing is purged that is still in here.
 */
import type { LogPosition } from "@parley/storage/EventLog"
import type { Topic } from "../log/Entry.ts"

interface Item {
  readonly position: LogPosition
  readonly topic: Topic
  readonly id: string
  readonly seq: number
}

export class Unstored {
  #items: Array<Item> = []
  #taken = 0
  readonly #last = { channel: new Map<string, number>(), user: new Map<string, number>() }

  get count(): number {
    return this.#items.length - this.#taken
  }

  /** Whether the entity has an event that the store lacks. */
  has(topic: Topic, id: string): boolean {
    return this.#last[topic].has(id)
  }

  committed(position: LogPosition, topic: Topic, id: string, seq: number): void {
    this.#items.push({ position, topic, id, seq })
    this.#last[topic].set(id, seq)
  }

  /** Everything up to `position` is in the store: calls `floor` with each entity's newest seq there. */
  stored(position: LogPosition, floor: (topic: Topic, id: string, seq: number) => void): void {
    for (
      let item = this.#items[this.#taken];
      item !== undefined && item.position <= position;
      item = this.#items[this.#taken]
    ) {
      this.#taken++
      const last = this.#last[item.topic]
      if (last.get(item.id) === item.seq) last.delete(item.id)
      floor(item.topic, item.id, item.seq)
    }
    if (this.#taken > 1_024 && this.#taken * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#taken)
      this.#taken = 0
    }
  }
}
