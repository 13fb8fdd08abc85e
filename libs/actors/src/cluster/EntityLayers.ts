/**
 * The entities' shells towards Effect's cluster: placement, life cycle, and the one Inspect call each. What is done to
 * a channel or session goes to its shard's owner directly and never waits in these mailboxes.
 */
import { Effect, Layer } from "effect"
import { Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { ChannelEntity, InspectFailed, PresenceShardEntity, UserSessionEntity } from "@parley/protocol/Entities"
import { OwnerCalls } from "../owner/OwnerCalls.ts"
import type { OwnerRequest } from "../owner/OwnerProtocol.ts"

const options = {
  maxIdleTime: "30 seconds",
  mailboxCapacity: 64,
  concurrency: 1,
  disableFatalDefects: true
} as const

/** Asks the owner, wherever it is. */
export const inspect = (calls: OwnerCalls["Service"], shard: number, request: OwnerRequest) =>
  Effect.callback<Record<string, unknown>, InspectFailed>((resume) => {
    calls.request(shard, request, (reply) => {
      // An inspection is a plain object by construction (owner/Inspect).
      if ("ok" in reply) resume(Effect.succeed(reply.ok as Record<string, unknown>))
      else resume(Effect.fail(new InspectFailed({ code: reply.failure.code, detail: reply.failure.detail ?? "" })))
    })
  })

const Channels = ChannelEntity.toLayer(
  Effect.gen(function* () {
    const { entityId } = yield* Entity.CurrentAddress
    const calls = yield* OwnerCalls
    return ChannelEntity.of({
      Inspect: ({ payload }) =>
        Rpc.fork(
          inspect(calls, calls.shardOf(entityId), {
            _tag: "InspectChannel",
            channel: entityId,
            payloads: payload.payloads
          })
        )
    })
  }),
  options
)

const Sessions = UserSessionEntity.toLayer(
  Effect.gen(function* () {
    const { entityId } = yield* Entity.CurrentAddress
    const calls = yield* OwnerCalls
    return UserSessionEntity.of({
      Inspect: ({ payload }) =>
        Rpc.fork(
          inspect(calls, calls.shardOf(entityId), {
            _tag: "InspectSession",
            user: entityId,
            payloads: payload.payloads
          })
        )
    })
  }),
  options
)

const PresenceShards = PresenceShardEntity.toLayer(
  Effect.gen(function* () {
    const { shardId } = yield* Entity.CurrentAddress
    const calls = yield* OwnerCalls
    return PresenceShardEntity.of({
      Inspect: () => Rpc.fork(inspect(calls, shardId.id, { _tag: "InspectPresence", shard: shardId.id }))
    })
  }),
  options
)

export const layerEntities = Layer.mergeAll(Channels, Sessions, PresenceShards)
