/** What an operator sees of a cluster and wants of it, as the lease bucket has it; a server that is alone has none. */
import { Context, Effect, Layer } from "effect"
import { ClusterLeases } from "@parley/actors/cluster/ClusterLeases"
import type { LeaseBucketUnavailable } from "@parley/actors/cluster/LeaseBucket"
import type { ClusterStatus } from "@parley/protocol/HttpApi"
import { NodeConfig } from "./NodeConfig.ts"

/** A runner or shard that is not there. */
export interface Unknown {
  readonly _tag: "Unknown"
  readonly what: string
}

type Wish = Effect.Effect<void, LeaseBucketUnavailable | Unknown>

export interface Operations {
  readonly status: () => (typeof ClusterStatus)["Type"]
  readonly cordon: (runner: string) => Wish
  readonly uncordon: (runner: string) => Wish
  readonly move: (shard: number, runner: string) => Wish
  readonly release: (shard: number) => Wish
}

export const ClusterOperations = Context.Reference<Operations | undefined>("@parley/node/ClusterOperations", {
  defaultValue: () => undefined
})

export const layerClusterOperations = Layer.effect(
  ClusterOperations,
  Effect.gen(function* () {
    const { cluster } = yield* NodeConfig
    const leases = yield* ClusterLeases
    return operationsOf(cluster, leases)
  })
)

export const operationsOf = (cluster: string, leases: ClusterLeases["Service"]): Operations => {
  const { shardCount, timings, view } = leases
  const known = (runner: string, wish: Wish): Wish =>
    view.runners.has(runner) ? wish : Effect.fail({ _tag: "Unknown", what: `there is no runner ${runner}` })
  const inRange = (shard: number, wish: Wish): Wish =>
    shard >= 1 && shard <= shardCount
      ? wish
      : Effect.fail({ _tag: "Unknown", what: `shard ${shard} is not one of 1 to ${shardCount}` })
  return {
    status: () => {
      const now = performance.now()
      const held = new Map<string, number>()
      const shards = Array.from({ length: shardCount }, (_, index) => {
        const shard = index + 1
        const { epoch = 0, runner = "" } = view.shards.get(shard) ?? {}
        held.set(runner, (held.get(runner) ?? 0) + 1)
        return { shard, runner, epoch, wanted: view.moves.get(shard) ?? "" }
      })
      const runners = [...view.runners]
        .filter(([, { state }]) => state !== "gone")
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([runner, { seenAt, state }]) => ({
          runner,
          state:
            now - seenAt > timings.leaseMs ? ("silent" as const) : state === "draining" ? state : ("active" as const),
          shards: held.get(runner) ?? 0,
          cordoned: view.cordoned.has(runner),
          heard_ms: Math.max(0, Math.round(now - seenAt))
        }))
      return { cluster, runners, shards }
    },
    cordon: (runner) => known(runner, leases.cordon(runner)),
    uncordon: (runner) => known(runner, leases.uncordon(runner)),
    move: (shard, runner) => inRange(shard, known(runner, leases.move(shard, runner))),
    release: (shard) => inRange(shard, leases.forgetMove(shard))
  }
}
