/**
 * The stores of a data directory into a cluster's. Every write has the place that it had (†32), so what was copied before a
 * cut may be copied again. Channels before cursors: which of those are kept by channel depends on its members.
 */
import { Effect, Option } from "effect"
import { exportPageRows, type StoreExport } from "@parley/storage/sqlite/StoreExport"
import { staysOf, type Stores } from "./Stores.ts"

export interface CopiedStores {
  readonly channels: number
  readonly events: number
  readonly users: number
  readonly sessions: number
  readonly cursors: number
  readonly mentions: number
  readonly parked: number
}

/** Channels, or users, that are copied at the same time. */
const atOnce = 8

export const copyStores = Effect.fnUntraced(function* (
  source: StoreExport,
  from: Stores,
  to: Stores,
  say: (line: string) => void
) {
  const copied = { channels: 0, events: 0, users: 0, sessions: 0, cursors: 0, mentions: 0, parked: 0 }
  yield* Effect.forEach(
    source.channels(),
    (channel) =>
      Effect.gen(function* () {
        for (const page of source.events(channel)) {
          yield* to.messages.write(page)
          copied.events += page.length
        }
        const stays = yield* staysOf(from.directory, channel)
        if (stays.length > 0) yield* to.directory.writeMembers(stays)
        // Last: who finds the row relies on what is behind it.
        const row = yield* from.directory.channel(channel)
        if (Option.isSome(row)) yield* to.directory.writeChannels([row.value])
        if (++copied.channels % 1_000 === 0) say(`${copied.channels} channels, ${copied.events} events`)
      }),
    { concurrency: atOnce, discard: true }
  )
  copied.users = yield* each(source.users(), (row) => to.directory.putUser(row))
  copied.sessions = yield* each(source.sessions(), (row) => to.directory.writeSessions([row]))
  yield* each(source.cursors(), ({ cursors, user }) => {
    copied.cursors += cursors.length
    return to.cursors.merge(user, cursors)
  })
  for (const page of pages(source.mentions())) {
    yield* to.inbox.addMentions(page.filter(({ removed }) => !removed))
    yield* to.inbox.removeMentions(page.filter(({ removed }) => removed))
    copied.mentions += page.length
  }
  for (const page of pages(source.parked())) {
    yield* to.parked.put(page)
    copied.parked += page.length
  }
  return copied satisfies CopiedStores
})

const each = <A, E>(items: Iterable<A>, copy: (item: A) => Effect.Effect<void, E>): Effect.Effect<number, E> =>
  Effect.suspend(() => {
    let count = 0
    return Effect.forEach(items, (item) => Effect.tap(copy(item), () => Effect.sync(() => count++)), {
      concurrency: atOnce,
      discard: true
    }).pipe(Effect.map(() => count))
  })

function* pages<A>(items: Iterable<A>): Iterable<ReadonlyArray<A>> {
  let page: Array<A> = []
  for (const item of items) {
    page.push(item)
    if (page.length < exportPageRows) continue
    yield page
    page = []
  }
  if (page.length > 0) yield page
}
