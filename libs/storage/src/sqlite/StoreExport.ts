/**
 * All that lies in a `store.sqlite`, to be copied elsewhere: events as they were stored, and what no seam can list
 * (users, sessions, cursors, mentions, client ids). Reads by a connection of its own, in pages; whoever holds the data
 * directory uses it, after the store was opened once and so is of the newest schema.
 */
import { DatabaseSync } from "node:sqlite"
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import { toWire } from "@parley/protocol/WireText"
import type { Cursor } from "../CursorStore.ts"
import type { SessionRow, UserRow } from "../Directory.ts"
import type { Mention } from "../Inbox.ts"
import type { StoredAck, StoredEvent } from "../MessageStore.ts"
import type { ParkedEvent } from "../ParkedEvents.ts"
import { fromBlob } from "./MessageColumns.ts"
import { rowOf, rowsOf } from "./StoreFile.ts"

/** Rows in memory at a time. */
export const exportPageRows = 500

/** A mention, and whether it still counts. */
export interface ExportedMention extends Mention {
  readonly removed: boolean
}

export interface ExportedId extends StoredAck {
  readonly channel: string
  readonly sender: string
  readonly cid: string
}

interface ReplacedRow extends ExportedId {
  readonly generation: number
}

interface EventRow {
  readonly seq: number
  readonly generation: number
  readonly n: number | null
  readonly at: number | null
  readonly sender: string | null
  readonly body: Uint8Array
  readonly idHash: string | null
  readonly idN: number | null
}

/** Of an event's body, what its row does not say. */
interface Body {
  readonly kind: string
  readonly at: number
  readonly by: string
  readonly cid?: string
  readonly target?: number
}

/** The client ids by place, which the table itself does not have: its key is for questions by id. */
const idsByPlace = `
  CREATE TEMP TABLE ids AS SELECT channel << 40 | seq AS place, generation, n, body_hash FROM message_ids;
  CREATE INDEX temp.ids_by_place ON ids (place)`

const placed = (table: string, columns: string) => `
  SELECT e.id & 1099511627775 AS seq, ${columns}, body, ids.body_hash AS idHash, ids.n AS idN
  FROM ${table} LEFT JOIN temp.ids ON ids.place = e.id AND ids.generation = e.generation
  WHERE e.id > (?1 << 40) | ?2 AND e.id <= (?1 << 40) | ?3 ORDER BY e.id LIMIT ${exportPageRows}`

const messagesTable =
  "(SELECT id, created AS generation, n, at, sender, place FROM messages WHERE created >= 0) e JOIN texts USING (place)"

const replacedIds = `
  SELECT channels.id AS channel, cid, sender, i.generation, i.seq, i.n, at, body_hash AS bodyHash
  FROM message_ids i JOIN channels ON channels.key = i.channel
  WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.id = i.channel << 40 | i.seq AND m.created = i.generation)
    AND NOT EXISTS (SELECT 1 FROM channel_events e WHERE e.id = i.channel << 40 | i.seq AND e.generation = i.generation)`

export class StoreExport implements Disposable {
  readonly #db: DatabaseSync

  constructor(file: string) {
    this.#db = new DatabaseSync(file, { readOnly: true })
    this.#db.exec(idsByPlace)
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }

  /** Names of channels that have an event or a row, ascending. */
  *channels(): Iterable<string> {
    const page = this.#db.prepare(`SELECT id FROM channels WHERE id > ? ORDER BY id LIMIT ${exportPageRows}`)
    for (let after = "", rows; (rows = rowsOf<{ id: string }>(page, after)).length > 0;) {
      for (const { id } of rows) yield (after = id)
    }
  }

