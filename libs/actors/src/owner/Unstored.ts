/**
 * What is committed and not yet in the store, in order of log position: when the persister's position moves, it says
 * which entities' floors move with it, each once. One item for what a record has of an entity, so a hot channel costs
 * no more than a quiet one. Bounded by the log's own bound: nothing is purged that is still in here.
 */
import type { LogPosition } from "@parley/storage/EventLog"
import type { Topic } from "../log/Entry.ts"

interface Item {
  readonly position: LogPosition
  readonly topic: Topic
  readonly id: string
  /** The newest of the entity in this record. */
  seq: number
}

export class Unstored {
  #items: Array<Item> = []
  #taken = 0
  /** The newest item of each entity. */
  readonly #last = { channel: new Map<string, Item>(), user: new Map<string, Item>() }

  get count(): number {
    return this.#items.length - this.#taken
  }

  /** Whether the entity has an event that the store lacks. */
  has(topic: Topic, id: string): boolean {
    return this.#last[topic].has(id)
  }

  committed(position: LogPosition, topic: Topic, id: string, seq: number): void {
    const last = this.#last[topic].get(id)
    if (last?.position === position) {
      last.seq = seq
      return
    }
    const item = { position, topic, id, seq }
    this.#items.push(item)
    this.#last[topic].set(id, item)
  }

  /**
   * Everything up to `position` is in the store: calls `floor` once for each entity, with its newest seq there. Takes
   * `itemsMax` items at most, and says whether there are more.
   */
  stored(
    position: LogPosition,
    floor: (topic: Topic, id: string, seq: number) => void,
    itemsMax = Number.MAX_SAFE_INTEGER
  ): boolean {
    const moved = { channel: new Map<string, number>(), user: new Map<string, number>() }
    const end = this.#taken + itemsMax
    let item = this.#items[this.#taken]
    for (; item !== undefined && item.position <= position && this.#taken < end; item = this.#items[this.#taken]) {
      this.#taken++
      const last = this.#last[item.topic]
      if (last.get(item.id) === item) last.delete(item.id)
      moved[item.topic].set(item.id, item.seq)
    }
    if (this.#taken > 1_024 && this.#taken * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#taken)
      this.#taken = 0
    }
    for (const topic of ["channel", "user"] as const) for (const [id, seq] of moved[topic]) floor(topic, id, seq)
    return item !== undefined && item.position <= position
  }
}
