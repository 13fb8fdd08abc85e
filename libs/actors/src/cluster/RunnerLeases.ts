/**
 * The leases of this process's runner: opens a shard in the log when its lease comes, closes it before the lease is
 * given back, drops it when the lease is lost. When its scope closes, all shards are handed over first.
 */
import { Context, Effect, Layer, Semaphore } from "effect"
import { ShardRoutes } from "../owner/ShardRoutes.ts"
import { ClusterLeases } from "./ClusterLeases.ts"
import type { LeaseBucketUnavailable } from "./LeaseBucket.ts"
import { LeaseKeeper } from "./LeaseKeeper.ts"
import { LocalRunnerService } from "./LocalLeases.ts"
import { giveMachineId, type MachineIdsTaken, takeMachineId } from "./MachineIds.ts"
import { openLeased } from "./ShardOpening.ts"

/** Between two looks for the first heartbeat having come back. */
const firstBeatPollMs = 10

export interface RunnerLeasesOptions {
  readonly weight: number
  readonly balances: boolean
  readonly works: boolean
  /** Given what tells the keeper of a shard that the log took from this runner. */
  readonly onLost: (tell: (shard: number) => void) => void
}

export class RunnerLeases extends Context.Service<
  RunnerLeases,
  {
    readonly keeper: LeaseKeeper
    /** Unique among living runners, and this runner's as long as it lives. */
    readonly machineId: Effect.Effect<number, LeaseBucketUnavailable | MachineIdsTaken>
  }
>()("@parley/actors/RunnerLeases") {
  static readonly layer = (
    options: RunnerLeasesOptions
  ): Layer.Layer<RunnerLeases, never, ClusterLeases | ShardRoutes | LocalRunnerService> =>
    Layer.effect(
      RunnerLeases,
      Effect.gen(function* () {
        const { bucket, shardCount, timings, view } = yield* ClusterLeases
        const routes = yield* ShardRoutes
        const { runner } = yield* LocalRunnerService
        const scope = yield* Effect.scope
        const context = yield* Effect.context<never>()
        const runFork = Effect.runForkWith(context)
        const runPromise = Effect.runPromiseWith(context)

        const turns = new Map<number, Semaphore.Semaphore>()
        const inTurn = (shard: number) => {
          const turn = turns.get(shard) ?? Semaphore.makeUnsafe(1)
          turns.set(shard, turn)
          return turn.withPermits(1)
        }

        const keeper: LeaseKeeper = new LeaseKeeper({
          name: runner.name,
          weight: options.weight,
          balances: options.balances,
          works: options.works,
          shardCount,
          bucket,
          view,
          timings,
          ...(routes.onServed === undefined ? {} : { onServed: routes.onServed }),
          log: (message, what) => runFork(Effect.logWarning(message).pipe(Effect.annotateLogs(what))),
          shards: {
            setLease: (shard, lease) => runner.holdLease(shard, lease),
            open: (shard, epoch) => {
              const opening = openLeased({
                runner,
                routes,
                shard,
                epoch,
                leased: () => keeper.holds(shard, epoch),
                inTurn: inTurn(shard),
                served: (served) => keeper.served(shard, served)
              })
              runFork(Effect.forkIn(opening, scope))
            },
            close: (shard) =>
              runPromise(
                inTurn(shard)(runner.close(shard)).pipe(
                  Effect.andThen(Effect.sync(() => routes.disown(shard, runner))),
                  Effect.timeoutOption(timings.drainMsMax),
                  Effect.asVoid
                )
              ),
            drop: (shard) => {
              runner.drop(shard)
              routes.disown(shard, runner)
            }
          }
        })
        options.onLost((shard) => keeper.lost(shard))

        const proven = Effect.suspend(() =>
          keeper.proven ? Effect.succeed(true) : Effect.as(Effect.sleep(firstBeatPollMs), false)
        ).pipe(Effect.repeat({ until: (done) => done }))
        let taken: { readonly id: number; readonly revision: number } | undefined
        const machineId = Semaphore.makeUnsafe(1).withPermits(1)(
          Effect.gen(function* () {
            if (taken !== undefined) return taken.id
            yield* proven
            taken = yield* takeMachineId(bucket, view, runner.name)
            return taken.id
          })
        )

        yield* Effect.acquireRelease(
          Effect.sync(() => keeper.start()),
          () =>
            Effect.suspend(() => (taken === undefined ? Effect.void : giveMachineId(bucket, taken))).pipe(
              Effect.andThen(Effect.promise(() => keeper.leave()))
            )
        )
        return RunnerLeases.of({ keeper, machineId })
      })
    )
}
