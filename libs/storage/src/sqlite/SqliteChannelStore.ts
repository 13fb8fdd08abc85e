/**
 * What of channels is written together and read together, in SQLite: what the store's threads run for ChannelStore. A
 * step is one transaction, so its rows are never of different seqs; a load is one too, and its answer a message of few
 * values. Hot path: `bench scale` watches it.
 */
import type { DatabaseSync } from "node:sqlite"
import type { ChannelLoad, ChannelStep, StoredChannel } from "../ChannelStore.ts"
import type { ChannelRow } from "../Directory.ts"
import { currentBody } from "../MessageRow.ts"
import { type Columns, ColumnsReader, ColumnsWriter } from "./Columns.ts"
import { type EventColumns, packEvents, unpackEvents } from "./EventColumns.ts"
import type { DirectoryRows } from "./SqliteDirectory.ts"
import type { MentionRowWrites } from "./SqliteMentions.ts"
import type { MessageRowWrites } from "./SqliteMessageStore.ts"
import { readStays, type StayRow, writeStays } from "./StayColumns.ts"
import type { WriteTransaction } from "./StoreCalls.ts"
import { inTransaction, rowOf, rowsOf } from "./StoreFile.ts"

/** A step on its way to the writer: most of it is events. */
export interface PackedStep extends Omit<ChannelStep, "events"> {
  readonly events: EventColumns
}

export const packStep = (step: ChannelStep): PackedStep => ({ ...step, events: packEvents(step.events) })

export const channelStoreWrites = (
  rows: { readonly messages: MessageRowWrites; readonly mentions: MentionRowWrites; readonly directory: DirectoryRows },
  write: WriteTransaction
) => ({
  writeStep: ({ events, members, named, rows: channels, taken }: PackedStep): void =>
    write(() => {
      rows.messages.put(unpackEvents(events), new Set(channels.map(({ channel }) => channel)))
      rows.mentions.add(named)
      rows.mentions.remove(taken)
      rows.directory.putMembers(members)
      rows.directory.putChannels(channels)
    })
})

interface ChannelColumns extends Omit<ChannelRow, "channel"> {
  readonly key: number
  readonly headGeneration: number
  readonly headSeq: number
  readonly headN: number
}

interface BodyColumns {
  readonly seq: number
  readonly created: number
  readonly edit_generation: number
  readonly edit_seq: number
  readonly delete_generation: number
  readonly edit: Uint8Array
  readonly body: Uint8Array
}

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")

/** A message's body in its current form; nearly all are as they were sent. */
const bodyOf = (row: BodyColumns): Uint8Array => {
  if (row.edit.length === 0) return row.body
  const current = currentBody({
    created: row.created,
    n: 0,
    by: "",
    body: latin1(row.body),
    editGeneration: row.edit_generation,
    editSeq: row.edit_seq,
    edit: latin1(row.edit),
    deleteGeneration: row.delete_generation,
    deleteSeq: 0
  })
  return Buffer.from(current, "latin1")
}

export const channelStoreReads = (db: DatabaseSync) => {
  const channel = db.prepare(`
    SELECT key, head_generation AS headGeneration, head_seq AS headSeq, head_n AS headN, generation, seq, n,
      id_bound AS idBound, members, created_at AS createdAt, fanout, name, topic
    FROM channels WHERE id = ? AND generation >= 0`)
  const range = "id > (?1 << 40) | ?2 AND id <= (?1 << 40) | ?3"
  const messages = db.prepare(`
    SELECT id & 1099511627775 AS seq, created, edit_generation, edit_seq, delete_generation, edit, body
    FROM messages WHERE ${range} AND created >= 0 ORDER BY id`)
  const events = db.prepare(`SELECT id & 1099511627775 AS seq, body FROM channel_events WHERE ${range} ORDER BY id`)
  const stays = db.prepare(
    'SELECT user, first AS "from", last AS "to", role, seq FROM members WHERE channel = ? ORDER BY user, first LIMIT ?'
  )

  /** Two ascending lists with no seq in common, as one. */
  const writeEvents = (columns: ColumnsWriter, key: number, first: number, last: number): void => {
    const sent = rowsOf<BodyColumns>(messages, key, first, last)
    const others = rowsOf<{ seq: number; body: Uint8Array }>(events, key, first, last)
    columns.number(sent.length + others.length)
    let at = 0
    const upTo = (seq: number): void => {
      for (let row = sent[at]; row !== undefined && row.seq < seq; row = sent[++at]) {
        columns.number(row.seq)
        columns.wire(bodyOf(row))
      }
    }
    for (const { body, seq } of others) {
      upTo(seq)
      columns.number(seq)
      columns.wire(body)
    }
    upTo(Number.POSITIVE_INFINITY)
  }

  const writeChannel = (columns: ColumnsWriter, id: string, newestSeqs: number, staysMax: number): void => {
    const row = rowOf<ChannelColumns>(channel, id)
    columns.number(row === undefined ? 0 : 1)
    if (row === undefined) return
    columns.number(row.generation)
    columns.number(row.seq)
    columns.number(row.n)
    columns.number(row.idBound)
    columns.number(row.members)
    columns.number(row.createdAt)
    columns.number(row.fanout === "read" ? 1 : 0)
    columns.text(row.name)
    columns.text(row.topic)
    columns.number(row.headGeneration)
    if (row.headGeneration >= 0) {
      columns.number(row.headSeq)
      columns.number(row.headN)
      writeEvents(columns, row.key, Math.max(0, row.headSeq - newestSeqs), row.headSeq)
    }
    const found = row.members > staysMax ? undefined : rowsOf<StayRow>(stays, row.key, staysMax + 1)
    writeStays(columns, found === undefined || found.length > staysMax ? undefined : found)
  }

  return {
    loadChannels: ({ channels, newestSeqs, staysMax }: ChannelLoad): Columns =>
      inTransaction(db, "BEGIN", () => {
        const columns = new ColumnsWriter()
        for (const id of channels) writeChannel(columns, id, newestSeqs, staysMax)
        return columns.finish()
      })
  }
}

/** The near side of `loadChannels`. */
export const readChannels = (
  channels: ReadonlyArray<string>,
  answer: Columns
): ReadonlyArray<StoredChannel | undefined> => {
  const columns = new ColumnsReader(answer)
  return channels.map((channel) => (columns.number() === 0 ? undefined : readChannel(columns, channel)))
}

const readChannel = (columns: ColumnsReader, channel: string): StoredChannel => {
  const generation = columns.number()
  const seq = columns.number()
  const n = columns.number()
  const idBound = columns.number()
  const members = columns.number()
  const createdAt = columns.number()
  const fanout = columns.number() === 1 ? "read" : "write"
  const name = columns.text()
  const topic = columns.text()
  const row = { channel, generation, seq, n, name, topic, fanout, createdAt, members, idBound } as const
  const headGeneration = columns.number()
  const newest = headGeneration < 0 ? undefined : readNewest(columns, headGeneration)
  return { row, newest, stays: readStays(columns, channel) }
}

const readNewest = (columns: ColumnsReader, generation: number): NonNullable<StoredChannel["newest"]> => {
  const head = { generation, seq: columns.number(), n: columns.number() }
  const events: Array<{ readonly seq: number; readonly body: string }> = []
  for (let left = columns.number(); left > 0; left--) events.push({ seq: columns.number(), body: columns.wire() })
  return { head, events }
}
