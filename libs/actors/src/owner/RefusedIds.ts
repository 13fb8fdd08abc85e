/**
 * Mutations that were refused for good, for a while: the same id gets the same answer (EXACTLY-ONCE-EFFECT). A copy of one
 * may still be on its way, held up by a network that was cut, while the client's next try was answered; carried out
 * later, when the user may do it after all, it would be in the log though he was told that it never will be.
 */
import { type ApiFailure, errorTable } from "@parley/protocol/ApiError"

/** Longer than a connection holds back what it could not send before it is given up. */
export const refusedMs = 120_000
/** Of one shard; the oldest is forgotten for the one beyond. */
export const refusedMax = 512

interface Refused {
  readonly failure: ApiFailure
  readonly until: number
}

export class RefusedIds {
  /** By sender and id, the oldest first. */
  readonly #refused = new Map<string, Refused>()
  readonly #now: () => number

  /** `now`: monotonic, in ms. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get size(): number {
    return this.#refused.size
  }

  /** What the mutation was refused with. */
  of(sender: string, cid: string): ApiFailure | undefined {
    if (this.#refused.size === 0) return undefined
    const refused = this.#refused.get(`${sender} ${cid}`)
    return refused === undefined || refused.until < this.#now() ? undefined : refused.failure
  }

  /** An answer to a mutation. What may be tried again is none that lasts, nor is what says something of the id itself. */
  answered(sender: string, cid: string, failure: ApiFailure): void {
    if (errorTable[failure.code].retryable || failure.code === "id_reused") return
    const now = this.#now()
    for (const [key, { until }] of this.#refused) {
      if (until >= now && this.#refused.size < refusedMax) break
      this.#refused.delete(key)
    }
    this.#refused.set(`${sender} ${cid}`, { failure, until: now + refusedMs })
  }
}
