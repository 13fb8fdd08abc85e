/**
 * History out of SQLite: what the reader's thread runs for MessageStore. Whatever takes two statements is of one snapshot.
 */
import type { DatabaseSync } from "node:sqlite"
import type { WireText } from "@parley/protocol/WireText"
import { currentBody, toStoredMessage } from "../MessageRow.ts"
import type { NewestEvents, StoredAck, StoredMessage } from "../MessageStore.ts"
import { fromChannels, headGeneration, headN, headSeq, topSeq } from "./ChannelHead.ts"
import { fromBlob, type MessageColumns, messageColumns, messagesWithTexts, toRow } from "./MessageColumns.ts"
import type { ChannelKeys } from "./SqliteChannelKeys.ts"
import { unreadCountReads } from "./SqliteUnreadCounts.ts"
import { inTransaction, limitOf, rowOf, rowsOf } from "./StoreFile.ts"
import { seqLimit } from "./StoreMigrations.ts"

/** Rows one page has at most, whatever the caller asks for. */
export const pageRowsMax = 2_000

/** A seq from outside, as a bound of a range. */
const clampSeq = (seq: number): number => Math.min(Math.max(Math.floor(seq), 0), seqLimit)

export const messageReads = (db: DatabaseSync, keys: ChannelKeys) => {
  const range = "id > (?1 << 40) | ?2 AND id < (?1 << 40) | ?3"
  const page = (order: "ASC" | "DESC") =>
    db.prepare(
      `SELECT ${messageColumns} FROM ${messagesWithTexts}
      WHERE ${range} AND created >= 0 ORDER BY id ${order} ${limitOf("?4")}`
    )
  const oldest = page("ASC")
  const newest = page("DESC")
  const events = db.prepare(
    `SELECT id & 1099511627775 AS seq, body FROM channel_events WHERE ${range} ORDER BY id ${limitOf("?4")}`
  )
  const channel = db.prepare(`
    SELECT ${headGeneration} AS generation, ${headSeq} AS seq, ${headN} AS n, ${topSeq} AS top
    FROM ${fromChannels} WHERE c.id = ?`)
  const id = db.prepare(
    "SELECT seq, n, at, body_hash AS bodyHash FROM message_ids WHERE cid = ? AND channel = ? AND sender = ?"
  )
  const sent = db.prepare("SELECT at, sender AS by FROM messages WHERE id = (? << 40) | ? AND created >= 0")
  const counts = unreadCountReads(db)

  /** Of one snapshot: a message and its edit are seen together or not at all. */
  const eventsOf = (key: number, first: number, end: number, limit: number) =>
    [
      ...rowsOf<MessageColumns>(oldest, key, first, end, limit).map((columns) => ({
        seq: columns.seq,
        body: currentBody(toRow(columns))
      })),
      ...rowsOf<{ seq: number; body: Uint8Array }>(events, key, first, end, limit).map((row) => ({
        seq: row.seq,
        body: fromBlob(row.body)
      }))
    ]
      .sort((a, b) => a.seq - b.seq)
      .slice(0, limit)

  const headOf = (name: string): { readonly generation: number; readonly seq: number; readonly n: number } | null => {
    const row = rowOf<{ generation: number; seq: number; n: number }>(channel, name)
    return row === undefined || row.generation < 0 ? null : { generation: row.generation, seq: row.seq, n: row.n }
  }

  return {
    messages: (
      name: string,
      asked: { readonly after: number; readonly before: number; readonly limit: number; readonly newest: boolean }
    ): ReadonlyArray<StoredMessage> => {
      const key = keys.find(name)
      if (key === undefined) return []
      const limit = Math.min(Math.max(asked.limit, 0), pageRowsMax)
      const statement = asked.newest ? newest : oldest
      const rows = rowsOf<MessageColumns>(statement, key, clampSeq(asked.after), clampSeq(asked.before), limit).map(
        (columns) => toStoredMessage(columns.seq, toRow(columns))
      )
      return asked.newest ? rows.reverse() : rows
    },

    events: (
      name: string,
      after: number,
      upTo: number,
      asked: number
    ): ReadonlyArray<{ readonly seq: number; readonly body: WireText }> => {
      const key = keys.find(name)
      if (key === undefined) return []
      const limit = Math.min(Math.max(asked, 0), pageRowsMax)
      const [first, end] = [clampSeq(after), clampSeq(upTo + 1)]
      return inTransaction(db, "BEGIN", () => eventsOf(key, first, end, limit))
    },

    countUnread: (name: string, after: number, upTo: number, user: string): number => {
      const key = keys.find(name)
      if (key === undefined) return 0
      return inTransaction(db, "BEGIN", () => {
        const top = rowOf<{ top: number }>(channel, name)?.top ?? 0
        return counts.count(key, clampSeq(after) + 1, clampSeq(upTo), top, user)
      })
    },

    findId: (name: string, sender: string, cid: string): StoredAck | null => {
      const key = keys.find(name)
      if (key === undefined) return null
      const row = rowOf<StoredAck>(id, cid, key, sender)
      return row === undefined ? null : { ...row }
    },

    head: headOf,

    newest: (name: string, seqs: number): NewestEvents | null => {
      const key = keys.find(name)
      if (key === undefined) return null
      return inTransaction(db, "BEGIN", () => {
        const head = headOf(name)
        if (head === null) return null
        const after = clampSeq(head.seq - Math.min(Math.max(seqs, 0), pageRowsMax))
        const message = rowOf<{ at: number; by: string }>(sent, key, clampSeq(head.seq))
        return {
          head,
          message: message === undefined ? undefined : { ...message },
          events: eventsOf(key, after, clampSeq(head.seq + 1), pageRowsMax)
        }
      })
    }
  }
}
