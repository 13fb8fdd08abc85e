/** Nodes of a cluster, by their roles, as lists of layers, outermost first. */
import { Effect, Layer } from "effect"
import { DataDirectoryLock } from "@parley/storage/sqlite/DataDirectoryLock"
import { subjectsOf } from "@parley/actors/cluster/Subjects"
import { ClusterConnections } from "./ClusterConnections.ts"
import { layerClusterOperations } from "./ClusterOperations.ts"
import { layerClusterRuntime, layerEdgeRuntime, layerWorkerRuntime } from "./ClusterRuntime.ts"
import { layerClusterStorage, layerEdgeStorage, layerWorkerStorage } from "./ClusterStorage.ts"
import { Authentication } from "./edge/Authentication.ts"
import { Edge } from "./edge/Edge.ts"
import { EdgeDirectory } from "./edge/EdgeDirectory.ts"
import { layerHttp } from "./http/Http.ts"
import { layerWorkerHttp } from "./http/WorkerHttp.ts"
import { NodeConfig } from "./NodeConfig.ts"
import { clusterPrefix } from "./NodeIdentity.ts"
import { layerNodeStart } from "./NodeStart.ts"
import { layerReadinessOfCluster, layerReadinessOfEdge, layerReadinessOfWorker } from "./ReadinessOfShards.ts"
import { layerShardBalance } from "./ShardBalance.ts"
import { ShardLoads } from "./ShardLoads.ts"
import { layerNextRelease } from "./TestFaults.ts"

/** The other edges; in the connection of calls, which a burst of delivery does not delay. */
const layerClusterEdges = Layer.unwrap(
  Effect.gen(function* () {
    const { calls } = yield* ClusterConnections
    const { edges, edgeWish } = subjectsOf(clusterPrefix(yield* NodeConfig))
    return EdgeDirectory.layerNats({ connection: calls, subject: edges, wishSubject: edgeWish })
  })
)

/** The data directory of a node of a cluster has its keys, and nothing that others miss. */
const layerLockedDirectory = Layer.effectDiscard(
  Effect.flatMap(NodeConfig, ({ data }) => DataDirectoryLock.acquire(data))
)

const layerClusterLoads = Layer.unwrap(
  Effect.gen(function* () {
    const { calls } = yield* ClusterConnections
    return ShardLoads.layerNats({ connection: calls, subject: subjectsOf(clusterPrefix(yield* NodeConfig)).loads })
  })
)

const layerClusterEdge = layerHttp.pipe(
  Layer.provide(layerClusterOperations),
  Layer.provide([layerClusterEdges, layerClusterLoads]),
  Layer.provideMerge(Edge.layer),
  Layer.provideMerge(Authentication.layer)
)

/** A node that has no shards: its user at NATS may do less, and it needs no log and no Redis. */
export const layerEdgeOverStorage = layerClusterEdge.pipe(
  Layer.provide(layerReadinessOfEdge),
  Layer.provideMerge(layerEdgeRuntime),
  Layer.provide([layerNodeStart, layerNextRelease]),
  Layer.provideMerge(ClusterConnections.layer)
)

export const layerRunnerOverStorage = layerClusterEdge.pipe(
  Layer.provideMerge(layerShardBalance.pipe(Layer.provide(layerClusterLoads))),
  Layer.provide(layerReadinessOfCluster),
  Layer.provideMerge(layerClusterRuntime),
  Layer.provide([layerNodeStart, layerNextRelease]),
  Layer.provideMerge(ClusterConnections.layer)
)

/** A node that only runs the log's consumers: nobody connects to it, but for its health and metrics. */
export const layerWorkerOverStorage = layerWorkerHttp.pipe(
  Layer.provide(layerReadinessOfWorker),
  Layer.provideMerge(layerWorkerRuntime),
  Layer.provide([layerNodeStart, layerNextRelease]),
  Layer.provideMerge(ClusterConnections.layer)
)

export const layerEdgeNode = layerEdgeOverStorage.pipe(
  Layer.provideMerge(layerEdgeStorage),
  Layer.provide(layerLockedDirectory)
)

export const layerWorkerNode = layerWorkerOverStorage.pipe(
  Layer.provideMerge(layerWorkerStorage),
  Layer.provide(layerLockedDirectory)
)

export const layerClusterNode = layerRunnerOverStorage.pipe(
  Layer.provideMerge(layerClusterStorage),
  Layer.provide(layerLockedDirectory)
)
