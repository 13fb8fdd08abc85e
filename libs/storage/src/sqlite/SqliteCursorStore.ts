/** Cursors in SQLite: what the store's threads run for CursorStore. A cursor only grows (generation first, then seq). */
import type { DatabaseSync } from "node:sqlite"
import type { Cursor } from "../CursorStore.ts"
import type { ChannelKeys, GrowingChannelKeys } from "./SqliteChannelKeys.ts"
import { rowsOf } from "./StoreFile.ts"
import type { WriteTransaction } from "./StoreCalls.ts"

export const cursorWrites = (db: DatabaseSync, keys: GrowingChannelKeys, write: WriteTransaction) => {
  const merge = db.prepare(`
    INSERT INTO cursors (user, channel, generation, seq) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET generation = excluded.generation, seq = excluded.seq
    WHERE (excluded.generation, excluded.seq) > (generation, seq)`)
  return {
    mergeCursors: (user: string, cursors: ReadonlyArray<Cursor>): void =>
      write(() => {
        for (const { channel, position } of cursors) {
          merge.run(user, keys.ensure(channel), position.generation, position.seq)
        }
      })
  }
}

interface CursorColumns {
  readonly generation: number
  readonly seq: number
}

export const cursorReads = (db: DatabaseSync, keys: ChannelKeys) => {
  const ofUser = db.prepare(`
    SELECT channels.id AS channel, cursors.generation, cursors.seq FROM cursors JOIN channels ON channels.key = cursors.channel
    WHERE user = ?`)
  const ofChannel = db.prepare("SELECT user, generation, seq FROM cursors WHERE channel = ?")
  return {
    cursorsOf: (user: string): ReadonlyArray<Cursor> =>
      rowsOf<CursorColumns & { readonly channel: string }>(ofUser, user).map(({ channel, generation, seq }) => ({
        channel,
        position: { generation, seq }
      })),
    cursorsIn: (channel: string) => {
      const key = keys.find(channel)
      if (key === undefined) return []
      return rowsOf<CursorColumns & { readonly user: string }>(ofChannel, key).map(({ user, generation, seq }) => ({
        user,
        position: { generation, seq }
      }))
    }
  }
}
