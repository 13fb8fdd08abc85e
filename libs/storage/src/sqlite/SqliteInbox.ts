/**
 * Inboxes and mentions in SQLite: what the store's threads run for Inbox. `place` orders an inbox by when a channel came
 * in (seqs of different channels don't compare). What was taken out stays as a row that knows up to which seq, so that
 * a put which comes late, or again, does not bring back what was read; a removed mention stays as a row for the same reason.
 */
import type { DatabaseSync } from "node:sqlite"
import type { InboxEntry, Mention, PlacedEntry, ReadUpTo } from "../Inbox.ts"
import type { ChannelKeys, GrowingChannelKeys } from "./SqliteChannelKeys.ts"
import { rowOf, rowsOf } from "./StoreFile.ts"
import type { WriteTransaction } from "./StoreCalls.ts"

/** Entries one list has at most. */
export const inboxListMax = 10_000

/** Rows of mentions within a transaction that is open already. */
export const mentionRows = (db: DatabaseSync, keys: GrowingChannelKeys) => {
  const add = db.prepare("INSERT OR IGNORE INTO mentions (user, channel, seq, removed) VALUES (?, ?, ?, 0)")
  const remove = db.prepare(`
    INSERT INTO mentions (user, channel, seq, removed) VALUES (?, ?, ?, 1)
    ON CONFLICT DO UPDATE SET removed = 1 WHERE removed = 0`)
  return {
    add: (mentions: ReadonlyArray<Mention>): void => {
      for (const { user, channel, seq } of mentions) add.run(user, keys.ensure(channel), seq)
    },
    remove: (mentions: ReadonlyArray<Mention>): void => {
      for (const { user, channel, seq } of mentions) remove.run(user, keys.ensure(channel), seq)
    }
  }
}
export type MentionRowWrites = ReturnType<typeof mentionRows>

export const inboxWrites = (
  db: DatabaseSync,
  keys: GrowingChannelKeys,
  mentions: MentionRowWrites,
  write: WriteTransaction
) => {
  const newPlace = "(SELECT coalesce(max(place), 0) + 1 FROM inbox WHERE user = ?1 AND place IS NOT NULL)"
  const add = db.prepare(`
    INSERT INTO inbox (user, channel, seq, place, removed_seq) VALUES (?1, ?2, ?3, ${newPlace}, 0)
    ON CONFLICT DO UPDATE SET seq = excluded.seq, place = excluded.place
    WHERE place IS NULL AND excluded.seq > removed_seq`)
  const remove = db.prepare(`
    INSERT INTO inbox (user, channel, seq, place, removed_seq) VALUES (?1, ?2, 0, NULL, ?3)
    ON CONFLICT DO UPDATE SET removed_seq = ?3, place = CASE WHEN seq > ?3 THEN place END
    WHERE removed_seq < ?3`)
  return {
    addToInboxes: (entries: ReadonlyArray<InboxEntry>): void =>
      write(() => {
        for (const { user, channel, seq } of entries) add.run(user, keys.ensure(channel), seq)
      }),
    removeFromInbox: (user: string, read: ReadonlyArray<ReadUpTo>): void =>
      write(() => {
        for (const { channel, seq } of read) remove.run(user, keys.ensure(channel), seq)
      }),
    addMentions: (named: ReadonlyArray<Mention>): void => write(() => mentions.add(named)),
    removeMentions: (taken: ReadonlyArray<Mention>): void => write(() => mentions.remove(taken))
  }
}

export const inboxReads = (db: DatabaseSync, keys: ChannelKeys) => {
  const list = db.prepare(`
    SELECT user, channels.id AS channel, inbox.seq, place FROM inbox JOIN channels ON channels.key = inbox.channel
    WHERE user = ? AND place IS NOT NULL ORDER BY place DESC LIMIT ?`)
  const count = db.prepare(
    "SELECT count(*) AS n FROM mentions WHERE user = ? AND channel = ? AND seq > ? AND seq <= ? AND removed = 0"
  )
  return {
    listInbox: (user: string, limit: number): ReadonlyArray<PlacedEntry> =>
      rowsOf<PlacedEntry>(list, user, Math.min(Math.max(limit, 0), inboxListMax)).map((row) => ({ ...row })),
    countMentions: (user: string, channel: string, afterSeq: number, upTo: number): number => {
      const key = keys.find(channel)
      return key === undefined ? 0 : (rowOf<{ n: number }>(count, user, key, afterSeq, upTo)?.n ?? 0)
    }
  }
}
