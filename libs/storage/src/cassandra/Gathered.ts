/**
 * Questions that are asked together. Who asks while an answer is on its way waits for the next one, which is read after
 * that: no answer is older than its question, and however many ask at once, there are two reads. So it is when a node has
 * died: its shards come to others within a moment, and each of them wants to know the same.
 */
import { Deferred, Effect, Semaphore } from "effect"

interface Round<K, A, E> {
  readonly keys: Set<K>
  readonly done: Deferred.Deferred<(key: K) => A, E>
}

/** `ask` is given at most `keysMax` keys, and says of each what is known. */
export const makeGathered = Effect.fnUntraced(function* <K, A, E>(
  keysMax: number,
  ask: (keys: ReadonlySet<K>) => Effect.Effect<(key: K) => A, E>
) {
  const scope = yield* Effect.scope
  const one = yield* Semaphore.make(1)
  let open: Round<K, A, E> | undefined

  const answer = (round: Round<K, A, E>): Effect.Effect<void> =>
    // Whoever asks in this very turn is in time.
    Effect.yieldNow.pipe(
      Effect.andThen(
        Effect.suspend(() => {
          if (open === round) open = undefined
          return ask(round.keys)
        })
      ),
      one.withPermits(1),
      Effect.exit,
      Effect.flatMap((exit) => Deferred.done(round.done, exit)),
      Effect.onInterrupt(() => Deferred.interrupt(round.done)),
      Effect.asVoid
    )

  return (key: K): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      if (open !== undefined && (open.keys.has(key) || open.keys.size < keysMax)) {
        open.keys.add(key)
        return Effect.map(Deferred.await(open.done), (known) => known(key))
      }
      const round: Round<K, A, E> = (open = { keys: new Set([key]), done: Deferred.makeUnsafe() })
      return Effect.forkIn(answer(round), scope).pipe(
        Effect.andThen(Deferred.await(round.done)),
        Effect.map((known) => known(key))
      )
    })
})
