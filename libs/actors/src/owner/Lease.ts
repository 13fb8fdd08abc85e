/**
 * A shard's lease as its holder judges it, before each step (†17). It is made before its refresh is sent, and lasts from
 * then by both clocks: the monotonic one, which nobody sets, and the wall clock, because the monotonic one stands still
 * while a virtual machine is suspended. A wall clock that is set back would hide that, so a lease during which it was is
 * over as well; set forward, it ends leases that would still hold. Either costs no more than the wait for the next
 * refresh. The lease decides who tries; only the log decides who may write.
 */

/**
 * How far the wall clock may fall behind the monotonic one, as a part of the lease: what others wait beyond it
 * (`LeaseTimings.marginMs`). Clocks that are being slewed stay far below.
 */
export const clockBackPart = 1 / 30

export interface Clocks {
  /** Milliseconds, never set, standing still in a suspended machine. */
  readonly monotonic: () => number
  /** Milliseconds since 1970. */
  readonly wall: () => number
}

export const systemClocks: Clocks = { monotonic: () => performance.now(), wall: Date.now }

export class Lease {
  /** On the monotonic clock. */
  readonly deadline: number
  readonly #clocks: Clocks
  /** Of the wall clock against the monotonic one, when the refresh was sent. */
  readonly #offset: number
  readonly #backMsMax: number

  /** To be made before the refresh is sent. `deadline`: on the monotonic clock. */
  constructor(deadline: number, clocks: Clocks) {
    this.#clocks = clocks
    this.deadline = deadline
    const monotonic = clocks.monotonic()
    this.#offset = clocks.wall() - monotonic
    this.#backMsMax = (deadline - monotonic) * clockBackPart
  }

  get held(): boolean {
    const monotonic = this.#clocks.monotonic()
    // By the wall clock, on the scale of the monotonic one.
    const wall = this.#clocks.wall() - this.#offset
    return monotonic < this.deadline && wall < this.deadline && monotonic - wall <= this.#backMsMax
  }
}
