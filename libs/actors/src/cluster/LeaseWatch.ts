/**
 * Feeds a `LeaseView` from the lease bucket, for as long as its scope lives: watches, and watches anew when the watch
 * ends or falls silent. A silent watch can't be told from a cluster without runners, and watching anew costs one read of
 * the bucket; nothing that is known already counts as news then.
 */
import { Effect } from "effect"
import type { LeaseBucket } from "./LeaseBucket.ts"
import type { LeaseTimings } from "./LeaseTimings.ts"
import type { LeaseView } from "./LeaseView.ts"

/** Wait before the bucket is watched anew. */
const rewatchMs = 200

export const watchLeases = (bucket: LeaseBucket, view: LeaseView, timings: LeaseTimings) =>
  Effect.gen(function* () {
    const once = Effect.promise(async (interrupted) => {
      let heardAt = performance.now()
      const entries = await bucket.kv.watch()
      const stop = () => entries.stop()
      const silence = setInterval(() => {
        if (performance.now() - heardAt > timings.watchSilenceMsMax) stop()
      }, timings.tickMs)
      interrupted.addEventListener("abort", stop)
      try {
        if (interrupted.aborted) return
        for await (const entry of entries) {
          heardAt = performance.now()
          view.apply(entry.key, entry.operation === "PUT" ? entry.string() : undefined, entry.revision, heardAt)
          view.setPending(entry.delta ?? 1)
        }
      } finally {
        clearInterval(silence)
        interrupted.removeEventListener("abort", stop)
        stop()
        view.caughtUp = false
      }
    })
    yield* once.pipe(
      Effect.catchDefect((cause) => Effect.logDebug("leases not watched, trying again", cause)),
      Effect.andThen(Effect.sleep(rewatchMs)),
      Effect.forever,
      Effect.forkScoped
    )
  })
