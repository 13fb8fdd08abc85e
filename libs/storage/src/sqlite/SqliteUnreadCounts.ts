/**
 * Unread as a subtraction (DESIGN §4): messages that are not deleted, in all and by sender, counted by blocks of seqs.
 * Only blocks below the channel's newest one have counts: they are counted from the rows when the channel's top seq
 * leaves the block, and corrected by each row that changes afterwards, in the same transaction. So a steady stream of
 * messages writes no count at all, and a query reads at most three blocks of rows (the two it cuts and the newest).
 */
import type { DatabaseSync } from "node:sqlite"
import { rowOf } from "./StoreFile.ts"

/** Seqs in a block. */
export const blockSeqs = 1_024

/** The newest block of a channel; those below it have counts. */
export const blockOf = (seq: number): number => Math.floor(seq / blockSeqs)

const counted = "created >= 0 AND delete_generation < created"
const between = "id >= (?1 << 40) | ?2 AND id < (?1 << 40) | ?3"

export interface UnreadCountWrites {
  /** The top seq left the blocks `from <= block < to`. */
  closeBlocks(channel: number, from: number, to: number): void
  /** A row of a closed block now counts for `after` (a sender, null: nobody), not for `before`. */
  move(channel: number, block: number, before: string | null, after: string | null): void
}

export const unreadCountWrites = (db: DatabaseSync): UnreadCountWrites => {
  const closeSenders = db.prepare(`
    INSERT INTO block_senders (channel, sender, block, messages)
    SELECT ?1, sender, (id & 1099511627775) / ${blockSeqs}, count(*) FROM messages
    WHERE ${between} AND ${counted} GROUP BY 2, 3`)
  const closeTotals = db.prepare(`
    INSERT INTO block_counts (channel, block, messages)
    SELECT ?1, (id & 1099511627775) / ${blockSeqs}, count(*) FROM messages
    WHERE ${between} AND ${counted} GROUP BY 2`)
  const addTotal = db.prepare(`
    INSERT INTO block_counts (channel, block, messages) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET messages = messages + ?3`)
  const addSender = db.prepare(`
    INSERT INTO block_senders (channel, sender, block, messages) VALUES (?1, ?2, ?3, ?4)
    ON CONFLICT DO UPDATE SET messages = messages + ?4`)
  const add = (channel: number, block: number, sender: string, messages: number): void => {
    addTotal.run(channel, block, messages)
    addSender.run(channel, sender, block, messages)
  }
  return {
    closeBlocks: (channel, from, to) => {
      closeSenders.run(channel, from * blockSeqs, to * blockSeqs)
      closeTotals.run(channel, from * blockSeqs, to * blockSeqs)
    },
    move: (channel, block, before, after) => {
      if (before === after) return
      if (before !== null) add(channel, block, before, -1)
      if (after !== null) add(channel, block, after, 1)
    }
  }
}

export interface UnreadCountReads {
  /** Messages in `first <= seq <= last` that are not deleted and not by `user`; `top` is the channel's top seq. */
  count(channel: number, first: number, last: number, top: number, user: string): number
}

export const unreadCountReads = (db: DatabaseSync): UnreadCountReads => {
  const rows = db.prepare(`SELECT count(*) AS n FROM messages WHERE ${between} AND ${counted} AND sender <> ?4`)
  const totals = db.prepare(
    "SELECT coalesce(sum(messages), 0) AS n FROM block_counts WHERE channel = ? AND block >= ? AND block < ?"
  )
  const own = db.prepare(
    "SELECT coalesce(sum(messages), 0) AS n FROM block_senders WHERE channel = ? AND sender = ? AND block >= ? AND block < ?"
  )
  const countRows = (channel: number, first: number, end: number, user: string): number =>
    first < end ? (rowOf<{ n: number }>(rows, channel, first, end, user)?.n ?? 0) : 0
  return {
    count: (channel, first, last, top, user) => {
      const end = Math.min(last, top) + 1
      // Seq 0 does not exist, so a range from 1 has block 0 whole.
      const from = first <= 1 ? 0 : Math.ceil(first / blockSeqs)
      const to = Math.min(blockOf(end), blockOf(top))
      if (from >= to) return countRows(channel, first, end, user)
      const all = rowOf<{ n: number }>(totals, channel, from, to)?.n ?? 0
      const byUser = rowOf<{ n: number }>(own, channel, user, from, to)?.n ?? 0
      return (
        countRows(channel, first, from * blockSeqs, user) +
        (all - byUser) +
        countRows(channel, to * blockSeqs, end, user)
      )
    }
  }
}
