/** The stores behind a log, as one value: those of a data directory and those of a cluster are there at the same time. */
import { Effect } from "effect"
import { CursorStore } from "@parley/storage/CursorStore"
import { Directory } from "@parley/storage/Directory"
import { EventLog } from "@parley/storage/EventLog"
import { Inbox } from "@parley/storage/Inbox"
import { MessageStore } from "@parley/storage/MessageStore"
import { ParkedEvents } from "@parley/storage/ParkedEvents"

export const stores = Effect.gen(function* () {
  return {
    log: yield* EventLog,
    messages: yield* MessageStore,
    directory: yield* Directory,
    cursors: yield* CursorStore,
    inbox: yield* Inbox,
    parked: yield* ParkedEvents
  }
})
export type Stores = Effect.Success<typeof stores>

/** Members of a channel that are read at a time. */
const membersPage = 500

/** All stays of a channel, in pages of whole users. */
export const staysOf = Effect.fnUntraced(function* (directory: Stores["directory"], channel: string) {
  const stays = []
  for (let after = ""; ;) {
    const page = yield* directory.members(channel, after, membersPage)
    const last = page.at(-1)
    if (last === undefined) return stays
    stays.push(...page)
    after = last.user
  }
})
