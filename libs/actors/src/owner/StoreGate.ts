/**
 * How many questions to the stores a runner has under way at once: after a restart ten thousand users wake half a
 * million cold channels, and a store that is asked all of it at once refuses. So wake-ups are paced, in the order in
 * which they came, and what waits beyond the bound is told that the store can't be asked now.
 */
import { Effect } from "effect"

/** Questions under way at once. Each waits for one call of a store at a time; below what the stores take. */
export const storeQuestionsAtOnce = 256
/** Questions that wait for their turn. */
export const storeQuestionsWaitingMax = 65_536

type Result<A> = { readonly ok: A } | { readonly error: unknown }

export class StoreGate {
  #underWay = 0
  #waiting: Array<() => void> = []
  #next = 0

  get waiting(): number {
    return this.#waiting.length - this.#next
  }

  /** Calls back once, never from within. */
  readonly run = <A, E>(effect: Effect.Effect<A, E>, done: (result: Result<A>) => void): void => {
    const go = (): void => {
      this.#underWay++
      const end = (result: Result<A>): void => {
        this.#underWay--
        this.#start()
        done(result)
      }
      Effect.runPromise(effect).then(
        (ok) => end({ ok }),
        (error: unknown) => end({ error })
      )
    }
    if (this.#underWay < storeQuestionsAtOnce) go()
    else if (this.waiting < storeQuestionsWaitingMax) this.#waiting.push(go)
    else queueMicrotask(() => done({ error: new Error("too many questions wait for the stores") }))
  }

  #start(): void {
    const go = this.#waiting[this.#next]
    if (go === undefined) return
    this.#next++
    if (this.#next === this.#waiting.length) {
      this.#waiting = []
      this.#next = 0
    } else if (this.#next > 1_024 && this.#next * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    go()
  }
}
