/**
 * How late the event loop is: a timer that should have fired by now. While it is later than the bound this node takes
 * no changes and no new connections, and says when to come again, rather than answering all of them too late.
 */

const sampleMs = 100
/** A sample's weight in the next one: lag shows at once, and goes after some quiet samples. */
const decay = 0.7

export class Lag {
  readonly #boundMs: number
  #timer: NodeJS.Timeout | undefined = undefined
  #expected = 0
  #lagMs = 0

  constructor(boundMs: number) {
    this.#boundMs = boundMs
  }

  start(): void {
    this.#expected = performance.now() + sampleMs
    this.#timer = setInterval(() => {
      const now = performance.now()
      this.sample(now - this.#expected)
      this.#expected = now + sampleMs
    }, sampleMs)
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  sample(lateMs: number): void {
    this.#lagMs = Math.max(lateMs, this.#lagMs * decay, 0)
  }

  get lagMs(): number {
    return this.#lagMs
  }

  get overloaded(): boolean {
    return this.#lagMs > this.#boundMs
  }

  /** When to try again: the lag's own size, within reason. */
  get retryAfterMs(): number {
    return Math.min(10_000, Math.max(500, Math.round(this.#lagMs * 4)))
  }
}
