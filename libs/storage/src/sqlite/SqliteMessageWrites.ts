/**
 * History into SQLite: what the writer's thread runs for MessageStore. A write is one transaction; every row takes the
 * larger (generation, seq) (†32, by MessageRow), so any order and any repetition of writes gives the same rows. A place
 * in a channel's sequence is held by one event, the one of the largest generation: a message in `messages`, any other
 * in `channel_events`. Plain messages are never parsed.
 */
import type { DatabaseSync } from "node:sqlite"
import type { WireText } from "@parley/protocol/WireText"
import { voidEdit } from "../CurrentForm.ts"
import { idTimeOf } from "../IdTime.ts"
import {
  absentMessage,
  countsFor,
  type MessageRow,
  voidsEdits,
  withDelete,
  withEdit,
  withMessage,
  withoutMessage
} from "../MessageRow.ts"
import type { StoredEvent } from "../MessageStore.ts"
import { type ChannelBase, channelBase, type ChannelHead, headOf } from "./ChannelHead.ts"
import { type EventColumns, unpackEvents } from "./EventColumns.ts"
import { fromBlob, type MessageColumns, messageColumns, messagesWithTexts, toBlob, toRow } from "./MessageColumns.ts"
import type { GrowingChannelKeys } from "./SqliteChannelKeys.ts"
import { blockOf, unreadCountWrites } from "./SqliteUnreadCounts.ts"
import { rowOf, rowsOf, tuplesOf } from "./StoreFile.ts"
import type { WriteTransaction } from "./StoreCalls.ts"
import type { WrittenHeads } from "./WrittenHeads.ts"
import { seqLimit } from "./StoreMigrations.ts"

/** Client ids forgotten in one transaction. */
export const forgottenIdsMax = 5_000

/** A channel within one write. */
interface Touched {
  readonly channel: string
  readonly key: number
  readonly before: ChannelHead
  generation: number
  seq: number
  n: number
  top: number
  idTime: number
  /** The largest position that was written. */
  last: { readonly generation: number; readonly seq: number; readonly n: number }
  /** The newest message above the base, of the base's generation. */
  newest: number | null
}

const noText = new Uint8Array()
const nowhere = { generation: -1, seq: 0, n: 0 }

const isLater = (it: { readonly generation: number; readonly seq: number }, generation: number, seq: number): boolean =>
  it.generation > generation || (it.generation === generation && it.seq > seq)

/** As the rows say it (ChannelHead) after a write of plain messages alone. */
const headAfter = ({ before, generation, key, n, newest, seq, top }: Touched): ChannelHead => {
  const { idBound, rowGeneration, rowN, rowSeq } = before
  const row = seq > rowSeq ? { rowGeneration, rowSeq: seq, rowN: n } : { rowGeneration, rowSeq, rowN }
  return { key, generation, seq, n, top, ...row, idBound, newest }
}

