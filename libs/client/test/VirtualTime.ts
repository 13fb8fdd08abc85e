/**
 * A platform whose clock moves when the test says so: timers fire in order of their time, and between two of them
 * everything that promises brought along is done. Randomness comes from a seed, so a failing run can be had again.
 */
import type { Cancel, ClientSocket, Environment } from "../src/Environment.ts"

interface Timer {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

export class VirtualTime {
  #now = 0
  #order = 0
  #timers: Array<Timer> = []

  get now(): number {
    return this.#now
  }

  after(ms: number, run: () => void): Cancel {
    const timer = { at: this.#now + Math.max(0, ms), order: this.#order++, run }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  /** Lets `ms` pass. */
  async pass(ms: number): Promise<void> {
    const end = this.#now + ms
    await promisesDone()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = Math.max(this.#now, next.at)
      next.run()
      await promisesDone()
    }
    this.#now = end
  }

  /** Lets time pass until the condition holds; fails after `withinMs`. */
  async until(what: string, condition: () => boolean, withinMs = 120_000): Promise<void> {
    const end = this.#now + withinMs
    await promisesDone()
    while (!condition()) {
      const next = this.#next(end)
      if (next === undefined) throw new Error(`not within ${withinMs} ms: ${what}`)
      await this.pass(next.at - this.#now)
    }
  }

  #next(end: number): Timer | undefined {
    let first: Timer | undefined
    for (const timer of this.#timers) {
      if (timer.at > end) continue
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer
    }
    return first
  }
}

/** Node runs all microtasks, and those they make, before it. */
const promisesDone = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Mulberry32: small, seeded, good enough for tests. */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export const startOfTime = 1_750_000_000_000

export const virtualEnvironment = (
  time: VirtualTime,
  openSocket: (url: string) => ClientSocket,
  options: { readonly seed?: number; readonly clockErrorMs?: number } = {}
): Environment => {
  const random = seededRandom(options.seed ?? 1)
  return {
    now: () => startOfTime + time.now + (options.clockErrorMs ?? 0),
    monotonic: () => time.now,
    after: (ms, run) => time.after(ms, run),
    random,
    randomBytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(random() * 256)),
    openSocket
  }
}
