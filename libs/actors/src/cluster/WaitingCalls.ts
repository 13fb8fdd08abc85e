/**
 * Calls whose shard has no owner that is known, in the order they came, a list a shard. They go out together as soon as
 * somebody says that he serves the shard; until then whoever the directory names is asked now and then whether he does, by one
 * small question a shard, however many wait. That they are not too many, and not for ever, is their owner's business.
 */
import type { Call } from "./NatsCalls.ts"
import type { OwnerMap } from "./OwnerMap.ts"

/** Wait before an owner is asked whether he serves a shard, doubled each time, and between two looks at the directory. */
export const whoMsMin = 25
export const whoMsMax = 250
const refreshMs = 1_000

interface Waiting {
  calls: Array<Call>
  askAt: number
  waitMs: number
  refreshAt: number
}

export interface WaitingCallsOptions {
  readonly owners: OwnerMap
  readonly send: (call: Call) => void
  readonly askWho: (runner: string, shard: number) => void
}

export class WaitingCalls {
  readonly #options: WaitingCallsOptions
  readonly #shards = new Map<number, Waiting>()

  constructor(options: WaitingCallsOptions) {
    this.#options = options
  }

  has(shard: number): boolean {
    return this.#shards.size > 0 && this.#shards.has(shard)
  }

  add(call: Call): void {
    let waiting = this.#shards.get(call.shard)
    if (waiting === undefined) {
      const now = performance.now()
      waiting = { calls: [], askAt: now + whoMsMin, waitMs: whoMsMin, refreshAt: now + refreshMs }
      this.#shards.set(call.shard, waiting)
    }
    waiting.calls.push(call)
  }

  /** All that wait for a shard; they wait no longer. */
  take(shard: number): ReadonlyArray<Call> {
    const calls = this.#shards.get(shard)?.calls ?? []
    this.#shards.delete(shard)
    return calls
  }

  clear(): void {
    this.#shards.clear()
  }

  tick(now: number): void {
    const { askWho, owners, send } = this.#options
    for (const [shard, waiting] of this.#shards) {
      // Answered with "moved" meanwhile.
      waiting.calls = waiting.calls.filter((call) => now < call.deadline)
      if (waiting.calls.length === 0) this.#shards.delete(shard)
      else if (owners.routeOf(shard) !== undefined) for (const call of this.take(shard)) send(call)
      else if (now >= waiting.askAt) {
        waiting.waitMs = Math.min(whoMsMax, waiting.waitMs * 2)
        waiting.askAt = now + waiting.waitMs
        const suspect = owners.suspect(shard)
        if (suspect !== undefined) askWho(suspect, shard)
        if (now < waiting.refreshAt) continue
        waiting.refreshAt = now + refreshMs
        owners.refresh(shard)
      }
    }
  }
}
