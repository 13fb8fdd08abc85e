/**
 * Which shards the consumers of this process work on now: all of them on one machine, in a cluster those whose log it
 * writes, so that what is consumed is still in memory. Two may work on a shard while it moves: what they write is the
 * same (†32), and a position only grows.
 */
import { Context } from "effect"

export const WorkedShards = Context.Reference<(shard: number) => boolean>("@parley/actors/WorkedShards", {
  defaultValue: () => () => true
})

/**
 * Of which shards a consumer may tell the store how far their log has come: not of one whose owner has yet to hear how far
 * the store knew it to be, for he would take what came since for the lost end of a longer log (†24).
 */
export const PlacedShards = Context.Reference<(shard: number) => boolean>("@parley/actors/PlacedShards", {
  defaultValue: () => () => true
})
