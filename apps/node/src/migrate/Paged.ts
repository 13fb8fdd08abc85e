/** Work on any number of rows with few of them in memory, several at a time; what is not possible now is tried again. */
import { Effect, Schedule } from "effect"
import { exportPageRows } from "@parley/storage/sqlite/StoreExport"

/** Rows that are worked on at the same time. */
const atOnce = 32
/** A store that answers "not now" is asked again so often, at most `patienceMs` apart: some two minutes in all. */
const patienceTriesMax = 30
const patienceMs = 5_000
const firstPauseMs = 100

export function* pagesOf<A>(items: Iterable<A>): Iterable<ReadonlyArray<A>> {
  let page: Array<A> = []
  for (const item of items) {
    page.push(item)
    if (page.length < exportPageRows) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}

/** How many there were. */
export const eachOf = Effect.fnUntraced(function* <A, E>(
  items: Iterable<A>,
  work: (item: A) => Effect.Effect<void, E>
): Effect.fn.Return<number, E> {
  let count = 0
  for (const page of pagesOf(items)) {
    yield* Effect.forEach(page, work, { concurrency: atOnce, discard: true })
    count += page.length
  }
  return count
})

const pauses = Schedule.jittered(Schedule.min([Schedule.exponential(firstPauseMs), Schedule.spaced(patienceMs)]))

/** A store under the load of a whole history may be late now and then: that ends no migration of hours. */
export const patiently = <A, E extends { readonly _tag: string }>(ask: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.retry(ask, { while: isPassing, times: patienceTriesMax, schedule: pauses })

const isPassing = ({ _tag }: { readonly _tag: string }): boolean => _tag === "StoreUnavailable"
