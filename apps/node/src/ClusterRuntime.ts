/**
 * Everything behind the edge of a node of a cluster: the bus, the leases, and, where the node is a runner, its shards
 * with their entities and the consumers of their logs. The same parts as `Runtime` has on one machine, over NATS.
 */
import { randomBytes } from "node:crypto"
import type { NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Layer } from "effect"
import { layerAllOwned, layerNatsClient, layerNatsLeases, layerNatsRunner } from "@parley/actors/cluster/NatsCluster"
import { NatsBus } from "@parley/actors/cluster/NatsBus"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { layerMemberFanout } from "@parley/actors/fanout/MemberFanout"
import { ParkedOperations } from "@parley/actors/fanout/Parking"
import { WorkedShards } from "@parley/actors/fanout/WorkedShards"
import { connectNats, Nats } from "@parley/storage/jetstream/Nats"
import { clusterPrefix, natsOptions } from "./ClusterStorage.ts"
import { layerOwnerMetrics } from "./http/OwnerMetrics.ts"
import { NodeConfig, type NodeSettings } from "./NodeConfig.ts"
import { layerPersister } from "./workers/Persister.ts"

/** One connection each, besides that of leases and log, so that a burst of delivery delays no call and no lease. */
export class ClusterConnections extends Context.Service<
  ClusterConnections,
  { readonly calls: NatsConnection; readonly links: NatsConnection }
>()("@parley/node/ClusterConnections") {
  static readonly layer = Layer.effect(
    ClusterConnections,
    Effect.gen(function* () {
      const settings = yield* NodeConfig
      const calls = yield* connectNats(natsOptions(settings, "calls"))
      const links = yield* connectNats(natsOptions(settings, "links"))
      return { calls, links }
    })
  )
}

/** A process is one of these or both. */
export const isRunner = ({ roles }: NodeSettings): boolean => roles.length === 0 || roles.includes("runner")
export const isEdge = ({ roles }: NodeSettings): boolean => roles.length === 0 || roles.includes("edge")

/** Least time between two records of a shard under load: larger records, fewer round trips to three disks. */
const commitWindowMs = 3

/** Who was woken from the store a second ago wakes at a takeover without it. */
const incrementalTicks = 2

/** Consumers work where the shard is: what they read is in memory there. */
const layerWorkedShards = Layer.effect(
  WorkedShards,
  Effect.map(
    LocalRunnerService,
    ({ runner }) =>
      (shard: number) =>
        runner.owner(shard) !== undefined
  )
)

export const layerClusterRuntime = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    const { calls, links } = yield* ClusterConnections
    const { log } = yield* Nats
    const prefix = clusterPrefix(settings)
    const leases = {
      connection: log,
      bucket: `${prefix}-leases`,
      replicas: Number(settings.logReplicas),
      shardCount: settings.shards
    }
    const cluster = { leases, calls, prefix }
    const below = NatsBus.layer({ calls, links, prefix, shardCount: settings.shards }).pipe(
      Layer.provideMerge(layerNatsLeases(leases)),
      Layer.provideMerge(ParkedOperations.layer)
    )
    if (!isRunner(settings)) {
      return layerAllOwned(settings.shards).pipe(
        Layer.provideMerge(layerNatsClient(cluster)),
        Layer.provideMerge(below)
      )
    }
    const bytes = Math.floor(settings.residentBytes / settings.shards)
    const runner = layerNatsRunner({
      ...cluster,
      name: `${settings.name === "" ? "node" : settings.name}-${randomBytes(6).toString("hex")}`,
      bounds: {
        residentBytesMax: bytes,
        warmBytesMax: bytes,
        fanoutThreshold: settings.fanoutThreshold,
        commitWindowMs,
        incrementalTicks
      },
      forgetIds: settings.testFault === "forget-ids"
    })
    return Layer.mergeAll(layerMemberFanout, layerPersister, layerAllOwned(settings.shards), layerOwnerMetrics).pipe(
      Layer.provide(layerWorkedShards),
      Layer.provideMerge(runner),
      Layer.provideMerge(below)
    )
  })
)
