/**
 * Where a consumer's work stands in one shard. Records come in order, are worked on side by side and finish in any
 * order; the floor is the end of the contiguous prefix that is done, never a maximum (†25). Positions rise strictly but
 * not by one, so only the order in which they came says what is contiguous.
 */
import type { LogPosition } from "@parley/storage/EventLog"

export class Floor {
  #floor: LogPosition
  #lastStarted: LogPosition
  /** Positions under way or done above the floor, in order: bounded by how much the consumer has under way. */
  readonly #above = new Map<LogPosition, boolean>()

  constructor(floor: LogPosition) {
    this.#floor = floor
    this.#lastStarted = floor
  }

  /** Everything up to here is done. */
  get position(): LogPosition {
    return this.#floor
  }

  /** Records above the floor that were started. */
  get underWay(): number {
    return this.#above.size
  }

  /** The next record is being worked on. */
  started(position: LogPosition): void {
    if (position <= this.#lastStarted) throw new RangeError(`record ${position} is started after ${this.#lastStarted}`)
    this.#lastStarted = position
    this.#above.set(position, false)
  }

  /** A record that was started is done, durably. Answers whether the floor has moved. */
  done(position: LogPosition): boolean {
    if (!this.#above.has(position)) return false
    this.#above.set(position, true)
    const before = this.#floor
    // A Map keeps the order of insertion, which is that of the log.
    for (const [at, isDone] of this.#above) {
      if (!isDone) break
      this.#above.delete(at)
      this.#floor = at
    }
    return this.#floor > before
  }
}

/**
 * Up to where a shard may be purged: what every consumer that holds the log is done with, and never the last full
 * checkpoint nor anything after it, since a takeover replays from there (†27). 0: nothing.
 */
export const purgeUpTo = (floors: ReadonlyArray<LogPosition>, fullCheckpoint: LogPosition): LogPosition =>
  Math.max(0, Math.min(fullCheckpoint - 1, ...floors))
