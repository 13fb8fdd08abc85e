/** A keeper of leases on a connection of its own, with shards that only note what is done to them. */
import type { NatsConnection } from "@nats-io/transport-node"
import { Effect, type Scope } from "effect"
import { openLeaseBucket } from "@parley/actors/cluster/LeaseBucket"
import { LeaseKeeper, type LeaseKeeperOptions } from "@parley/actors/cluster/LeaseKeeper"
import { type LeaseTimings, leaseTimings } from "@parley/actors/cluster/LeaseTimings"
import { LeaseView } from "@parley/actors/cluster/LeaseView"
import { watchLeases } from "@parley/actors/cluster/LeaseWatch"
import type { Lease } from "@parley/actors/owner/Lease"
import { uniqueName } from "./RealNats.ts"

export interface TestKeeper {
  readonly name: string
  readonly keeper: LeaseKeeper
  readonly view: LeaseView
  /** Epochs under which shards are open. */
  readonly open: Map<number, number>
  readonly dropped: Set<number>
  /** Shards that may be served at this moment. */
  readonly served: () => ReadonlyArray<number>
}

export interface TestKeeperOptions {
  readonly connection: NatsConnection
  readonly bucket: string
  readonly shardCount: number
  readonly timings?: Partial<LeaseTimings>
  readonly name?: string
  readonly onClose?: (shard: number) => Promise<void>
  readonly onServed?: LeaseKeeperOptions["onServed"]
}

export const testKeeper = (options: TestKeeperOptions): Effect.Effect<TestKeeper, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const timings = { ...leaseTimings, ...options.timings }
    const { shardCount } = options
    const bucket = yield* openLeaseBucket(options.connection, {
      bucket: options.bucket,
      replicas: 3,
      shardCount,
      requestMsMax: timings.requestMsMax
    })
    const view = new LeaseView()
    yield* watchLeases(bucket, view, timings)
    const leases = new Map<number, Lease>()
    const open = new Map<number, number>()
    const dropped = new Set<number>()
    const leave = (shard: number) => {
      open.delete(shard)
      leases.delete(shard)
    }
    const name = options.name ?? uniqueName("runner")
    const keeper = new LeaseKeeper({
      name,
      weight: 1,
      balances: true,
      shardCount,
      bucket,
      view,
      timings,
      ...(options.onServed === undefined ? {} : { onServed: options.onServed }),
      log: () => {},
      shards: {
        setLease: (shard, lease) => void leases.set(shard, lease),
        open: (shard, epoch) => void open.set(shard, epoch),
        close: async (shard) => {
          leave(shard)
          await options.onClose?.(shard)
        },
        drop: (shard) => {
          dropped.add(shard)
          leave(shard)
        }
      }
    })
    keeper.start()
    yield* Effect.addFinalizer(() => Effect.sync(() => keeper.stop()))
    const served = () => [...open.keys()].filter((shard) => leases.get(shard)?.held === true)
    return { name, keeper, view, open, dropped, served }
  })
