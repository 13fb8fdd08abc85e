/**
 * Shard leases within one process, for Effect's sharding: who may try to own a shard, and until when. A runner that
 * gets a lease opens the shard in the log, under an epoch of its own; one that gives it back closes it first. The lease
 * decides who tries; only the log decides who may write (SINGLE-WRITER). In a cluster the leases live in NATS.
 */
import { Context, Effect, Layer } from "effect"
import { MachineId, RunnerStorage } from "effect/cluster"
import type { Runner } from "../owner/Runner.ts"
import { ShardRoutes } from "../owner/ShardRoutes.ts"
import { shardNumber } from "./ShardEntities.ts"
import { openLeased } from "./ShardOpening.ts"

/** How long a lease lasts without a refresh. */
export const localLeaseMs = 30_000

/** The runner that this layer's sharding opens and closes shards on. */
export class LocalRunnerService extends Context.Service<LocalRunnerService, { readonly runner: Runner }>()(
  "@parley/actors/LocalRunnerService"
) {}

interface Lease {
  readonly address: string
  readonly epoch: number
}

/** Leases of all runners in the process. */
export class LeaseTable extends Context.Service<
  LeaseTable,
  {
    readonly leases: Map<string, Lease>
    readonly runners: Map<string, readonly [runner: string, healthy: boolean]>
    nextEpoch(): number
  }
>()("@parley/actors/LeaseTable") {
  static readonly layer = Layer.sync(LeaseTable, () => {
    // Above any epoch of an earlier start on this machine; the log has the last word anyway (`max(this, last + 1)`).
    let epoch = Math.floor(Date.now() / 1_000)
    return LeaseTable.of({ leases: new Map(), runners: new Map(), nextEpoch: () => ++epoch })
  })
}

export const layerLocalRunnerStorage = Layer.effect(
  RunnerStorage.RunnerStorage,
  Effect.gen(function* () {
    const table = yield* LeaseTable
    const routes = yield* ShardRoutes
    const { runner } = yield* LocalRunnerService
    const scope = yield* Effect.scope

    const open = (shardId: string, lease: Lease) =>
      Effect.forkIn(
        openLeased({
          runner,
          routes,
          shard: shardNumber(shardId),
          epoch: lease.epoch,
          leased: () => table.leases.get(shardId) === lease
        }),
        scope
      )

    const hold = (shardId: string, sentAt: number) => runner.setLease(shardNumber(shardId), sentAt + localLeaseMs)

    return RunnerStorage.RunnerStorage.of(
      RunnerStorage.makeEncoded({
        getRunners: Effect.sync(() => [...table.runners.values()]),
        register: (address, encoded, healthy) =>
          Effect.sync(() => {
            table.runners.set(address, [encoded, healthy])
            return MachineId.make(table.runners.size)
          }),
        unregister: (address) => Effect.sync(() => void table.runners.delete(address)),
        setRunnerHealth: (address, healthy) =>
          Effect.sync(() => {
            const held = table.runners.get(address)
            if (held !== undefined) table.runners.set(address, [held[0], healthy])
          }),
        acquire: (address, shardIds) =>
          Effect.gen(function* () {
            const sentAt = performance.now()
            const acquired: Array<string> = []
            for (const shardId of shardIds) {
              const held = table.leases.get(shardId)
              if (held !== undefined && held.address !== address) continue
              acquired.push(shardId)
              hold(shardId, sentAt)
              if (held !== undefined) continue
              const lease = { address, epoch: table.nextEpoch() }
              table.leases.set(shardId, lease)
              yield* open(shardId, lease)
            }
            return acquired
          }),
        refresh: (address, shardIds) =>
          Effect.sync(() => {
            const sentAt = performance.now()
            const held = shardIds.filter((shardId) => table.leases.get(shardId)?.address === address)
            for (const shardId of held) hold(shardId, sentAt)
            return held
          }),
        release: (address, shardId) => releaseShard(address, shardId),
        releaseAll: (address) =>
          Effect.forEach([...table.leases.keys()], (shardId) => releaseShard(address, shardId), {
            concurrency: "unbounded",
            discard: true
          })
      })
    )

    function releaseShard(address: string, shardId: string): Effect.Effect<void> {
      return Effect.suspend(() => {
        if (table.leases.get(shardId)?.address !== address) return Effect.void
        const shard = shardNumber(shardId)
        return runner.close(shard).pipe(
          Effect.andThen(
            Effect.sync(() => {
              routes.disown(shard, runner)
              table.leases.delete(shardId)
            })
          )
        )
      })
    }
  })
)
