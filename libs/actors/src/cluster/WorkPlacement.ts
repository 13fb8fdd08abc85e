/**
 * Who runs the consumers of which shard's log: a pure function of what the lease bucket says, so that all processes that
 * have seen the same come to the same answer without asking each other. Where they have not seen the same, two work on a
 * shard for a moment, which is harmless (†32), or nobody does, and the log keeps what there is.
 *
 * A runner with the worker role works on the shards that it holds, whose records are in its memory. All other shards are
 * placed over the workers by rank (a hash of worker and shard), as many on each as on the others: when a worker goes or
 * comes, most of what the others have stays where it is. Without a worker a runner works on its own shards all the same.
 */

export interface WorkState {
  readonly shardCount: number
  /** Processes that work and hold no shards; those that live, in any order. */
  readonly workers: ReadonlyArray<string>
  /** The living runner that holds the shard. */
  readonly holderOf: (shard: number) => Holder | undefined
}

export interface Holder {
  readonly runner: string
  /** It has the worker role. */
  readonly works: boolean
}

/** The process for each shard, by its number; undefined: there is none. */
export const placeWork = ({ holderOf, shardCount, workers }: WorkState): ReadonlyArray<string | undefined> => {
  const placed: Array<string | undefined> = Array.from({ length: shardCount + 1 })
  const free: Array<number> = []
  for (let shard = 1; shard <= shardCount; shard++) {
    const holder = holderOf(shard)
    if (holder?.works === true || workers.length === 0) placed[shard] = holder?.runner
    else free.push(shard)
  }
  const even = Math.floor(free.length / Math.max(1, workers.length))
  /** Workers that have one more than the others. */
  let over = free.length - even * workers.length
  const shares = new Map([...workers].sort().map((worker) => [worker, 0]))
  for (const shard of free) {
    let best: string | undefined
    for (const [worker, count] of shares) {
      if (
        (count < even || (count === even && over > 0)) &&
        (best === undefined || rank(worker, shard) > rank(best, shard))
      )
        best = worker
    }
    if (best === undefined) break
    placed[shard] = best
    const count = shares.get(best) ?? 0
    if (count === even) over--
    shares.set(best, count + 1)
  }
  return placed
}

/** FNV-1a over both, then mixed: neighbouring shards have ranks that have nothing to do with each other. */
const rank = (worker: string, shard: number): number => {
  let hash = 0x81_1c_9d_c5
  for (const char of `${worker}/${shard}`) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01_00_01_93)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85_eb_ca_6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2_b2_ae_35)
  return (hash ^ (hash >>> 16)) >>> 0
}
