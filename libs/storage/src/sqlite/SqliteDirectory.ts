/**
 * The directory in SQLite: what the store's threads run for Directory. Rows take the values of the larger seq that owns
 * them and keep those of a smaller one out (†32). The index of who is where holds only stays that last.
 */
import type { DatabaseSync } from "node:sqlite"
import type { ChannelMove, ChannelRow, Membership, SessionRow, UserRow } from "../Directory.ts"
import { fromChannels, rowGeneration, rowN, rowSeq } from "./ChannelHead.ts"
import type { ChannelKeys, GrowingChannelKeys } from "./SqliteChannelKeys.ts"
import { rowStays, rowStaysMax, type StayTuple, stayTuple } from "./StayColumns.ts"
import { limitOf, rowOf, rowsOf, tuplesOf } from "./StoreFile.ts"
import type { WriteTransaction } from "./StoreCalls.ts"
import type { WrittenHeads } from "./WrittenHeads.ts"

/** Users one page of members has at most, whatever the caller asks for; all those of a channel whose members are resident. */
export const memberPageMax = 10_000

/** Channel ids one page has at most. */
const channelPageMax = 10_000

/** What is written within a transaction that is open already. */
export const directoryRows = (db: DatabaseSync, keys: GrowingChannelKeys, heads: WrittenHeads) => {
  // No event owns the id bound: it is evicted between events too. The larger one is the careful one (†29), whoever wrote it.
  const settings = db.prepare(`
    UPDATE channels SET generation = ?2, seq = ?3, n = ?4, name = ?5, topic = ?6, fanout = ?7, created_at = ?8, members = ?9
    WHERE id = ?1 AND
      (generation < 0 OR (?2, ?3) > (SELECT ${rowGeneration}, ${rowSeq} FROM ${fromChannels} WHERE c.id = ?1))`)
  const move = db.prepare(
    "UPDATE channels SET generation = ?2, seq = ?3, n = ?4 WHERE id = ?1 AND generation >= 0 AND (?2, ?3) > (generation, seq)"
  )
  const idBound = db.prepare("UPDATE channels SET id_bound = ?2 WHERE id = ?1 AND generation >= 0 AND id_bound < ?2")
  const member = db.prepare(`
    INSERT INTO members (channel, user, first, last, role, seq) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET last = excluded.last, role = excluded.role, seq = excluded.seq
    WHERE excluded.seq > seq`)
  const stays = tuplesOf(
    db,
    `SELECT ${stayTuple} FROM members WHERE channel = ? ORDER BY user, first LIMIT ${rowStaysMax + 1}`
  )
  const inRow = db.prepare("UPDATE channels SET stays = ?2 WHERE id = ?1 AND stays IS NOT ?2")
  // Anew from the rows, in their transaction: so it says what they say, whichever of them came late or again.
  const keepStays = (channel: string): void => {
    inRow.run(channel, rowStays(rowsOf<StayTuple>(stays, keys.ensure(channel))))
  }
  return {
    putChannels: (rows: ReadonlyArray<ChannelRow>): void => {
      for (const it of rows) {
        keys.ensure(it.channel)
        heads.drop(it.channel)
        settings.run(it.channel, it.generation, it.seq, it.n, it.name, it.topic, it.fanout, it.createdAt, it.members)
        idBound.run(it.channel, it.idBound)
      }
    },
    moveChannels: (moves: ReadonlyArray<ChannelMove>): void => {
      for (const it of moves) {
        heads.drop(it.channel)
        move.run(it.channel, it.generation, it.seq, it.n)
        idBound.run(it.channel, it.idBound)
      }
    },
    putMembers: (rows: ReadonlyArray<Membership>): void => {
      const channels = new Set<string>()
      for (const it of rows) {
        channels.add(it.channel)
        member.run(keys.ensure(it.channel), it.user, it.from, it.to, it.role, it.seq)
      }
      for (const channel of channels) keepStays(channel)
    }
  }
}
export type DirectoryRows = ReturnType<typeof directoryRows>

