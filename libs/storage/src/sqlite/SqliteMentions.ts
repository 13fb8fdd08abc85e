/**
 * The index of mentions in SQLite: what the store's threads run for the lasting half of Inbox. A removed mention stays as
 * a row, so that a write which comes late, or again, does not bring it back: a row is that of its latest event (†32).
 */
import type { DatabaseSync } from "node:sqlite"
import type { Mention } from "../Inbox.ts"
import type { ChannelKeys, GrowingChannelKeys } from "./SqliteChannelKeys.ts"
import type { WriteTransaction } from "./StoreCalls.ts"
import { rowOf } from "./StoreFile.ts"

/** Rows of mentions within a transaction that is open already. */
export const mentionRows = (db: DatabaseSync, keys: GrowingChannelKeys) => {
  const put = db.prepare(`
    INSERT INTO mentions (user, channel, seq, written_at, removed) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET written_at = excluded.written_at, removed = excluded.removed
    WHERE excluded.written_at > written_at`)
  const putAll = (mentions: ReadonlyArray<Mention>, removed: 0 | 1): void => {
    for (const { at, channel, seq, user } of mentions) put.run(user, keys.ensure(channel), seq, at, removed)
  }
  return {
    add: (mentions: ReadonlyArray<Mention>): void => putAll(mentions, 0),
    remove: (mentions: ReadonlyArray<Mention>): void => putAll(mentions, 1)
  }
}
export type MentionRowWrites = ReturnType<typeof mentionRows>

export const mentionWrites = (mentions: MentionRowWrites, write: WriteTransaction) => ({
  addMentions: (named: ReadonlyArray<Mention>): void => write(() => mentions.add(named)),
  removeMentions: (taken: ReadonlyArray<Mention>): void => write(() => mentions.remove(taken))
})

export const mentionReads = (db: DatabaseSync, keys: ChannelKeys) => {
  const count = db.prepare(
    "SELECT count(*) AS n FROM mentions WHERE user = ? AND channel = ? AND seq > ? AND seq <= ? AND removed = 0"
  )
  return {
    countMentions: (user: string, channel: string, afterSeq: number, upTo: number): number => {
      const key = keys.find(channel)
      return key === undefined ? 0 : (rowOf<{ n: number }>(count, user, key, afterSeq, upTo)?.n ?? 0)
    }
  }
}
