/**
 * The server's time as this device knows it: its own clock plus an offset that `hello` and `ping` measure. Only client
 * ids are made with it, and ages shown; order never comes from a clock.
 */

/** A measurement loses its weight after this: clocks drift, laptops sleep. */
const sampleMsMax = 600_000

export class Clock {
  readonly #now: () => number
  #offset = 0
  #roundTrip = Number.POSITIVE_INFINITY
  #measuredAt = Number.NEGATIVE_INFINITY

  constructor(now: () => number) {
    this.#now = now
  }

  /** Milliseconds since 1970 by the server's clock. */
  serverNow(): number {
    return Math.round(this.#now() + this.#offset)
  }

  get offsetMs(): number {
    return this.#offset
  }

  /** An answer that held `serverTime` took `roundTripMs`; the shorter the trip, the better the measurement. */
  measured(serverTime: number, roundTripMs: number): void {
    const now = this.#now()
    const stale = Math.abs(now - this.#measuredAt) > sampleMsMax
    const offset = serverTime - (now - roundTripMs / 2)
    // A device whose clock was set tells so by an offset that no round trip explains.
    const jumped = Math.abs(offset - this.#offset) > roundTripMs + Math.min(this.#roundTrip, sampleMsMax) + 1_000
    if (!stale && !jumped && roundTripMs > this.#roundTrip) return
    this.#offset = offset
    this.#roundTrip = roundTripMs
    this.#measuredAt = now
  }

  /** The server refused an id of this clock and said its time: it is right, whatever was measured. */
  correct(serverTime: number): void {
    this.#offset = serverTime - this.#now()
    this.#roundTrip = Number.POSITIVE_INFINITY
    this.#measuredAt = Number.NEGATIVE_INFINITY
  }
}
