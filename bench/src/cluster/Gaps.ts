/** How long channels had no ack: what a takeover, a drain or a log without its leader means to who writes in them. */
import { ascending, percentile, round } from "../Report.ts"

export interface Summary {
  readonly channels: number
  readonly p50_ms: number
  readonly p99_ms: number
  readonly max_ms: number
}

export const summary = (values: Iterable<number>): Summary => {
  const sorted = ascending([...values])
  return {
    channels: sorted.length,
    p50_ms: round(percentile(sorted, 0.5)),
    p99_ms: round(percentile(sorted, 0.99)),
    max_ms: round(sorted.at(-1) ?? 0)
  }
}

/**
 * Acks of channels, as they come. A channel's gap is the longest time between two of its acks, counted from the last one
 * before the watch began; who has none since then has one as long as the watch. Its writer's own pause between an ack and
 * the next send is in it: a gap is an upper bound of what the cluster held up.
 */
export class Gaps {
  readonly #last: Float64Array
  readonly #gap: Float64Array
  readonly #first: Float64Array
  #from = 0

  constructor(channels: number) {
    this.#last = new Float64Array(channels).fill(-1)
    this.#gap = new Float64Array(channels)
    this.#first = new Float64Array(channels).fill(-1)
  }

  /** Watches from now on. */
  begin(now: number): void {
    this.#from = now
    this.#gap.fill(0)
    this.#first.fill(-1)
    // Who never had one: since now.
    for (const [channel, last] of this.#last.entries()) if (last < 0) this.#last[channel] = now
  }

  acked(channel: number, now: number): void {
    const last = this.#last[channel] ?? -1
    const gap = last < 0 ? 0 : now - last
    if (gap > (this.#gap[channel] ?? 0)) this.#gap[channel] = gap
    if ((this.#first[channel] ?? 0) < 0) this.#first[channel] = now - this.#from
    this.#last[channel] = now
  }

  /** The gaps of some channels, until now. */
  gaps(channels: ReadonlyArray<number>, now: number): ReadonlyArray<number> {
    return channels.map((channel) => Math.max(this.#gap[channel] ?? 0, now - (this.#last[channel] ?? now)))
  }

  /** Since the last ack of some channels. */
  since(channels: ReadonlyArray<number>, now: number): ReadonlyArray<number> {
    return channels.map((channel) => now - (this.#last[channel] ?? now))
  }

  /** From the beginning of the watch to the first ack of each of these channels; those that have had none are left out. */
  firsts(channels: ReadonlyArray<number>): ReadonlyArray<number> {
    return channels.map((channel) => this.#first[channel] ?? -1).filter((first) => first >= 0)
  }
}
