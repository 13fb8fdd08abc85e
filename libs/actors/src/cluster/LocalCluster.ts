/**
 * Effect's sharding on one machine: a single runner, volatile messages, leases in memory. The next step up replaces
 * these layers by NATS and nothing above them.
 */
import { Context, Effect, Layer, Metric, Option } from "effect"
import { MessageStorage, RunnerAddress, RunnerHealth, Runners, Sharding, ShardingConfig } from "effect/cluster"
import { LinkBus } from "../owner/OwnerCalls.ts"
import type { OwnerBounds, OwnerStores } from "../owner/OwnerContext.ts"
import { quarantinedShards } from "../owner/OwnerMetrics.ts"
import { ownerTickMs, Runner } from "../owner/Runner.ts"
import { ShardRoutes } from "../owner/ShardRoutes.ts"
import { CommitSignal } from "../fanout/CommitSignal.ts"
import { notePlaces } from "../owner/NotedPlaces.ts"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { CursorStore } from "@parley/storage/CursorStore"
import { Directory } from "@parley/storage/Directory"
import { EventLog } from "@parley/storage/EventLog"
import { LogPlaces } from "@parley/storage/LogPlaces"
import { Inbox } from "@parley/storage/Inbox"
import { MessageStore } from "@parley/storage/MessageStore"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { layerEntities } from "./EntityLayers.ts"
import { shardGroups } from "./ShardEntities.ts"
import { layerLocalRunnerStorage, LeaseTable, LocalRunnerService } from "./LocalLeases.ts"

export interface LocalClusterOptions {
  readonly shardCount: number
  readonly bounds?: Partial<OwnerBounds>
  readonly forgetIds?: boolean
  /** Where a process may start twice within a moment, or tells others its name. */
  readonly name?: string
  /** The log put the runner out of a shard. */
  readonly onLost?: (shard: number) => void
}

/** What an operator reads, whenever and by whomever the damage was found. */
const quarantineText =
  "shard quarantined: its log is damaged, or behind what is known, and nothing of it is served, written or dropped; the other shards go on. On one machine stop the server, keep a copy of the data directory as it is, look at it with `parley doctor`, and restore it from a backup; in a cluster put no older copy of the log back, see “A log that was restored” in docs/operations.md"

/** The runner, ticking; its shards come and go with their leases. */
export const layerLocalRunner = (options: LocalClusterOptions) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const stores: OwnerStores = {
        channels: yield* ChannelStore,
        messages: yield* MessageStore,
        directory: yield* Directory,
        cursors: yield* CursorStore,
        inbox: yield* Inbox,
        parked: yield* ParkedEvents
      }
      const places = yield* LogPlaces
      const links = yield* LinkBus
      const routes = yield* ShardRoutes
      const signal = yield* CommitSignal
      const runFork = Effect.runForkWith(yield* Effect.context<never>())
      const runner: Runner = new Runner({
        name: options.name ?? `local-${process.pid}-${Date.now().toString(36)}`,
        shardCount: options.shardCount,
        log: yield* EventLog,
        stores,
        placeInStore: (shard) => places.known(shard),
        publish: links.publish,
        ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
        forgetIds: options.forgetIds ?? false,
        onCommitted: signal.committed,
        onLost: (shard) => {
          routes.disown(shard, runner)
          options.onLost?.(shard)
        },
        onQuarantined: (shard, what) => {
          routes.own(shard, runner)
          runFork(
            Effect.logError(quarantineText).pipe(
              Effect.annotateLogs({ shard, what }),
              Effect.andThen(Metric.update(quarantinedShards, runner.quarantined.size))
            )
          )
        }
      })
      yield* Metric.update(quarantinedShards, 0)
      signal.onDamaged((shard, what) => runner.quarantine(shard, what))
      signal.onStored((shard, position, parked) => runner.owner(shard)?.setStored(position, parked))
      signal.onReleased((entity) => runner.owner(entity.shard)?.setReleased(entity))
      yield* Effect.acquireRelease(
        Effect.sync(() => setInterval(() => runner.tick(), ownerTickMs)),
        (timer) => Effect.sync(() => clearInterval(timer))
      )
      yield* notePlaces({ places, signal, placedUpTo: (shard) => runner.placedUpTo(shard) })
      return Context.make(LocalRunnerService, { runner })
    })
  )

/** Longest wait at start for shards to open; one that doesn't leaves the others serving. */
const openWaitMsMax = 60_000
const openPollMs = 5

/** Done when every shard is served or quarantined, or the wait is over: nobody is let in before. */
const layerShardsOpen = (shardCount: number) =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { runner } = yield* LocalRunnerService
      const done = () => runner.shards.length + runner.quarantined.size >= shardCount
      const opened = Effect.suspend(() => (done() ? Effect.succeed(true) : Effect.as(Effect.sleep(openPollMs), false)))
      const all = yield* opened.pipe(Effect.repeat({ until: (all) => all }), Effect.timeoutOption(openWaitMsMax))
      if (Option.isNone(all)) {
        yield* Effect.logError("serving without all shards").pipe(
          Effect.annotateLogs({ open: runner.shards.length, shardCount })
        )
      }
    })
  )

export const layerLocalCluster = (options: LocalClusterOptions) =>
  Layer.merge(layerEntities(options.shardCount), layerShardsOpen(options.shardCount)).pipe(
    Layer.provideMerge(Sharding.layer),
    Layer.provideMerge(Runners.layerNoop),
    Layer.provide([layerLocalRunnerStorage, RunnerHealth.layerNoop, MessageStorage.layerNoop]),
    Layer.provideMerge(layerLocalRunner(options)),
    Layer.provide([LeaseTable.layer]),
    Layer.provide(
      ShardingConfig.layer({
        runnerAddress: Option.some(RunnerAddress.make("local", process.pid)),
        availableShardGroups: shardGroups(options.shardCount),
        assignedShardGroups: shardGroups(options.shardCount),
        shardsPerGroup: 1,
        // One runner has them all: the smallest ring for each will do.
        runnerShardWeight: 0.1,
        entityMailboxCapacity: 64,
        maxResidentEntities: 10_000,
        simulateRemoteSerialization: false
      })
    )
  )
