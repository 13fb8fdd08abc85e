/** A node that is alone, as a list of layers, outermost first: log and stores are SQLite in its data directory. */
import { join } from "node:path"
import { Effect, Layer } from "effect"
import { checkDatabaseHeads } from "@parley/storage/sqlite/DatabaseHeads"
import { DataDirectoryLock } from "@parley/storage/sqlite/DataDirectoryLock"
import { SqliteEventLog } from "@parley/storage/sqlite/SqliteEventLog"
import { layer as layerSqliteStores } from "@parley/storage/sqlite/SqliteStores"
import { Authentication } from "./edge/Authentication.ts"
import { Edge } from "./edge/Edge.ts"
import { EdgeDirectory } from "./edge/EdgeDirectory.ts"
import { logFile, storeFile } from "./EmbeddedFiles.ts"
import { layerHttp } from "./http/Http.ts"
import { layerConsumerMetrics } from "./http/ConsumerMetrics.ts"
import { layerOwnerMetrics } from "./http/OwnerMetrics.ts"
import { checkNotMoved } from "./migrate/MovedDirectory.ts"
import { NodeConfig } from "./NodeConfig.ts"
import { layerReadinessOfShards } from "./ReadinessOfShards.ts"
import { layerRuntime } from "./Runtime.ts"
import { checkShards } from "./ShardCount.ts"
import { layerAckBeforeCommit, layerLoseLastLink, layerStall } from "./TestFaults.ts"

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

export const layerEmbeddedNode = layerHttp.pipe(
  Layer.provide(EdgeDirectory.layerAlone),
  Layer.provideMerge(Edge.layer),
  // After the lock: in development mode the signing secret is made in the data directory.
  Layer.provideMerge(Authentication.layer),
  Layer.provideMerge(layerOwners),
  Layer.provideMerge(layerEmbeddedStorage)
)
