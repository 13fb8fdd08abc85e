/**
 * Token buckets, one number each: the theoretical arrival time of the next request (GCRA), which says the same as
 * tokens and a time. A bucket that is full again holds nothing worth keeping, so full ones are what the bounded table
 * forgets first. Plain TypeScript on the hot path: bench `send`.
 */

/** Buckets looked at for each one added while the table is full. */
const evictionLooks = 8

export interface Rate {
  /** Milliseconds a request costs. */
  readonly intervalMs: number
  /** How far ahead of the clock a bucket may run. */
  readonly burstMs: number
}

export const ratePerSecond = (perSecond: number, burst: number): Rate => ({
  intervalMs: 1_000 / perSecond,
  burstMs: (1_000 / perSecond) * (burst - 1)
})

/** The bucket's next value where the request may pass; otherwise minus the exact wait in ms. */
export const takeToken = (nextAt: number, now: number, rate: Rate): number => {
  const start = nextAt > now ? nextAt : now
  const early = start - now - rate.burstMs
  return early > 0 ? -Math.ceil(early) : start + rate.intervalMs
}

export class RateTable {
  readonly #nextAt = new Map<string, number>()
  readonly #bucketsMax: number

  constructor(bucketsMax: number) {
    this.#bucketsMax = bucketsMax
  }

  get size(): number {
    return this.#nextAt.size
  }

  /** 0: pass; otherwise milliseconds to wait. */
  take(key: string, now: number, rate: Rate): number {
    const before = this.#nextAt.get(key)
    const next = takeToken(before ?? 0, now, rate)
    if (next < 0) return -next
    if (before === undefined && this.#nextAt.size >= this.#bucketsMax) this.#evict(now)
    this.#nextAt.set(key, next)
    return 0
  }

  /** Drops some full buckets; where none of those it looks at is full, the fullest. */
  #evict(now: number): void {
    let fullest: string | undefined
    let lowest = Infinity
    let looks = 0
    for (const [key, nextAt] of this.#nextAt) {
      if (nextAt <= now) this.#nextAt.delete(key)
      else if (nextAt < lowest) {
        lowest = nextAt
        fullest = key
      }
      if (++looks >= evictionLooks) break
    }
    if (this.#nextAt.size >= this.#bucketsMax && fullest !== undefined) this.#nextAt.delete(fullest)
  }
}

/** What a user's ops are counted as. */
export type OpClass = "send" | "mutate" | "read" | "ephemeral"

export type OpRates = Readonly<Record<OpClass, Rate>>

/** One key a user and class; the first letter tells them apart. */
export const bucketKey = (opClass: OpClass, user: string): string => `${opClass.charAt(0)}/${user}`