export const directoryWrites = (db: DatabaseSync, rows: DirectoryRows, write: WriteTransaction) => {
  const session = db.prepare(`
    INSERT INTO sessions (user, generation, user_seq, state) VALUES (?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET generation = excluded.generation, user_seq = excluded.user_seq, state = excluded.state
    WHERE (excluded.generation, excluded.user_seq) > (generation, user_seq)`)
  const user = db.prepare("INSERT OR REPLACE INTO users (user, name, created_at) VALUES (?, ?, ?)")
  return {
    writeChannels: (channels: ReadonlyArray<ChannelRow>): void => write(() => rows.putChannels(channels)),
    moveChannels: (moves: ReadonlyArray<ChannelMove>): void => write(() => rows.moveChannels(moves)),
    writeMembers: (stays: ReadonlyArray<Membership>): void => write(() => rows.putMembers(stays)),
    writeSessions: (sessions: ReadonlyArray<SessionRow>): void =>
      write(() => {
        for (const it of sessions) session.run(it.user, it.generation, it.userSeq, it.state)
      }),
    putUser: (row: UserRow): void =>
      write(() => {
        user.run(row.user, row.name, row.createdAt)
      })
  }
}

export const directoryReads = (db: DatabaseSync, keys: ChannelKeys) => {
  const channel = db.prepare(`
    SELECT ${rowGeneration} AS generation, ${rowSeq} AS seq, ${rowN} AS n, c.name, c.topic, c.fanout,
      c.created_at AS createdAt, c.members, c.id_bound AS idBound
    FROM ${fromChannels} WHERE c.id = ? AND c.generation >= 0`)
  const ids = db.prepare(`SELECT id FROM channels WHERE id > ? AND generation >= 0 ORDER BY id ${limitOf("?")}`)
  const stay = 'user, role, first AS "from", last AS "to", seq'
  const page = db.prepare(`
    SELECT ${stay} FROM members WHERE channel = ?1 AND user IN
      (SELECT DISTINCT user FROM members WHERE channel = ?1 AND user > ?2 ORDER BY user ${limitOf("?3")})
    ORDER BY user, first`)
  const ofUser = db.prepare(`SELECT ${stay} FROM members WHERE channel = ? AND user = ? ORDER BY first`)
  // Written out of order, an old stay may still lack its end while a later one is there already: the latest decides.
  const open = db.prepare(`
    SELECT channels.id AS channel, user, role, first AS "from", last AS "to", m.seq FROM members m JOIN channels ON channels.key = m.channel
    WHERE user = ? AND last IS NULL AND NOT EXISTS
      (SELECT 1 FROM members l WHERE l.channel = m.channel AND l.user = m.user AND l.first > m.first)
    ORDER BY channels.id`)
  const session = db.prepare("SELECT user, generation, user_seq AS userSeq, state FROM sessions WHERE user = ?")
  const user = db.prepare("SELECT user, name, created_at AS createdAt FROM users WHERE user = ?")
  return {
    channel: (name: string): ChannelRow | null => {
      const row = rowOf<Omit<ChannelRow, "channel">>(channel, name)
      return row === undefined ? null : { channel: name, ...row }
    },
    channelIds: (after: string, limit: number): ReadonlyArray<string> =>
      rowsOf<{ id: string }>(ids, after, Math.min(Math.max(limit, 0), channelPageMax)).map(({ id }) => id),
    members: (name: string, afterUser: string, limit: number): ReadonlyArray<Membership> => {
      const key = keys.find(name)
      if (key === undefined) return []
      const users = Math.min(Math.max(limit, 0), memberPageMax)
      return rowsOf<Omit<Membership, "channel">>(page, key, afterUser, users).map((row) => ({ channel: name, ...row }))
    },
    membership: (name: string, who: string): ReadonlyArray<Membership> => {
      const key = keys.find(name)
      if (key === undefined) return []
      return rowsOf<Omit<Membership, "channel">>(ofUser, key, who).map((row) => ({ channel: name, ...row }))
    },
    channelsOf: (who: string): ReadonlyArray<Membership> => rowsOf<Membership>(open, who).map((row) => ({ ...row })),
    session: (who: string): SessionRow | null => {
      const row = rowOf<SessionRow>(session, who)
      return row === undefined ? null : { ...row }
    },
    user: (who: string): UserRow | null => {
      const row = rowOf<UserRow>(user, who)
      return row === undefined ? null : { ...row }
    }
  }
}
