/**
 * Effect's sharding over NATS, as a node of a cluster has it: leases and placement in JetStream KV, calls between
 * entities over core NATS. It stands where `LocalCluster` stands in a single process, and what is above notices nothing.
 */
import type { NatsConnection } from "@nats-io/transport-node"
import { Effect, Layer, Option } from "effect"
import { MessageStorage, RunnerHealth, RunnerServer, ShardingConfig } from "effect/cluster"
import { RpcSerialization } from "effect/rpc"
import { ClusterLeases, type ClusterLeasesOptions } from "./ClusterLeases.ts"
import { layerEntities } from "./EntityLayers.ts"
import { leaseTimings } from "./LeaseTimings.ts"
import { layerLocalRunner, type LocalClusterOptions } from "./LocalCluster.ts"
import { layerNatsOwnerDirectory } from "./NatsOwnerDirectory.ts"
import { addressOf, layerNatsRunnerStorage, layerNatsRunnerStorageOfClient } from "./NatsRunnerStorage.ts"
import { layerClientProtocol, layerServerProtocol } from "./NatsTransport.ts"
import { OwnerDirectory } from "./OwnerDirectory.ts"
import { RunnerLeases } from "./RunnerLeases.ts"

export interface NatsClusterOptions {
  readonly leases: ClusterLeasesOptions
  /** The connection for calls, and what their subjects begin with. */
  readonly calls: NatsConnection
  readonly prefix: string
  /** The node's name, which answers to it have in their subject. */
  readonly node: string
}

export interface NatsRunnerOptions extends NatsClusterOptions, Omit<LocalClusterOptions, "shardCount" | "onLost"> {
  /** New with each start of a process; letters, digits, `-` and `_` (`runnerNamePattern`). */
  readonly name: string
  /** How many shards it is to have, relative to others. */
  readonly weight?: number
  /** It takes part in evening out what shards have to do, which all runners have to (`LoadBalance`). */
  readonly balances?: boolean
  /** False: it leaves the consumers of its shards' logs to workers, while there are any. */
  readonly works?: boolean
}

/** What follows from the leases: Effect hears of moves, and may not wait longer than a lease for anything. */
const sharding = (name: Option.Option<string>, options: NatsClusterOptions) => {
  const timings = { ...leaseTimings, ...options.leases.timings }
  return ShardingConfig.layer({
    runnerAddress: Option.map(name, addressOf),
    // The groups are in the listing of runners.
    availableShardGroups: [],
    assignedShardGroups: [],
    shardsPerGroup: 1,
    shardLockExpiration: timings.leaseMs,
    shardLockRefreshInterval: timings.beatMs,
    // It goes through all runners and shards each time, for the calls of the console only.
    refreshAssignmentsInterval: 1_000,
    entityMessagePollInterval: 500,
    entityTerminationTimeout: 2_000,
    sendRetryInterval: 50,
    entityMailboxCapacity: 64,
    maxResidentEntities: 10_000,
    simulateRemoteSerialization: false
  })
}

/** Leases, the runner's shards, and the entities: for a node with the runner role. */
export const layerNatsRunner = (options: NatsRunnerOptions) => {
  const { shardCount } = options.leases
  let tellLost: (shard: number) => void = () => {}
  const leases = RunnerLeases.layer({
    weight: options.weight ?? 1,
    balances: options.balances ?? false,
    works: options.works ?? true,
    onLost: (tell) => {
      tellLost = tell
    }
  })
  const transport = { connection: options.calls, prefix: options.prefix, node: options.node }
  return layerEntities(shardCount).pipe(
    Layer.provideMerge(RunnerServer.layerWithClients),
    Layer.provide(layerServerProtocol(transport)),
    Layer.provide([layerClientProtocol(transport), RunnerHealth.layerNoop, MessageStorage.layerNoop]),
    Layer.provide(RpcSerialization.layerJson),
    Layer.provide(layerNatsRunnerStorage),
    Layer.provideMerge(leases),
    Layer.provideMerge(layerLocalRunner({ ...options, shardCount, onLost: (shard) => tellLost(shard) })),
    Layer.provide(sharding(Option.some(options.name), options))
  )
}

/** For a process that calls entities and has no shards: an edge, a worker, a command. */
export const layerNatsClient = (options: NatsClusterOptions) =>
  RunnerServer.layerClientOnly.pipe(
    Layer.provide([
      layerClientProtocol({ connection: options.calls, prefix: options.prefix, node: options.node }),
      MessageStorage.layerNoop
    ]),
    Layer.provide(RpcSerialization.layerJson),
    Layer.provide(layerNatsRunnerStorageOfClient),
    Layer.provide(sharding(Option.none(), options))
  )

/** What every process of a cluster has, below the bus: the lease bucket and who owns what by it. */
export const layerNatsLeases = (options: ClusterLeasesOptions) =>
  layerNatsOwnerDirectory.pipe(Layer.provideMerge(ClusterLeases.layer(options)))

/** Longest wait at start for shards to have owners; one that has none leaves the others reachable. */
const ownersWaitMsMax = 60_000
const ownersPollMs = 20

/** Done when every shard has an owner in some process, or the wait is over: nobody is let in before. */
export const layerAllOwned = (shardCount: number) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const directory = yield* OwnerDirectory
      const without = () => {
        let count = 0
        for (let shard = 1; shard <= shardCount; shard++) if (directory.ownerOf(shard) === undefined) count++
        return count
      }
      const done = Effect.suspend(() =>
        without() === 0 ? Effect.succeed(true) : Effect.as(Effect.sleep(ownersPollMs), false)
      )
      const all = yield* done.pipe(Effect.repeat({ until: (all) => all }), Effect.timeoutOption(ownersWaitMsMax))
      if (Option.isNone(all)) {
        yield* Effect.logError("serving although some shards have no owner").pipe(
          Effect.annotateLogs({ without: without(), shardCount })
        )
      }
    })
  )
