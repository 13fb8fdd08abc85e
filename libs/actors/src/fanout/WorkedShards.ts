/**
 * Which shards the consumers of this process work on now: all of them on one machine, in a cluster those whose log it
 * writes, so that what is consumed is still in memory. Two may work on a shard while it moves: what they write is the
 * same (†32), and a position only grows.
 */
import { Context } from "effect"

export const WorkedShards = Context.Reference<(shard: number) => boolean>("@parley/actors/WorkedShards", {
  defaultValue: () => () => true
})
