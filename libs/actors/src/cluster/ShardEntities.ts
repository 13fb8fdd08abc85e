/**
 * The entities as Effect's sharding is to place them: each shard is a shard group of its own. Effect gives the shards of
 * a group to runners by a ring of hashes, which can't be told to leave a shard where it is; of a group with one shard it
 * is told plainly by which runner lists the group (`NatsRunnerStorage`). Whoever calls an entity takes it from here.
 */
import { ClusterSchema } from "effect/cluster"
import { ChannelEntity, PresenceShardEntity, UserSessionEntity } from "@parley/protocol/Entities"
import { shardOf } from "../fanout/ShardHash.ts"

export const shardGroup = (shard: number): string => String(shard)

export const shardGroups = (shardCount: number): ReadonlyArray<string> =>
  Array.from({ length: shardCount }, (_, i) => shardGroup(i + 1))

/** Of a group, or of Effect's name for a shard: `7:1` is shard 7. */
export const shardNumber = (groupOrShardId: string): number => Number.parseInt(groupOrShardId, 10)

export const shardEntities = (shardCount: number) => {
  const groupOf = (id: string) => shardGroup(shardOf(id, shardCount))
  return {
    channel: ChannelEntity.annotate(ClusterSchema.ShardGroup, groupOf),
    session: UserSessionEntity.annotate(ClusterSchema.ShardGroup, groupOf),
    presence: PresenceShardEntity.annotate(ClusterSchema.ShardGroup, groupOf)
  }
}
