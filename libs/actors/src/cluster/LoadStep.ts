/**
 * The best step between two runners to even out what they have to do: one shard to the other, or an exchange of two, which
 * leaves the number of shards as it is. Pure.
 */

export interface LoadedShard {
  readonly shard: number
  readonly load: number
}

export interface LoadedShare<A extends LoadedShard> {
  /** Of all its shards. */
  readonly load: number
  /** How much it is to have, relative to others. */
  readonly weight: number
  /** Those that may be moved. */
  readonly shards: ReadonlyArray<A>
}

export interface LoadStep<A extends LoadedShard> {
  readonly give: A
  readonly take: A | undefined
  /** The larger of the two runners' loads afterwards, by their weights. */
  readonly peak: number
}

export interface StepsAllowed {
  readonly alone: boolean
  readonly exchange: boolean
}

/** Peaks that differ by less, relative to them, are the same. */
const samePeak = 1e-6

/** The one with the lowest peak, and of several such the one that moves the least; undefined: none is allowed. */
export const bestStep = <A extends LoadedShard>(
  high: LoadedShare<A>,
  low: LoadedShare<A>,
  allowed: StepsAllowed
): LoadStep<A> | undefined => {
  const takes: ReadonlyArray<A | undefined> = [
    ...(allowed.alone ? [undefined] : []),
    ...(allowed.exchange ? low.shards : [])
  ]
  let best: LoadStep<A> | undefined
  let least = Infinity
  for (const give of high.shards) {
    for (const take of takes) {
      const moved = give.load - (take?.load ?? 0)
      const peak = Math.max((high.load - moved) / high.weight, (low.load + moved) / low.weight)
      const touched = give.load + (take?.load ?? 0)
      const near = best !== undefined && Math.abs(peak - best.peak) <= samePeak * best.peak
      if (best !== undefined && (near ? touched >= least : peak >= best.peak)) continue
      best = { give, take, peak }
      least = touched
    }
  }
  return best
}
