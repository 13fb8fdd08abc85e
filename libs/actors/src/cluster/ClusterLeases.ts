/**
 * The lease bucket and what this process has seen of it, for all that needs it: the keeper of a runner's leases, the
 * owner directory, Effect's view of who runs what, and operators' wishes.
 */
import type { NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Layer } from "effect"
import { type LeaseBucket, LeaseBucketUnavailable, type LeaseBucketUnfit, openLeaseBucket } from "./LeaseBucket.ts"
import { cordonKey, moveKey } from "./LeaseEntries.ts"
import { type LeaseTimings, leaseTimings } from "./LeaseTimings.ts"
import { LeaseView } from "./LeaseView.ts"
import { watchLeases } from "./LeaseWatch.ts"

export interface ClusterLeasesOptions {
  /** The connection for leases and log, and nothing else: a burst of delivery must not delay a heartbeat. */
  readonly connection: NatsConnection
  /** The bucket of this cluster. */
  readonly bucket: string
  readonly replicas: number
  readonly shardCount: number
  readonly timings?: Partial<LeaseTimings>
  /** For a process without the runner role: it reads, and waits for one that makes the bucket. */
  readonly joins?: boolean
}

export class ClusterLeases extends Context.Service<
  ClusterLeases,
  {
    readonly bucket: LeaseBucket
    readonly view: LeaseView
    readonly timings: LeaseTimings
    readonly shardCount: number
    /** The runner keeps what it has and takes no more, unless nobody else is there; lasts as long as the runner. */
    readonly cordon: (runner: string) => Effect.Effect<void, LeaseBucketUnavailable>
    readonly uncordon: (runner: string) => Effect.Effect<void, LeaseBucketUnavailable>
    /** The shard goes to that runner and stays there, until the move is forgotten or the runner goes. */
    readonly move: (shard: number, runner: string) => Effect.Effect<void, LeaseBucketUnavailable>
    readonly forgetMove: (shard: number) => Effect.Effect<void, LeaseBucketUnavailable>
  }
>()("@parley/actors/ClusterLeases") {
  static readonly layer = (
    options: ClusterLeasesOptions
  ): Layer.Layer<ClusterLeases, LeaseBucketUnavailable | LeaseBucketUnfit> =>
    Layer.effect(
      ClusterLeases,
      Effect.gen(function* () {
        const timings = { ...leaseTimings, ...options.timings }
        const bucket = yield* openLeaseBucket(options.connection, { ...options, requestMsMax: timings.requestMsMax })
        const view = new LeaseView()
        yield* watchLeases(bucket, view, timings)
        const asking = (ask: () => Promise<unknown>) =>
          Effect.tryPromise({
            try: ask,
            catch: (cause) => new LeaseBucketUnavailable({ bucket: options.bucket, cause })
          }).pipe(Effect.asVoid)
        return ClusterLeases.of({
          bucket,
          view,
          timings,
          shardCount: options.shardCount,
          cordon: (runner) => asking(() => bucket.put(cordonKey(runner), { runner })),
          uncordon: (runner) => asking(() => bucket.remove(cordonKey(runner))),
          move: (shard, runner) => asking(() => bucket.put(moveKey(shard), { runner })),
          forgetMove: (shard) => asking(() => bucket.remove(moveKey(shard)))
        })
      })
    )
}
