/** What an operator sees of a cluster and wants of it, as the lease bucket has it; a server that is alone has none. */
import { Context, Effect, Layer } from "effect"
import { ClusterLeases } from "@parley/actors/cluster/ClusterLeases"
import { ClusterWork } from "@parley/actors/cluster/ClusterWork"
import type { LeaseBucketUnavailable } from "@parley/actors/cluster/LeaseBucket"
import type { ClusterStatus } from "@parley/protocol/HttpApi"
import { EdgeDirectory } from "./edge/EdgeDirectory.ts"
import { NodeConfig } from "./NodeConfig.ts"
import { ShardLoads } from "./ShardLoads.ts"

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
  /** An edge's clients go elsewhere; with false it takes connections again. */
  readonly leave: (edge: string, leaves: boolean) => Wish
}

export const ClusterOperations = Context.Reference<Operations | undefined>("@parley/node/ClusterOperations", {
  defaultValue: () => undefined
})

export const layerClusterOperations = Layer.effect(
  ClusterOperations,
  Effect.gen(function* () {
    const { cluster } = yield* NodeConfig
    const leases = yield* ClusterLeases
    return operationsOf(cluster, leases, yield* ClusterWork, yield* ShardLoads, yield* EdgeDirectory)
  })
)

/** A shard with more than this share of what each runner would have if all had the same is hot, … */
const hotShare = 0.5
/** … where there is anything to do at all, a second. */
const hotLoadMin = 20

export const operationsOf = (
  cluster: string,
  leases: Omit<ClusterLeases["Service"], "bucket">,
  work: ClusterWork["Service"],
  loads: ShardLoads["Service"],
  edges: Pick<EdgeDirectory["Service"], "all" | "leave">
): Operations => {
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
      const loadOf = new Map<string, number>()
      const shards = Array.from({ length: shardCount }, (_, index) => {
        const shard = index + 1
        const { epoch = 0, runner = "" } = view.shards.get(shard) ?? {}
        const load = runner === "" ? 0 : (loads.of(shard) ?? 0)
        held.set(runner, (held.get(runner) ?? 0) + 1)
        loadOf.set(runner, (loadOf.get(runner) ?? 0) + load)
        const { moves, recent } = view.balance
        const last = recent.findLast((move) => move.shard === shard)
        const balanced = moves.some((move) => move.shard === shard) || (last !== undefined && last.to === runner)
        return { shard, runner, epoch, wanted: view.moves.get(shard) ?? "", balanced, load }
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
          load: oneDecimal(loadOf.get(runner) ?? 0),
          heard_ms: Math.max(0, Math.round(now - seenAt))
        }))
      const worked = Map.groupBy(shards, ({ shard }) => work.workerOf(shard))
      const workers = work.workers.map((worker) => ({
        worker,
        shards: worked.get(worker)?.length ?? 0,
        heard_ms: Math.max(0, Math.round(now - (view.workers.get(worker)?.seenAt ?? now)))
      }))
      const total = shards.reduce((sum, { load }) => sum + load, 0)
      const hotFrom = Math.max(hotLoadMin, (hotShare * total) / Math.max(1, runners.length))
      return {
        cluster,
        runners,
        workers,
        edges: edges.all().map(({ heardMs, name, ...edge }) => ({ edge: name, ...edge, heard_ms: heardMs })),
        shards: shards.map((shard) => ({ ...shard, hot: runners.length > 1 && shard.load > hotFrom }))
      }
    },
    cordon: (runner) => known(runner, leases.cordon(runner)),
    uncordon: (runner) => known(runner, leases.uncordon(runner)),
    move: (shard, runner) => inRange(shard, known(runner, leases.move(shard, runner))),
    release: (shard) => inRange(shard, leases.forgetMove(shard)),
    leave: (edge, leaves) =>
      Effect.flatMap(edges.leave(edge, leaves), (heard) =>
        heard ? Effect.void : Effect.fail({ _tag: "Unknown", what: `there is no edge ${edge}` })
      )
  }
}

const oneDecimal = (load: number): number => Math.round(load * 10) / 10
