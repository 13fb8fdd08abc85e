/**
 * Opens a shard on a runner once its lease is here: again and again with growing waits, until it is served, the lease is
 * gone, or the log is found damaged, which waiting does not mend (†24). Whoever hands out leases uses it, in one process
 * or over NATS.
 */
import { Effect } from "effect"
import type { Runner } from "../owner/Runner.ts"
import type { ShardRoutes } from "../owner/ShardRoutes.ts"

/** Wait before a shard that could not be opened is tried again, and the longest such wait. */
const reopenMsMin = 100
const reopenMsMax = 5_000

export interface ShardOpening {
  readonly runner: Runner
  /** Whom calls of the shard go to. */
  readonly routes: Pick<ShardRoutes["Service"], "own">
  readonly shard: number
  readonly epoch: number
  /** The lease that this is for is still here. */
  readonly leased: () => boolean
  /** Keeps openings and closings of the shard apart. */
  readonly inTurn?: <A, E>(work: Effect.Effect<A, E>) => Effect.Effect<A, E>
  readonly served?: (epoch: number) => void
}

export const openLeased = (opening: ShardOpening): Effect.Effect<void> => {
  const { epoch, inTurn, leased, routes, runner, served, shard } = opening
  const openNow = Effect.suspend(() => (leased() ? Effect.andThen(runner.open(shard, epoch), opened) : Effect.void))
  const opened = Effect.sync(() => {
    // Whoever ended the lease while it was opened found nothing to drop.
    if (!leased()) return runner.drop(shard)
    routes.own(shard, runner)
    served?.(runner.epochOf(shard))
  })
  const attempt = (waitMs: number): Effect.Effect<void> =>
    (inTurn === undefined ? openNow : inTurn(openNow)).pipe(
      // The runner says so, and answers for it.
      Effect.catchTag("ShardQuarantined", () => Effect.void),
      Effect.catch((error) =>
        Effect.logError("shard not opened", error).pipe(
          Effect.annotateLogs({ shard }),
          Effect.andThen(Effect.sleep(waitMs)),
          Effect.andThen(attempt(Math.min(waitMs * 2, reopenMsMax)))
        )
      )
    )
  return attempt(reopenMsMin)
}
