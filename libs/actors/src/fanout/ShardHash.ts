/**
 * Which shard an entity belongs to, without an allocation: edges ask for every call. Effect's sharding is told the same
 * (`cluster/ShardEntities`).
 */

/** 1 to `shardCount`. */
export const shardOf = (id: string, shardCount: number): number => {
  let hash = 5381
  for (let i = id.length; i > 0;) hash = Math.imul(hash, 33) ^ id.charCodeAt(--i)
  hash = (hash & 0xbfffffff) | ((hash >>> 1) & 0x40000000)
  // As an integer: a remainder of -0 would have V8 call C's fmod for each.
  return Math.abs((hash % shardCount) | 0) + 1
}
