/**
 * Which shards the consumers of this process work on now: all of them on one machine; in a cluster those whose log it
 * writes, so that what is consumed is still in memory, or, in a worker, those that are placed there. Two may work on a
 * shard while it moves: what they write is the same (†32), and a position only grows.
 */
import { Context } from "effect"

export interface Work {
  readonly works: (shard: number) => boolean
  /**
   * Tells of shards that are worked on from now on, until what it returns is called. Where a shard is committed to when it
   * comes, as one that is opened here is, there is nothing to tell.
   */
  readonly onBegun: (begun: (shard: number) => void) => () => void
  /**
   * What is consumed was appended by another process: a replica of the log that is asked right after the commit may not
   * have it yet, and is asked again.
   */
  readonly remote: boolean
}

/** Work in the process that writes the log. */
export const worksWhere = (works: (shard: number) => boolean): Work => ({
  works,
  onBegun: () => () => {},
  remote: false
})

export const WorkedShards = Context.Reference<Work>("@parley/actors/WorkedShards", {
  defaultValue: () => worksWhere(() => true)
})