  /** A channel's events in order, in pages; messages and edits with the texts that they were stored with. */
  *events(channel: string): Iterable<ReadonlyArray<StoredEvent>> {
    const key = rowOf<{ key: number }>(this.#db.prepare("SELECT key FROM channels WHERE id = ?"), channel)?.key
    if (key === undefined) return
    const messages = this.#db.prepare(placed(messagesTable, "e.generation, e.n, at, sender"))
    const others = this.#db.prepare(placed("channel_events e", "e.generation, NULL AS n, NULL AS at, NULL AS sender"))
    const end = 2 ** 40 - 1
    let n = 0
    for (let after = 0; ;) {
      const sent = rowsOf<EventRow>(messages, key, after, end)
      // Where the page is full there may be more messages beyond it: the others come up to there only.
      const upTo = sent.length === exportPageRows ? (sent.at(-1)?.seq ?? end) : end
      const rows = [...sent, ...rowsOf<EventRow>(others, key, after, upTo)].sort((a, b) => a.seq - b.seq)
      if (rows.length === 0) return
      // A full page of others ends before its messages may.
      const page = rows.length > exportPageRows ? rows.slice(0, exportPageRows) : rows
      yield page.map((row) => {
        const event = toEvent(channel, row, n)
        n = event.n
        return event
      })
      after = page.at(-1)?.seq ?? end
    }
  }

  /**
   * What is left of events whose places in their sequences a later generation has: their client ids, which count as long
   * as the others. No text is: it is of no kind that shows.
   */
  *replaced(): Iterable<StoredEvent> {
    for (const row of this.#db.prepare(replacedIds).iterate()) {
      // as unknown as: the columns that the statement names
      const { at, bodyHash, channel, cid, generation, n, sender: by, seq } = row as unknown as ReplacedRow
      const kind = "replaced"
      const body = toWire(JSON.stringify({ seq, at, by, kind, cid }))
      yield { channel, generation, seq, kind, at, by, cid, bodyHash, n, target: 0, body }
    }
  }

  *users(): Iterable<UserRow> {
    yield* this.#by<UserRow>("SELECT user, name, created_at AS createdAt FROM users WHERE user > ? ORDER BY user")
  }

  *sessions(): Iterable<SessionRow> {
    yield* this.#by<SessionRow>(
      "SELECT user, generation, user_seq AS userSeq, state FROM sessions WHERE user > ? ORDER BY user"
    )
  }

  /** Users that have cursors, each with all of his. */
  *cursors(): Iterable<{ readonly user: string; readonly cursors: ReadonlyArray<Cursor> }> {
    const of = this.#db.prepare(`
      SELECT channels.id AS channel, c.generation, c.seq FROM cursors c JOIN channels ON channels.key = c.channel
      WHERE user = ? ORDER BY channels.id`)
    for (const { user } of this.#by<{ user: string }>(
      "SELECT DISTINCT user FROM cursors WHERE user > ? ORDER BY user"
    )) {
      const rows = rowsOf<{ channel: string; generation: number; seq: number }>(of, user)
      yield {
        user,
        cursors: rows.map(({ channel, generation, seq }) => ({ channel, position: { generation, seq } }))
      }
    }
  }

  *mentions(): Iterable<ExportedMention> {
    const rows = this.#db.prepare(`
      SELECT user, channels.id AS channel, m.seq, written_at AS at, removed FROM mentions m
      JOIN channels ON channels.key = m.channel`)
    for (const row of rows.iterate()) {
      // as unknown as: the columns that the statement names
      const it = row as unknown as Mention & { readonly removed: number }
      yield { user: it.user, channel: it.channel, seq: it.seq, at: it.at, removed: it.removed !== 0 }
    }
  }

  /** Client ids whose embedded time is at or after `since` (ms). */
  *ids(since: number): Iterable<ExportedId> {
    const rows = this.#db.prepare(`
      SELECT cid, sender, channels.id AS channel, i.seq, i.n, at, body_hash AS bodyHash FROM message_ids i
      JOIN channels ON channels.key = i.channel`)
    for (const row of rows.iterate()) {
      // as unknown as: the columns that the statement names
      const it = row as unknown as ExportedId
      if (clientIdTime(it.cid) >= since) yield { ...it }
    }
  }

  *parked(): Iterable<ParkedEvent> {
    const rows = this.#db.prepare(`
      SELECT consumer, topic, id, generation, seq, shard, kind, why, parked_at AS parkedAt, event FROM parked_events
      ORDER BY consumer, topic, id, generation, seq`)
    for (const row of rows.iterate()) {
      // as unknown as: the columns that the statement names
      yield { ...(row as unknown as ParkedEvent) }
    }
  }

  /** Entities of which something is parked, by consumer. */
  *parkedEntities(): Iterable<Pick<ParkedEvent, "consumer" | "topic" | "id">> {
    const rows = this.#db.prepare("SELECT DISTINCT consumer, topic, id FROM parked_events")
    for (const row of rows.iterate()) {
      // as unknown as: the columns that the statement names
      yield { ...(row as unknown as Pick<ParkedEvent, "consumer" | "topic" | "id">) }
    }
  }

  *#by<Row extends { readonly user: string }>(sql: string): Iterable<Row> {
    const page = this.#db.prepare(`${sql} LIMIT ${exportPageRows}`)
    for (let after = "", rows; (rows = rowsOf<Row>(page, after)).length > 0;) {
      for (const row of rows) {
        after = row.user
        yield { ...row }
      }
    }
  }
}

const toEvent = (channel: string, row: EventRow, before: number): StoredEvent => {
  const body = fromBlob(row.body)
  // as: a body is the JSON object of an event
  const { at, by, cid = "", kind, target = 0 } = JSON.parse(body) as Body
  return {
    channel,
    generation: row.generation,
    seq: row.seq,
    kind,
    at: row.at ?? at,
    by: row.sender ?? by,
    cid,
    bodyHash: row.idHash ?? "",
    n: row.n ?? row.idN ?? before,
    target,
    body
  }
}
