/**
 * For how long the consumers of the log have had something to do that is not done: what an operator looks at first when
 * the log grows. 0 where all is done. A reference with a default, so that nothing has to provide it.
 */
import { Context } from "effect"

export class ConsumerLagTable {
  readonly #lags = new Map<string, () => number>()

  /** `lagMs` is asked when somebody wants to know; the answer takes the consumer out again. */
  register(consumer: string, lagMs: () => number): () => void {
    this.#lags.set(consumer, lagMs)
    return () => {
      if (this.#lags.get(consumer) === lagMs) this.#lags.delete(consumer)
    }
  }

  /** Consumer and milliseconds. */
  now(): ReadonlyArray<readonly [consumer: string, lagMs: number]> {
    return [...this.#lags].map(([consumer, lagMs]) => [consumer, lagMs()] as const)
  }
}

export const ConsumerLags = Context.Reference<ConsumerLagTable>("@parley/actors/ConsumerLags", {
  defaultValue: () => new ConsumerLagTable()
})
