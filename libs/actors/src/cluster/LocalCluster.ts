/**
 * Effect's sharding on one machine: a single runner, volatile messages, leases in memory. The next step up replaces
 * these layers by NATS and nothing above them.
 */
import { Effect, Layer, Option } from "effect"
import { MessageStorage, RunnerAddress, RunnerHealth, Runners, Sharding, ShardingConfig } from "effect/cluster"
import { LocalBus } from "../fanout/LocalBus.ts"
import { LinkBus } from "../owner/OwnerCalls.ts"
import type { OwnerBounds, OwnerStores } from "../owner/OwnerContext.ts"
import { ownerTickMs, Runner } from "../owner/Runner.ts"
import { CommitSignal } from "../fanout/CommitSignal.ts"
import { CursorStore } from "@parley/storage/CursorStore"
import { Directory } from "@parley/storage/Directory"
import { EventLog } from "@parley/storage/EventLog"
import { Inbox } from "@parley/storage/Inbox"
import { MessageStore } from "@parley/storage/MessageStore"
import { layerEntities } from "./EntityLayers.ts"
import { layerLocalRunnerStorage, LeaseTable, LocalRunnerService } from "./LocalLeases.ts"

export interface LocalClusterOptions {
  readonly shardCount: number
  readonly bounds?: Partial<OwnerBounds>
}

/** The runner, ticking; its shards come and go with their leases. */
export const layerLocalRunner = (options: LocalClusterOptions) =>
  Layer.effect(
    LocalRunnerService,
    Effect.gen(function*() {
      const stores: OwnerStores = {
        messages: yield* MessageStore,
        directory: yield* Directory,
        cursors: yield* CursorStore,
        inbox: yield* Inbox
      }
      const links = yield* LinkBus
      const bus = yield* LocalBus
      const signal = yield* CommitSignal
      const runner: Runner = new Runner({
        name: `local-${process.pid}-${Date.now().toString(36)}`,
        log: yield* EventLog,
        stores,
        publish: links.publish,
        ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
        onCommitted: signal.committed,
        onLost: (shard) => bus.disown(shard, runner)
      })
      signal.onStored((shard, position) => runner.owner(shard)?.setStored(position))
      yield* Effect.acquireRelease(
        Effect.sync(() => setInterval(() => runner.tick(), ownerTickMs)),
        (timer) => Effect.sync(() => clearInterval(timer))
      )
      return { runner }
    })
  )

export const layerLocalCluster = (options: LocalClusterOptions) =>
  layerEntities.pipe(
    Layer.provideMerge(Sharding.layer),
    Layer.provideMerge(Runners.layerNoop),
    Layer.provide([layerLocalRunnerStorage, RunnerHealth.layerNoop, MessageStorage.layerNoop]),
    Layer.provideMerge(layerLocalRunner(options)),
    Layer.provide([LeaseTable.layer]),
    Layer.provide(ShardingConfig.layer({
      runnerAddress: Option.some(RunnerAddress.make("local", process.pid)),
      shardsPerGroup: options.shardCount,
      entityMailboxCapacity: 64,
      maxResidentEntities: 10_000,
      simulateRemoteSerialization: false
    }))
  )
