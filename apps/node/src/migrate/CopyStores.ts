/**
 * The stores of a data directory into a cluster's. Every write has the place that it had (†32), so what was copied before a
 * cut may be copied again. Channels before cursors: which of those are kept by channel depends on its members.
 */
import { Effect, Option } from "effect"
import type { StoreExport } from "@parley/storage/sqlite/StoreExport"
import { eachOf, pagesOf, patiently } from "./Paged.ts"
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

/** A line says how far it is, each so many channels. */
const channelsALine = 1_000

export const copyStores = Effect.fnUntraced(function* (
  source: StoreExport,
  from: Stores,
  to: Stores,
  say: (line: string) => void
) {
  const copied = { channels: 0, events: 0, users: 0, sessions: 0, cursors: 0, mentions: 0, parked: 0 }
  yield* eachOf(source.channels(), (channel) =>
    Effect.gen(function* () {
      for (const page of source.events(channel)) {
        yield* patiently(to.messages.write(page))
        copied.events += page.length
      }
      const stays = yield* staysOf(from.directory, channel)
      if (stays.length > 0) yield* patiently(to.directory.writeMembers(stays))
      // Last: who finds the row relies on what is behind it.
      const row = yield* from.directory.channel(channel)
      if (Option.isSome(row)) yield* patiently(to.directory.writeChannels([row.value]))
      if (++copied.channels % channelsALine === 0) say(`${copied.channels} channels, ${copied.events} events`)
    })
  )
  for (const page of pagesOf(source.replaced())) yield* patiently(to.messages.write(page))
  copied.users = yield* eachOf(source.users(), (row) => patiently(to.directory.putUser(row)))
  copied.sessions = yield* eachOf(source.sessions(), (row) => patiently(to.directory.writeSessions([row])))
  yield* eachOf(source.cursors(), ({ cursors, user }) => {
    copied.cursors += cursors.length
    return patiently(to.cursors.merge(user, cursors))
  })
  for (const page of pagesOf(source.mentions())) {
    yield* patiently(to.inbox.addMentions(page.filter(({ removed }) => !removed)))
    yield* patiently(to.inbox.removeMentions(page.filter(({ removed }) => removed)))
    copied.mentions += page.length
  }
  for (const page of pagesOf(source.parked())) {
    yield* patiently(to.parked.put(page))
    copied.parked += page.length
  }
  return copied satisfies CopiedStores
})
