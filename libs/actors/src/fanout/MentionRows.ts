/**
 * The rows of the index of mentions that a channel's events make. The persister writes them with the events, so that
 * counts of what the store has (everything up to the floor) have all of its mentions. The member fan-out writes them
 * again before its notices (†12), for where the persister has parked the event (†26). Both are idempotent: a row is that of
 * its latest event, also where one edit took a mention away and the next gave it back. Few messages name anybody.
 */
import { type Mention, writtenAt } from "@parley/storage/Inbox"
import type { Entry } from "../log/Entry.ts"
import { noticesOf } from "./Notices.ts"

export interface MentionRows {
  readonly named: ReadonlyArray<Mention>
  readonly taken: ReadonlyArray<Mention>
}

export const mentionRowsOf = (entries: ReadonlyArray<Entry>): MentionRows => {
  const named: Array<Mention> = []
  const taken: Array<Mention> = []
  for (const entry of entries) {
    const at = writtenAt(entry)
    if (entry.kind === "message" || entry.kind === "edit") {
      for (const { channel, seq, user } of noticesOf(entry)) named.push({ user, channel, seq, at })
    }
    if (entry.hidden.includes('"unmentioned":')) {
      // as: the hidden part is made by the channel's decision
      const { unmentioned } = JSON.parse(entry.hidden) as { readonly unmentioned: ReadonlyArray<string> }
      for (const user of unmentioned) taken.push({ user, channel: entry.id, seq: entry.target, at })
    }
  }
  return { named, taken }
}
