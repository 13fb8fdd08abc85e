/**
 * A whole node as a list of layers, outermost first: what is released first stands on top. Embedded, log and stores are
 * SQLite in one data directory and the bus is a function call; in a cluster these layers are others, and nothing else
 * changes.
 */
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { checkDatabaseHeads } from "@parley/storage/sqlite/DatabaseHeads"
import { DataDirectoryLock } from "@parley/storage/sqlite/DataDirectoryLock"
import { SqliteEventLog } from "@parley/storage/sqlite/SqliteEventLog"
import { layer as layerSqliteStores } from "@parley/storage/sqlite/SqliteStores"
import { layerClusterOperations } from "./ClusterOperations.ts"
import { subjectsOf } from "@parley/actors/cluster/Subjects"
import { ClusterConnections } from "./ClusterConnections.ts"
import { layerClusterRuntime, layerEdgeRuntime, layerWorkerRuntime } from "./ClusterRuntime.ts"
import { layerClusterStorage, layerEdgeStorage, layerWorkerStorage } from "./ClusterStorage.ts"
import { Authentication } from "./edge/Authentication.ts"
import { Edge, Listening } from "./edge/Edge.ts"
import { EdgeDirectory } from "./edge/EdgeDirectory.ts"
import { logFile, storeFile } from "./EmbeddedFiles.ts"
import { layerHttp } from "./http/Http.ts"
import { layerWorkerHttp } from "./http/WorkerHttp.ts"
import { layerConsumerMetrics } from "./http/ConsumerMetrics.ts"
import { layerOwnerMetrics } from "./http/OwnerMetrics.ts"
import { checkNotMoved } from "./migrate/MovedDirectory.ts"
import { NodeConfig } from "./NodeConfig.ts"
import { clusterPrefix, isRunner, isWorkerOnly } from "./NodeIdentity.ts"
import { layerRuntime } from "./Runtime.ts"
import { layerShardBalance } from "./ShardBalance.ts"
import { layerNodeStart } from "./NodeStart.ts"
import { layerAckBeforeCommit, layerLoseLastLink, layerNextRelease, layerStall } from "./TestFaults.ts"
import {
  layerReadinessOfCluster,
  layerReadinessOfEdge,
  layerReadinessOfShards,
  layerReadinessOfWorker
} from "./ReadinessOfShards.ts"
import { checkShards } from "./ShardCount.ts"
import { ShardLoads } from "./ShardLoads.ts"

/** Log and stores in the data directory, which nobody else has. */
const layerEmbeddedStorage = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    yield* DataDirectoryLock.acquire(settings.data)
    yield* checkNotMoved(settings.data)
    yield* checkShards(settings.data, settings.shards)
    yield* checkDatabaseHeads(settings.data, [logFile, storeFile])
    // The log first: where it is damaged, the store is not even opened.
    return layerSqliteStores({ file: join(settings.data, storeFile) }).pipe(
      Layer.provideMerge(
        SqliteEventLog.layer({
          file: join(settings.data, logFile),
          softBytes: settings.logSoftBytes,
          hardBytes: settings.logHardBytes,
          commitWindowMs: settings.commitWindowMs,
          synchronous: settings.logSynchronous
        })
      )
    )
  })
)

const layerOwners = Layer.unwrap(
  Effect.gen(function* () {
    const { fanoutThreshold, residentBytes, shards, testFault } = yield* NodeConfig
    const bytes = Math.floor(residentBytes / shards)
    const runtime = layerRuntime({
      shardCount: shards,
      bounds: { residentBytesMax: bytes, warmBytesMax: bytes, fanoutThreshold },
      forgetIds: testFault === "forget-ids"
    })
    const said = Layer.merge(layerOwnerMetrics, layerConsumerMetrics)
    const ready = Layer.merge(layerReadinessOfShards(shards), said).pipe(Layer.provideMerge(runtime))
    if (testFault === "lose-last-link") return layerLoseLastLink.pipe(Layer.provideMerge(ready))
    if (testFault === "stall") return layerStall.pipe(Layer.provideMerge(ready))
    return testFault === "ack-before-commit" ? ready.pipe(Layer.provide(layerAckBeforeCommit)) : ready
  })
)

const layerEmbeddedNode = layerHttp.pipe(
  Layer.provide(EdgeDirectory.layerAlone),
  Layer.provideMerge(Edge.layer),
  // After the lock: in development mode the signing secret is made in the data directory.
  Layer.provideMerge(Authentication.layer),
  Layer.provideMerge(layerOwners),
  Layer.provideMerge(layerEmbeddedStorage)
)

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

const layerEdgeNode = layerEdgeOverStorage.pipe(
  Layer.provideMerge(layerEdgeStorage),
  Layer.provide(layerLockedDirectory)
)

const layerWorkerNode = layerWorkerOverStorage.pipe(
  Layer.provideMerge(layerWorkerStorage),
  Layer.provide(layerLockedDirectory)
)

const layerClusterNode = layerRunnerOverStorage.pipe(
  Layer.provideMerge(layerClusterStorage),
  Layer.provide(layerLockedDirectory)
)

/** Of all that a node is made of, the command needs to know where it listens. */
const layerListening = Layer.effect(
  Listening,
  Effect.map(Listening, (listening) => listening)
)

const embedded = layerListening.pipe(Layer.provide(layerEmbeddedNode))
const clustered = layerListening.pipe(Layer.provide(layerClusterNode))
const edgeOnly = layerListening.pipe(Layer.provide(layerEdgeNode))
const workerOnly = layerListening.pipe(Layer.provide(layerWorkerNode))
type NodeError =
  | Layer.Error<typeof embedded>
  | Layer.Error<typeof clustered>
  | Layer.Error<typeof edgeOnly>
  | Layer.Error<typeof workerOnly>

/** Everything that `parley serve` runs, but the settings. */
export const layerNode = Layer.unwrap(
  Effect.map(NodeConfig, (settings): Layer.Layer<Listening, NodeError, NodeConfig> => {
    if (settings.cluster === "") return embedded
    if (isRunner(settings)) return clustered
    return isWorkerOnly(settings) ? workerOnly : edgeOnly
  })
)
