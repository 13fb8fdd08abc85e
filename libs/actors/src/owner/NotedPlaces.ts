/**
 * What the store is told of how far shards' logs have come (†24): the owner tells it, by what it hears of the persister
 * (`CommitSignal.stored`), in whichever process that works. So nobody tells of a shard whose owner has yet to hear how far
 * the store knew it to be: he would take what came since for the lost end of a longer log.
 */
import { Effect } from "effect"
import type { LogPosition } from "@parley/storage/EventLog"
import type { LogPlacesService } from "@parley/storage/LogPlaces"
import type { CommitSignal } from "../fanout/CommitSignal.ts"

/** The store is told this often: an older log that is restored is found by it. */
export const placesEveryMs = 5_000

export interface NotedPlacesOptions {
  readonly places: LogPlacesService
  readonly signal: CommitSignal["Service"]
  /**
   * What it may be told at most (`Runner.placedUpTo`). A word that is beyond the log's end is ahead of the owner's own
   * answer, and waits; or it is of a log that is not there any more, by a process that was not started anew.
   */
  readonly placedUpTo: (shard: number) => LogPosition
}

/** Listens and tells until its scope closes. */
export const notePlaces = Effect.fnUntraced(function* ({ placedUpTo, places, signal }: NotedPlacesOptions) {
  /** How far the persister has come since the store was told, by shard; of others' shards too, for they may come here. */
  const moved = new Map<number, LogPosition>()
  /** What it was told last: a worker says the same again and again. */
  const told = new Map<number, LogPosition>()
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      signal.onStored((shard, position) => {
        if (position > (told.get(shard) ?? 0)) moved.set(shard, position)
      })
    ),
    (unsubscribe) => Effect.sync(unsubscribe)
  )
  const note = Effect.suspend(() => {
    const noted = Array.from(moved, ([shard, position]) => ({ shard, position })).filter(
      ({ position, shard }) => position <= placedUpTo(shard)
    )
    if (noted.length === 0) return Effect.void
    return Effect.map(places.note(noted), () => {
      for (const { position, shard } of noted) {
        told.set(shard, position)
        if (moved.get(shard) === position) moved.delete(shard)
      }
    })
  })
  yield* note.pipe(
    // Away: it is told with the next round.
    Effect.ignore,
    Effect.delay(placesEveryMs),
    Effect.forever,
    Effect.forkScoped
  )
})
