/** Whole runners over real NATS in one process: a connection and layers each, and one log in memory for all of them. */
import type { NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { Runners, Sharding } from "effect/cluster"
import type { ClusterLeasesOptions } from "@parley/actors/cluster/ClusterLeases"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { layerAllOwned, layerNatsClient, layerNatsLeases, layerNatsRunner } from "@parley/actors/cluster/NatsCluster"
import { OwnerDirectory } from "@parley/actors/cluster/OwnerDirectory"
import { RunnerLeases } from "@parley/actors/cluster/RunnerLeases"
import { CommitSignal } from "@parley/actors/fanout/CommitSignal"
import { LocalBus } from "@parley/actors/fanout/LocalBus"
import { MemoryEventLog } from "@parley/storage/memory/MemoryEventLog"
import { layer as layerMemoryStores } from "@parley/storage/memory/MemoryStores"
import { connected, temporaryBucket, uniqueName } from "./RealNats.ts"

export const shardCount = 16

const layerShared = Layer.mergeAll(
  LocalBus.layer({ shardCount }),
  CommitSignal.layer,
  MemoryEventLog.layer({}),
  layerMemoryStores
)

/** What the nodes of one cluster share: the log, the stores, and a bus that knows all of them. */
export const cluster = Effect.gen(function* () {
  const bucket = yield* temporaryBucket
  const shared = yield* Layer.build(Layer.fresh(layerShared))
  const prefix = uniqueName("parley-test")

  const start = (connection?: NatsConnection) =>
    Effect.gen(function* () {
      const leases = connection ?? (yield* connected())
      const name = uniqueName("node")
      const options: ClusterLeasesOptions = { connection: leases, bucket, replicas: 3, shardCount }
      const scope = yield* Scope.make()
      const layer = layerNatsRunner({ leases: options, calls: yield* connected(), prefix, name, node: name }).pipe(
        Layer.provideMerge(layerNatsLeases(options)),
        Layer.provide(Layer.succeedContext(shared))
      )
      const context = yield* Layer.buildWithScope(Layer.fresh(layer), scope)
      yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
      const { keeper, machineId } = Context.get(context, RunnerLeases)
      return {
        name,
        context,
        keeper,
        machineId,
        runner: Context.get(context, LocalRunnerService).runner,
        sharding: Context.get(context, Sharding.Sharding),
        runners: Context.get(context, Runners.Runners),
        directory: Context.get(context, OwnerDirectory),
        /** As an operator stops it. */
        stop: Scope.close(scope, Exit.void),
        /** As `kill -9` does, as far as others can see: no more heartbeats, and nothing is given back. */
        kill: Effect.sync(() => keeper.stop())
      }
    })
  /** A process without the runner role: what entities are called with. */
  const client = Effect.gen(function* () {
    const leases: ClusterLeasesOptions = { connection: yield* connected(), bucket, replicas: 3, shardCount }
    const layer = layerNatsClient({ leases, calls: yield* connected(), prefix, node: "client" }).pipe(
      Layer.provideMerge(layerNatsLeases(leases))
    )
    return yield* Layer.build(Layer.fresh(Layer.merge(layer, layerAllOwned(shardCount).pipe(Layer.provide(layer)))))
  })

  return { shared, start, client }
})

export type TestNode = Effect.Success<ReturnType<Effect.Success<typeof cluster>["start"]>>

/** All shards are served, each by one node. */
export const allServed = (nodes: ReadonlyArray<TestNode>) => {
  const served = nodes.flatMap(({ runner }) => runner.shards)
  return served.length === shardCount && new Set(served).size === shardCount
}
