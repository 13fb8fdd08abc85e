/** A runner's part in evening out what shards have to do, with its metric; where it is turned off, none. */
import { Effect, Layer } from "effect"
import { Balancer } from "@parley/actors/cluster/Balancer"
import { ClusterLeases } from "@parley/actors/cluster/ClusterLeases"
import { RunnerLeases } from "@parley/actors/cluster/RunnerLeases"
import { total } from "./http/MetricKinds.ts"
import { addMetricSource } from "./http/MetricSources.ts"
import { NodeConfig } from "./NodeConfig.ts"
import { ShardLoads } from "./ShardLoads.ts"

const moves = total(
  "parley_balance_moves_total",
  "Moves of shards that this process had made because of their load, by what became of them (begun, done, given_up)."
)

export const layerShardBalance = Layer.effectDiscard(
  Effect.gen(function* () {
    const { balanceByLoad } = yield* NodeConfig
    if (!balanceByLoad) return
    const { bucket, view } = yield* ClusterLeases
    const { keeper } = yield* RunnerLeases
    const loads = yield* ShardLoads
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const balancer = new Balancer({
      name: keeper.name,
      bucket,
      view,
      state: () => keeper.placementState,
      loadOf: (shard) => loads.of(shard),
      now: () => performance.now(),
      log: (message, what) => runFork(Effect.logInfo(message).pipe(Effect.annotateLogs(what)))
    })
    const { counts } = balancer
    yield* addMetricSource(
      Effect.gen(function* () {
        yield* moves(counts.begun, { state: "begun" })
        yield* moves(counts.done, { state: "done" })
        yield* moves(counts.givenUp, { state: "given_up" })
      })
    )
    yield* Effect.acquireRelease(
      Effect.sync(() => balancer.start()),
      () => Effect.sync(() => balancer.stop())
    )
  })
)
