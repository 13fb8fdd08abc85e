/**
 * The entities' shells towards Effect's cluster: placement, life cycle, and the one Inspect call each. What is done to
 * a channel or session goes to its shard's owner directly and never waits in these mailboxes.
 */
import { Effect, Layer } from "effect"
import { Entity } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { InspectFailed } from "@parley/protocol/Entities"
import { OwnerCalls } from "../owner/OwnerCalls.ts"
import type { OwnerRequest } from "../owner/OwnerProtocol.ts"
import { shardEntities, shardNumber } from "./ShardEntities.ts"

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

export const layerEntities = (shardCount: number) => {
  const { channel, presence, session } = shardEntities(shardCount)
  return Layer.mergeAll(
    channel.toLayer(
      Effect.gen(function* () {
        const { entityId } = yield* Entity.CurrentAddress
        const calls = yield* OwnerCalls
        return channel.of({
          Inspect: ({ payload: { payloads } }) =>
            Rpc.fork(inspect(calls, calls.shardOf(entityId), { _tag: "InspectChannel", channel: entityId, payloads }))
        })
      }),
      options
    ),
    session.toLayer(
      Effect.gen(function* () {
        const { entityId } = yield* Entity.CurrentAddress
        const calls = yield* OwnerCalls
        return session.of({
          Inspect: ({ payload: { payloads } }) =>
            Rpc.fork(inspect(calls, calls.shardOf(entityId), { _tag: "InspectSession", user: entityId, payloads }))
        })
      }),
      options
    ),
    presence.toLayer(
      Effect.gen(function* () {
        const { shardId } = yield* Entity.CurrentAddress
        const calls = yield* OwnerCalls
        const shard = shardNumber(shardId.group)
        return presence.of({ Inspect: () => Rpc.fork(inspect(calls, shard, { _tag: "InspectPresence", shard })) })
      }),
      options
    )
  )
}
