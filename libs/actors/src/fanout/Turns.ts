/**
 * How long a consumer of the log gathers, and which shards it takes then. While events are many, larger batches are
 * worth the wait; a round of all shards' events would keep the event loop and the store busy in one piece, which shows in
 * the acks of whoever shares their cores. So a consumer may spread its shards over the gathering time: each has its turn
 * once in it, a few of them at a time.
 */

/** Times between two rounds, in ms, and from how many entries a second on they are many. */
export interface Gather {
  readonly fewMs: number
  readonly busyMs: number
  readonly busyPerSecond: number
  /** While they are many, rounds are so far apart, each with the shards whose turn has come. Without it all have theirs at once. */
  readonly sliceMs?: number
}

/**
 * Neighbours' turns are so far apart, as a part of the gathering time: a node mostly has shards in rows, and whichever it has,
 * their turns are spread evenly (the additive recurrence with the lowest discrepancy).
 */
const goldenRatio = (Math.sqrt(5) - 1) / 2

export class Turns {
  readonly #gather: Gather
  /** The gathering time, counted from the process's start, in which a shard was taken last. */
  readonly #taken = new Map<number, number>()
  #busy = false
  /** Of the last gathering times, the latest one most. */
  #entries = 0
  #ms = 0

  constructor(gather: Gather) {
    this.#gather = gather
  }

  /** Whether it is the shard's turn at `now`; whoever takes it says so (`taken`). */
  has(shard: number, now: number): boolean {
    return !this.#spreads || this.#taken.get(shard) !== this.#timeOf(shard, now)
  }

  taken(shard: number, now: number): void {
    if (this.#gather.sliceMs !== undefined) this.#taken.set(shard, this.#timeOf(shard, now))
  }

  /** There is more of it, or it did not work: the shard's turn is not over. Nor has one had any that comes back later. */
  again(shard: number): void {
    this.#taken.delete(shard)
  }

  /** How long to wait after a round that took so many entries, so long after the round before it. */
  pauseMs(entries: number, sinceMs: number): number {
    const { busyMs, busyPerSecond, fewMs, sliceMs } = this.#gather
    // A slice has too few to go by.
    const kept = sliceMs === undefined ? 0 : Math.exp(-sinceMs / busyMs)
    this.#entries = this.#entries * kept + entries
    this.#ms = this.#ms * kept + sinceMs
    this.#busy = this.#entries * 1_000 >= busyPerSecond * this.#ms
    if (!this.#busy) return fewMs
    return sliceMs ?? busyMs
  }

  get #spreads(): boolean {
    return this.#busy && this.#gather.sliceMs !== undefined
  }

  #timeOf(shard: number, now: number): number {
    return Math.floor(now / this.#gather.busyMs + shard * goldenRatio)
  }
}
