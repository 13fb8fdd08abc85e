/**
 * Consumers' positions as the main thread holds them: they only move forward, and what has moved is handed to the
 * worker with the next commit, or on its own soon after. What is handed over and not stored is handed over again.
 */
import type { StoredPosition } from "./LogWorkerMessages.ts"

/** Consumers times shards, with room: more is a consumer that invents names. */
const positionsMax = 262_144

export class ConsumerPositions {
  private readonly positions = new Map<string, StoredPosition>()
  private readonly moved = new Map<string, StoredPosition>()

  get(consumer: string, shard: number): number {
    return this.positions.get(keyOf(consumer, shard))?.position ?? 0
  }

  /** True if it moved. */
  advance(consumer: string, shard: number, position: number): boolean {
    if (position <= this.get(consumer, shard)) return false
    const key = keyOf(consumer, shard)
    if (this.positions.size >= positionsMax && !this.positions.has(key)) throw new RangeError("too many consumers")
    const moved = { consumer, shard, position }
    this.positions.set(key, moved)
    this.moved.set(key, moved)
    return true
  }

  /** What the file had when it was opened; what moved since is kept. */
  loaded(stored: ReadonlyArray<StoredPosition>): void {
    for (const one of stored) {
      const key = keyOf(one.consumer, one.shard)
      if (one.position > this.get(one.consumer, one.shard)) this.positions.set(key, one)
    }
  }

  hasMoved(): boolean {
    return this.moved.size > 0
  }

  /** What is to be stored now; the caller gives back with `again` what was not. */
  handOver(): ReadonlyArray<StoredPosition> {
    if (this.moved.size === 0) return []
    const given = [...this.moved.values()]
    this.moved.clear()
    return given
  }

  /** These were not stored: they are handed over once more, unless they moved on since. */
  again(given: ReadonlyArray<StoredPosition>): void {
    for (const one of given) {
      const key = keyOf(one.consumer, one.shard)
      if (!this.moved.has(key)) this.moved.set(key, one)
    }
  }

  /** The worker is gone and with it what it had not stored: everything is handed over once more. */
  allAgain(): void {
    this.again([...this.positions.values()])
  }
}

const keyOf = (consumer: string, shard: number): string => `${shard}/${consumer}`
