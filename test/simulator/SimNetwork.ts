/**
 * The network between simulated hosts, from a seed: every message takes a while, some get lost, come twice, come late or
 * overtake others, and pairs of hosts can be cut from each other, one way or both. What a host is asked for (`ask`) ends
 * in its answer or in silence, and then nobody knows whether it was done.
 */
import type { Random } from "../harness/Random.ts"
import type { SimProcess, VirtualTime } from "./VirtualTime.ts"

/** How bad the network is. Parts of one, and milliseconds. */
export interface Weather {
  readonly lost: number
  readonly twice: number
  readonly slow: number
  readonly typicalMs: number
  readonly slowMs: number
}

export const fair: Weather = { lost: 0, twice: 0, slow: 0, typicalMs: 1, slowMs: 0 }

export class SimNetwork {
  weather: Weather = fair
  readonly #time: VirtualTime
  readonly #random: Random
  readonly #cuts = new Set<string>()

  constructor(time: VirtualTime, random: Random) {
    this.#time = time
    this.#random = random
  }

  /** Nothing goes from one host to the other until it is mended. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`)
  }
  mend(from: string, to: string): void {
    this.#cuts.delete(`${from} ${to}`)
  }
  mendAll(): void {
    this.#cuts.clear()
  }
  reaches(from: string, to: string): boolean {
    return !this.#cuts.has(`${from} ${to}`)
  }

  delay(): number {
    const { slow, slowMs, typicalMs } = this.weather
    const base = typicalMs * (0.3 + this.#random.next() * 1.4)
    return this.#random.next() < slow ? base + this.#random.next() * slowMs : base
  }

  /** Delivers in `to` at some time, or not at all; `once`: over a connection, where nothing comes twice. */
  send(from: string, to: SimProcess, deliver: () => void, once = false): void {
    if (!this.reaches(from, to.host)) return
    const { lost } = this.weather
    const twice = once ? 0 : this.weather.twice
    const fate = this.#random.next()
    if (fate < lost) return
    this.#time.after(this.delay(), to, deliver)
    if (fate > 1 - twice) this.#time.after(this.delay(), to, deliver)
  }

  /**
   * Has `handle` run at the server, once, twice or never, and tells its first answer, or undefined after `waitMs`. The
   * asker is the process that runs now.
   */
  ask<A>(server: SimProcess, waitMs: number, handle: () => A, done: (answer: { readonly got: A } | undefined) => void) {
    const asker = this.#time.current
    let open = true
    const end = (answer: { readonly got: A } | undefined) => {
      if (!open) return
      open = false
      timer.cancelled = true
      done(answer)
    }
    const timer = this.#time.after(waitMs, asker, () => end(undefined))
    this.send(asker.host, server, () => {
      const got = handle()
      this.send(server.host, asker, () => end({ got }))
    })
  }
}
