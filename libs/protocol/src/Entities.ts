/**
 * The three entities as the cluster knows them: placement, life cycle and inspection are Effect's; what happens often
 * goes to the shard's owner directly (DESIGN §2). Each answers one Inspect call with its state; `payloads` is what the
 * caller's role may see beyond numbers.
 */
import { Schema } from "effect"
import { ClusterSchema, Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"

/** The entity can't be asked now. */
export class InspectFailed extends Schema.TaggedError<InspectFailed>()("InspectFailed", {
  code: Schema.String,
  /** What the owner says besides, for a person. */
  detail: Schema.String
}) {}

/** Plain JSON: an operator's view of one entity. */
export const Inspection = Schema.Record(Schema.String, Schema.Unknown)

const Inspect = Rpc.make("Inspect", {
  payload: { payloads: Schema.Boolean },
  success: Inspection,
  error: InspectFailed
})

/** Entity id: the channel id. */
export const ChannelEntity = Entity.make("Channel", [Inspect]).annotateRpcs(ClusterSchema.Persisted, false)
/** Entity id: the user id. */
export const UserSessionEntity = Entity.make("UserSession", [Inspect]).annotateRpcs(ClusterSchema.Persisted, false)
/** Entity id: any id of the shard; the presence shard is the shard's own number. */
export const PresenceShardEntity = Entity.make("PresenceShard", [Inspect]).annotateRpcs(ClusterSchema.Persisted, false)
