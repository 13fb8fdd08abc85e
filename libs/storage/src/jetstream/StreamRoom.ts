/**
 * How full one stream is, as far as this node can know between two looks at it: what the leader said last, and what
 * this node has sent since. Ordinary records are refused here at the soft bound (†28); only the server knows the hard
 * one exactly. Other nodes write to the same stream: between two looks the soft bound may be passed by what they send.
 *
 * Plain TypeScript, on the hot path. Pure but for the look itself.
 */

/** Under load a stream is looked at so often. */
export const usageAgeMsMax = 1_000
/** So often at its soft bound, where a purge makes room again. */
export const usageAgeFullMsMax = 100

export interface StreamRoomOptions {
  readonly softBytes: number
  /** The bytes in the stream, from its leader. */
  readonly look: () => Promise<number>
  readonly now: () => number
}

export class StreamRoom {
  readonly #options: StreamRoomOptions
  #known = 0
  #lookedAt = -Infinity
  #looking: Promise<void> | undefined
  #inFlight = 0
  /** Of what was sent and may be in the stream: settled since the look that `known` is from, and since the one under way. */
  #since = 0
  #sinceLooking = 0

  constructor(options: StreamRoomOptions) {
    this.#options = options
  }

  /** At most so many bytes are in the stream, but for what other nodes sent since the last look. */
  get bytes(): number {
    return this.#known + this.#since + this.#inFlight
  }

  /** Whether so much more stays below the soft bound. */
  fits(bytes: number): boolean {
    return this.bytes + bytes <= this.#options.softBytes
  }

  sent(bytes: number): void {
    this.#inFlight += bytes
  }

  /** The answer to what was sent; `kept`: it is in the stream, or may be. */
  settled(bytes: number, kept: boolean): void {
    this.#inFlight -= bytes
    if (!kept) return
    this.#since += bytes
    this.#sinceLooking += bytes
  }

  /** Looks again in the background where the last look is too old for what it says. */
  refresh(): void {
    const age = this.#options.now() - this.#lookedAt
    const ageMax = this.fits(1) ? usageAgeMsMax : usageAgeFullMsMax
    // A look that fails leaves what is known, and the next append tries again: the server has the last word anyway.
    if (age > ageMax && this.#looking === undefined) void this.look().catch(() => {})
  }

  /** Looks now. One that is under way may have been asked before what the caller has done, so it is not enough. */
  async look(): Promise<void> {
    while (this.#looking !== undefined) await this.#looking.catch(() => {})
    this.#looking = this.#look().finally(() => (this.#looking = undefined))
    return this.#looking
  }

  async #look(): Promise<void> {
    this.#lookedAt = this.#options.now()
    this.#sinceLooking = 0
    const bytes = await this.#options.look()
    this.#known = bytes
    // What settled meanwhile may be counted in it already: counted twice at most until the next look.
    this.#since = this.#sinceLooking
  }
}
