/**
 * Shards that were given to another runner and that it has not said to serve yet. They count against the number that are
 * handed over at once: a runner that has just started opens slowly, and what queued up there would be with nobody
 * meanwhile. Only pacing: an announcement may be lost, so each counts for a bounded time.
 */

/** Longest time that one shard which was given away keeps others waiting. */
export const handoverMsMax = 1_000

export class Handovers {
  readonly #until = new Map<number, number>()

  begun(shard: number, now: number): void {
    this.#until.set(shard, now + handoverMsMax)
  }

  /** Whether it was one that was waited for. */
  served(shard: number): boolean {
    return this.#until.delete(shard)
  }

  count(now: number): number {
    for (const [shard, until] of this.#until) if (now >= until) this.#until.delete(shard)
    return this.#until.size
  }
}