/** What is written within a transaction that is open already. */
export const messageRows = (db: DatabaseSync, keys: GrowingChannelKeys, heads: WrittenHeads) => {
  const base = tuplesOf(db, `SELECT ${channelBase} FROM channels WHERE id = ?`)
  // Into the leaf that the next message goes to.
  const newest = tuplesOf(
    db,
    `
    SELECT id & ${seqLimit}, n FROM messages
    WHERE id > (?1 << 40) | ?2 AND id <= (?1 << 40) | ${seqLimit} AND created >= 0 ORDER BY id DESC LIMIT 1`
  )
  const saveChannel = db.prepare(`
    UPDATE channels SET head_generation = ?, head_seq = ?, head_n = ?, top_seq = ?, generation = ?, seq = ?, n = ?,
      id_bound = ? WHERE id = ?`)
  const message = db.prepare(`SELECT ${messageColumns} FROM ${messagesWithTexts} WHERE id = (? << 40) | ?`)
  const insertMessage = db.prepare(
    "INSERT OR IGNORE INTO messages VALUES ((?1 << 40) | ?2, ?3, ?4, ?5, ?6, ?7, -1, 0, -1, 0)"
  )
  const insertTexts = db.prepare("INSERT INTO texts VALUES (?, ?, ?)")
  // One that has a row keeps its place.
  const putMessageRow = db.prepare(`
    INSERT INTO messages VALUES ((?1 << 40) | ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
    ON CONFLICT DO UPDATE SET created = excluded.created, n = excluded.n, at = excluded.at, sender = excluded.sender,
      edit_generation = excluded.edit_generation, edit_seq = excluded.edit_seq,
      delete_generation = excluded.delete_generation, delete_seq = excluded.delete_seq
    RETURNING place`)
  const putTexts = db.prepare("INSERT OR REPLACE INTO texts VALUES (?, ?, ?)")
  /** The last place that was given out; after a step that failed some are never used. */
  let place = rowOf<{ place: number | null }>(db.prepare("SELECT max(place) AS place FROM texts"))?.place ?? 0
  const event = db.prepare("SELECT generation FROM channel_events WHERE id = (? << 40) | ?")
  const dropEvent = db.prepare("DELETE FROM channel_events WHERE id = (? << 40) | ?")
  const upsertEvent = db.prepare(`
    INSERT INTO channel_events (id, generation, live_target, body)
    VALUES ((?1 << 40) | ?2, ?3, CASE WHEN ?4 < 0 THEN NULL ELSE (?1 << 40) | ?4 END, ?5)
    ON CONFLICT DO UPDATE SET generation = excluded.generation, live_target = excluded.live_target, body = excluded.body
    WHERE excluded.generation > generation`)
  const liveEdits = db.prepare(
    "SELECT id & 1099511627775 AS seq, body FROM channel_events WHERE live_target = (? << 40) | ?"
  )
  const voidEvent = db.prepare("UPDATE channel_events SET live_target = NULL, body = ?3 WHERE id = (?1 << 40) | ?2")
  const rememberId = db.prepare(`
    INSERT INTO message_ids (cid, channel, sender, generation, seq, n, at, body_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET generation = excluded.generation, seq = excluded.seq, n = excluded.n, at = excluded.at,
      body_hash = excluded.body_hash
    WHERE (excluded.generation, excluded.seq) > (generation, seq)`)
  const counts = unreadCountWrites(db)

  const load = (touched: Touched, seq: number): MessageRow => {
    const columns = rowOf<MessageColumns>(message, touched.key, seq)
    return columns === undefined ? absentMessage : toRow(columns)
  }

  const moveCount = (touched: Touched, seq: number, before: string | null, after: string | null): void => {
    // The newest block is counted when the top leaves it, from the rows as they are then.
    if (blockOf(seq) < blockOf(touched.before.top)) counts.move(touched.key, blockOf(seq), before, after)
  }

  const save = (touched: Touched, seq: number, before: MessageRow, row: MessageRow): void => {
    if (row === before) return
    const at = rowOf<{ place: number }>(
      putMessageRow,
      touched.key,
      seq,
      ++place,
      row.created,
      row.n,
      row.at,
      row.by,
      row.editGeneration,
      row.editSeq,
      row.deleteGeneration,
      row.deleteSeq
    )
    if (at === undefined) throw new Error(`message ${seq} of ${touched.channel} has no place`)
    putTexts.run(at.place, toBlob(row.body), toBlob(row.edit))
    moveCount(touched, seq, countsFor(before), countsFor(row))
  }

  const putMessage = (touched: Touched, it: StoredEvent): void => {
    // Above the top there is nothing to look for.
    const other = it.seq > touched.top ? undefined : rowOf<{ generation: number }>(event, touched.key, it.seq)
    if (other !== undefined) {
      if (other.generation >= it.generation) return
      dropEvent.run(touched.key, it.seq)
    }
    if (it.seq > touched.top && it.generation === touched.before.generation) touched.newest = it.seq
    const { key } = touched
    const inserted = insertMessage.run(key, it.seq, ++place, it.generation, it.n, it.at, it.by)
    if (inserted.changes === 1) {
      insertTexts.run(place, toBlob(it.body), noText)
      moveCount(touched, it.seq, null, it.by)
      return
    }
    const row = load(touched, it.seq)
    save(touched, it.seq, row, withMessage(row, it))
  }

  /** Any other event takes its place, unless a later generation has it. */
  const putEvent = (touched: Touched, it: StoredEvent, liveTarget: number, body: WireText): void => {
    const row = load(touched, it.seq)
    if (row.created >= it.generation) return
    save(touched, it.seq, row, withoutMessage(row, it.generation))
    upsertEvent.run(touched.key, it.seq, it.generation, liveTarget, toBlob(body))
  }

  const putEdit = (touched: Touched, it: StoredEvent): void => {
    const target = load(touched, it.target)
    if (voidsEdits(target)) putEvent(touched, it, -1, voidEdit(it.body))
    else putEvent(touched, it, it.target, it.body)
    save(touched, it.target, target, withEdit(target, it))
  }

  const putDelete = (touched: Touched, it: StoredEvent): void => {
    putEvent(touched, it, -1, it.body)
    const target = load(touched, it.target)
    save(touched, it.target, target, withDelete(target, it))
    for (const edit of rowsOf<{ seq: number; body: Uint8Array }>(liveEdits, touched.key, it.target)) {
      voidEvent.run(touched.key, edit.seq, toBlob(voidEdit(fromBlob(edit.body))))
    }
  }

  const put = (touched: Touched, it: StoredEvent): void => {
    if (!(it.seq > 0 && it.seq < seqLimit && it.target >= 0 && it.target < seqLimit)) {
      throw new RangeError(`no place for seq ${it.seq}, target ${it.target}`)
    }
    if (it.kind === "message") putMessage(touched, it)
    else if (it.kind === "edit") putEdit(touched, it)
    else if (it.kind === "delete") putDelete(touched, it)
    else putEvent(touched, it, -1, it.body)
    if (it.cid !== "") {
      rememberId.run(it.cid, touched.key, it.by, it.generation, it.seq, it.n, it.at, it.bodyHash)
    }
    if (isLater(it, touched.last.generation, touched.last.seq)) touched.last = it
    if (isLater(it, touched.generation, touched.seq)) {
      touched.generation = it.generation
      touched.seq = it.seq
      touched.n = it.n
    }
    touched.top = Math.max(touched.top, it.seq)
    touched.idTime = Math.max(touched.idTime, idTimeOf(it))
  }

  const find = (channel: string): ChannelHead | undefined => {
    const row = rowOf<ChannelBase>(base, channel)
    return row === undefined ? undefined : headOf(row, rowOf<readonly [seq: number, n: number]>(newest, row[0], row[4]))
  }

  const touch = (channel: string): Touched => {
    let before = heads.get(channel) ?? find(channel)
    if (before === undefined) {
      keys.ensure(channel)
      before = find(channel)
    }
    if (before === undefined) throw new Error(`channel ${channel} has a key but no row`)
    const { generation, key, n, seq, top } = before
    return { channel, key, before, generation, seq, n, top, idTime: 0, last: nowhere, newest: before.newest }
  }

  /** `moves`: the directory's row goes where the events went. */
  const finish = (touched: Touched, moves: boolean): void => {
    const { before, channel, generation, key, last, n, newest, seq, top } = touched
    const headMoved = generation !== before.generation || seq !== before.seq || top !== before.top
    const there = moves && before.rowGeneration >= 0
    const moved = there && isLater(last, before.rowGeneration, before.rowSeq)
    // What the rows say themselves is not written (ChannelHead), nor an id bound alone (ChannelStore.write).
    const follows = generation === before.generation && generation === before.rowGeneration
    const said = moves && follows && seq === newest && top === newest
    if (said && (headMoved || moved)) heads.set(channel, headAfter(touched))
    if ((headMoved || moved) && !said) {
      heads.drop(channel)
      const row = moved ? last : { generation: before.rowGeneration, seq: before.rowSeq, n: before.rowN }
      const idBound = there ? Math.max(before.idBound, touched.idTime) : before.idBound
      saveChannel.run(generation, seq, n, top, row.generation, row.seq, row.n, idBound, channel)
    }
    const [closed, closing] = [blockOf(before.top), blockOf(top)]
    if (closing > closed) counts.closeBlocks(key, closed, closing)
  }

  return {
    /** Rows of the directory move with their channels' events, but for those of `but`; undefined: none does. */
    put: (events: ReadonlyArray<StoredEvent>, but: ReadonlySet<string> | undefined): void => {
      const channels = new Map<string, Touched>()
      for (const it of events) {
        let touched = channels.get(it.channel)
        if (touched === undefined) {
          touched = touch(it.channel)
          channels.set(it.channel, touched)
        }
        put(touched, it)
      }
      for (const [name, touched] of channels) finish(touched, but !== undefined && !but.has(name))
    }
  }
}
export type MessageRowWrites = ReturnType<typeof messageRows>

export const messageWrites = (db: DatabaseSync, rows: MessageRowWrites, write: WriteTransaction) => {
  const forgetIds = db.prepare(`
    DELETE FROM message_ids WHERE (cid, channel, sender) IN
      (SELECT cid, channel, sender FROM message_ids WHERE cid < ? ORDER BY cid LIMIT ${forgottenIdsMax})`)
  return {
    writeEvents: (columns: EventColumns): void => write(() => rows.put(unpackEvents(columns), undefined)),
    /** One bounded step; true when there may be more. */
    forgetSomeIds: (before: number): boolean => {
      // The text of a UUIDv7 begins with its time: 8 hex digits, a hyphen, 4 more.
      const hex = Math.max(0, Math.floor(before)).toString(16).padStart(12, "0")
      return forgetIds.run(`${hex.slice(0, 8)}-${hex.slice(8)}`).changes === forgottenIdsMax
    }
  }
}
