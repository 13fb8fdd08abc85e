/**
 * Everything behind the edge of a node of a cluster: the bus, the leases, and, where the node is a runner, its shards
 * with their entities and the consumers of their logs; of a worker, the consumers alone. The same parts as `Runtime` has
 * on one machine, over NATS.
 */
import { Effect, Layer } from "effect"
import { layerAllOwned, layerNatsClient, layerNatsLeases, layerNatsRunner } from "@parley/actors/cluster/NatsCluster"
import { NatsBus } from "@parley/actors/cluster/NatsBus"
import {
  ClusterWork,
  layerWorkOfRunner,
  layerWorkOfWorker,
  layerWorkWithoutWorkers
} from "@parley/actors/cluster/ClusterWork"
import { workerName } from "@parley/actors/cluster/Subjects"
import { layerMemberFanout } from "@parley/actors/fanout/MemberFanout"
import { ParkedOperations } from "@parley/actors/fanout/Parking"
import { Nats } from "@parley/storage/jetstream/Nats"
import { ClusterConnections } from "./ClusterConnections.ts"
import { layerBusMetrics } from "./http/BusMetrics.ts"
import { layerConsumerMetrics } from "./http/ConsumerMetrics.ts"
import { layerOwnerMetrics } from "./http/OwnerMetrics.ts"
import { layerParkedElsewhere } from "./workers/ParkedElsewhere.ts"
import { NodeConfig } from "./NodeConfig.ts"
import { clusterPrefix, isRunner, isWorker, leaseBucket, nodeName } from "./NodeIdentity.ts"
import { freshStart, NodeStart, runnerNameOf } from "./NodeStart.ts"
import { layerPersister, PersisterGather } from "./workers/Persister.ts"

/** Least time between two records of a shard under load: larger records, fewer round trips to three disks. */
const commitWindowMs = 3

/** Who was woken from the store a second ago wakes at a takeover without it. */
const incrementalTicks = 2

/** Eight seconds. Whoever is told of a cursor is told at once. */
const cursorTicks = 16

/**
 * What costs Cassandra is a partition that is written, much more than its rows: the longer a round gathers, the more messages
 * of a channel are one write, and its head is written once for all. Nobody waits for it: what is not written is in memory
 * here, and in the log. A few shards at a time: a round of all of them would hold up who does wait, every eight seconds.
 */
const persisterGather = { fewMs: 250, busyMs: 8_000, busyPerSecond: 64, sliceMs: 100 }

/** Those that hold the log; its front is cut behind them. */
const layerConsumers = Layer.merge(layerMemberFanout, layerPersister).pipe(
  Layer.provide(Layer.succeed(PersisterGather, persisterGather))
)

/** What every node has of the cluster, by its settings and connections. */
const clusterOf = Effect.gen(function* () {
  const settings = yield* NodeConfig
  const { calls, links } = yield* ClusterConnections
  const { log } = yield* Nats
  const [prefix, node, shardCount] = [clusterPrefix(settings), nodeName(settings), settings.shards]
  const leases = {
    connection: log,
    bucket: leaseBucket(settings),
    replicas: Number(settings.logReplicas),
    shardCount,
    joins: !isRunner(settings)
  }
  const below = NatsBus.layer({ calls, links, prefix, node, shardCount }).pipe(
    Layer.provideMerge(ClusterWork.layer),
    Layer.provideMerge(layerNatsLeases(leases)),
    Layer.provideMerge(ParkedOperations.layer)
  )
  return { settings, below, cluster: { leases, calls, prefix, node } }
})

/** Of an edge that has no shards. */
export const layerEdgeRuntime = Layer.unwrap(
  Effect.map(clusterOf, ({ below, cluster, settings }) =>
    Layer.mergeAll(layerAllOwned(settings.shards), layerBusMetrics, layerParkedElsewhere("")).pipe(
      Layer.provideMerge(layerNatsClient(cluster)),
      Layer.provideMerge(below)
    )
  )
)

export const layerClusterRuntime = Layer.unwrap(
  Effect.gen(function* () {
    const { below, cluster, settings } = yield* clusterOf
    const start = (yield* NodeStart) ?? freshStart()
    const name = runnerNameOf(settings, start)
    const bytes = Math.floor(settings.residentBytes / settings.shards)
    const runner = layerNatsRunner({
      ...cluster,
      name,
      works: isWorker(settings),
      balances: settings.balanceByLoad,
      bounds: {
        residentBytesMax: bytes,
        warmBytesMax: bytes,
        fanoutThreshold: settings.fanoutThreshold,
        commitWindowMs,
        incrementalTicks,
        cursorTicks
      },
      forgetIds: settings.testFault === "forget-ids"
    })
    const metrics = Layer.mergeAll(layerOwnerMetrics, layerConsumerMetrics, layerBusMetrics)
    const work = isWorker(settings) ? layerWorkOfRunner : layerWorkWithoutWorkers
    return Layer.mergeAll(layerConsumers, layerAllOwned(settings.shards), metrics).pipe(
      Layer.provideMerge(layerParkedElsewhere(name)),
      Layer.provide(work),
      Layer.provideMerge(runner),
      Layer.provideMerge(below)
    )
  })
)

/** Of a process that only runs consumers. */
export const layerWorkerRuntime = Layer.unwrap(
  Effect.gen(function* () {
    const { below, settings } = yield* clusterOf
    const name = workerName(nodeName(settings), (yield* NodeStart) ?? freshStart())
    return Layer.mergeAll(layerConsumers, layerConsumerMetrics, layerBusMetrics).pipe(
      Layer.provideMerge(layerParkedElsewhere(name)),
      Layer.provide(layerWorkOfWorker(name)),
      Layer.provideMerge(below)
    )
  })
)
