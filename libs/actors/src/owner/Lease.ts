/**
 * A shard's lease as its holder judges it, before each step (†17). The deadline is on the monotonic clock and counts
 * from before the refresh was sent. That clock stands still while a virtual machine is suspended, so the wall clock is
 * watched beside it: where the two have drifted apart, time may have passed that was not counted, and the lease is over
 * until it is refreshed. The lease decides who tries; only the log decides who may write.
 */

/** Drift between the two clocks since the last refresh beyond which the lease does not count. */
export const clockJumpMsMax = 5_000

export interface Clocks {
  /** Milliseconds, never set, standing still in a suspended machine. */
  readonly monotonic: () => number
  /** Milliseconds since 1970. */
  readonly wall: () => number
}

export const systemClocks: Clocks = { monotonic: () => performance.now(), wall: Date.now }

export class Lease {
  readonly #clocks: Clocks
  readonly #deadline: number
  readonly #offset: number

  /** `deadline`: on the monotonic clock. */
  constructor(deadline: number, clocks: Clocks) {
    this.#clocks = clocks
    this.#deadline = deadline
    this.#offset = clocks.wall() - clocks.monotonic()
  }

  get held(): boolean {
    const monotonic = this.#clocks.monotonic()
    return monotonic < this.#deadline && Math.abs(this.#clocks.wall() - monotonic - this.#offset) <= clockJumpMsMax
  }
}
