/**
 * What of channels is written together and read together, in SQLite: what the store's threads run for ChannelStore. A
 * step is one transaction, so its rows are never of different seqs; a load is one too, and its answer a message of few
 * values. Hot path: `bench scale` watches it.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { ChannelLoad, ChannelStep, StoredChannel } from "../ChannelStore.ts"
import { currentBody } from "../MessageRow.ts"
import { type Columns, ColumnsReader, ColumnsWriter } from "./Columns.ts"
import { type EventColumns, packEvents, unpackEvents } from "./EventColumns.ts"
import type { DirectoryRows } from "./SqliteDirectory.ts"
import type { MentionRowWrites } from "./SqliteMentions.ts"
import type { MessageRowWrites } from "./SqliteMessageWrites.ts"
import { packStays, rowStaysMax, type StayTuple, stayTuple, unpackStays } from "./StayColumns.ts"
import type { WriteTransaction } from "./StoreCalls.ts"
import { type ChannelBase, channelBase, headOf } from "./ChannelHead.ts"
import { messagesWithTexts } from "./MessageColumns.ts"
import { inTransaction, limitOf, rowOf, rowsOf, tuplesOf } from "./StoreFile.ts"
import { seqLimit } from "./StoreMigrations.ts"

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

type ChannelTuple = readonly [
  ...base: ChannelBase,
  members: number,
  createdAt: number,
  readFanout: number,
  name: string,
  topic: string,
  stays: string | null
]
type HeadTuple = readonly [seq: number, n: number, at: number, by: string]
type MessageTuple = readonly [...head: HeadTuple, editGeneration: number, body: Uint8Array]
type EventTuple = readonly [seq: number, body: Uint8Array]

interface EditColumns {
  readonly created: number
  readonly edit_generation: number
  readonly edit_seq: number
  readonly delete_generation: number
  readonly edit: Uint8Array
}

const nothing: HeadTuple = [0, 0, 0, ""]

const latin1 = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")

export const channelStoreReads = (db: DatabaseSync) => {
  const channel = tuplesOf(
    db,
    `
    SELECT ${channelBase}, members, created_at, fanout = 'read', name, topic, stays
    FROM channels WHERE id = ? AND generation >= 0`
  )
  const range = "id > (?1 << 40) | ?2 AND id <= (?1 << 40) | ?3"
  const sent = (columns: string, from: string) =>
    tuplesOf(
      db,
      `
      SELECT id & ${seqLimit}, n, at, sender${columns} FROM ${from}
      WHERE ${range} AND created >= 0 ORDER BY id DESC ${limitOf("?4")}`
    )
  const heads = sent("", "messages")
  const messages = sent(", edit_generation, body", messagesWithTexts)
  const edited = db.prepare(`
    SELECT created, edit_generation, edit_seq, delete_generation, edit FROM ${messagesWithTexts} WHERE id = (?1 << 40) | ?2`)
  const events = tuplesOf(db, `SELECT id & ${seqLimit}, body FROM channel_events WHERE ${range} ORDER BY id`)
  const stays = tuplesOf(
    db,
    `
    SELECT ${stayTuple} FROM members
    WHERE channel = ? ORDER BY user, first ${limitOf("?")}`
  )

  /** A message's body in its current form; nearly all are as they were sent. */
  const bodyOf = (key: number, [seq, n, , , editGeneration, body]: MessageTuple): Uint8Array => {
    const row = editGeneration < 0 ? undefined : rowOf<EditColumns>(edited, key, seq)
    if (row === undefined) return body
    const current = currentBody({
      created: row.created,
      n,
      at: 0,
      by: "",
      body: latin1(body),
      editGeneration: row.edit_generation,
      editSeq: row.edit_seq,
      edit: latin1(row.edit),
      deleteGeneration: row.delete_generation,
      deleteSeq: 0
    })
    return Buffer.from(current, "latin1")
  }

  /** Messages of the range, newest first, and the other events in it: no seq is in both. */
  const writeEvents = (
    columns: ColumnsWriter,
    key: number,
    sent: ReadonlyArray<MessageTuple>,
    first: number,
    last: number
  ): void => {
    // Messages alone are most of what a channel has: where they fill the range there is nothing else in it.
    const others = sent.length === last - first ? [] : rowsOf<EventTuple>(events, key, first, last)
    columns.number(sent.length + others.length)
    let at = sent.length - 1
    const upTo = (end: number): void => {
      for (let row = sent[at]; row !== undefined && row[0] < end; row = sent[--at]) {
        columns.number(row[0])
        columns.wire(bodyOf(key, row))
      }
    }
    for (const [seq, body] of others) {
      upTo(seq)
      columns.number(seq)
      columns.wire(body)
    }
    upTo(Number.POSITIVE_INFINITY)
  }

  /** The messages that may be among the newest so many events, newest first: with the one that is the head, if one is (ChannelHead). */
  const newestMessages = <Row extends readonly [...head: HeadTuple, ...rest: ReadonlyArray<unknown>]>(
    statement: StatementSync,
    [key, headGeneration, headSeq, , topSeq]: ChannelTuple,
    seqs: number
  ): ReadonlyArray<Row> => {
    if (headGeneration < 0) return []
    const first = Math.max(0, headSeq - seqs)
    const found = rowsOf<Row>(statement, key, first, seqLimit, seqs)
    const [top = 0] = found[0] ?? []
    // Between head and top are rows of earlier generations only.
    return top > headSeq && top <= topSeq ? rowsOf<Row>(statement, key, first, headSeq, seqs) : found
  }

  const writeChannel = (columns: ColumnsWriter, id: string, newestSeqs: number, staysMax: number): void => {
    const row = rowOf<ChannelTuple>(channel, id)
    columns.number(row === undefined ? 0 : 1)
    if (row === undefined) return
    // Where no event is asked for, no text is touched.
    const sent = newestSeqs === 0 ? [] : newestMessages<MessageTuple>(messages, row, newestSeqs)
    const [newest] = newestSeqs === 0 ? newestMessages<HeadTuple>(heads, row, 1) : sent
    const head = headOf(row, newest)
    const [, , , , , , , , , members, createdAt, readFanout, name, topic, stays] = row
    columns.number(head.rowGeneration)
    columns.number(head.rowSeq)
    columns.number(head.rowN)
    columns.number(head.idBound)
    columns.number(members)
    columns.number(createdAt)
    columns.number(readFanout)
    columns.text(name)
    columns.text(topic)
    columns.number(head.generation)
    if (head.generation >= 0) {
      const first = Math.max(0, head.seq - newestSeqs)
      columns.number(head.seq)
      columns.number(head.n)
      const [at, , sentAt, by] = newest ?? nothing
      columns.number(at === head.seq ? 1 : 0)
      if (at === head.seq) {
        columns.number(sentAt)
        columns.text(by)
      }
      writeEvents(
        columns,
        head.key,
        sent.filter(([at]) => at > first),
        first,
        head.seq
      )
    }
    writeStays(columns, head.key, members, stays, staysMax)
  }

  /** Out of the channel's own row where that has them; the empty text: there are too many. */
  const writeStays = (
    columns: ColumnsWriter,
    key: number,
    members: number,
    inRow: string | null,
    staysMax: number
  ): void => {
    if (inRow !== null && staysMax >= rowStaysMax) return columns.text(inRow)
    const found = members > staysMax ? undefined : rowsOf<StayTuple>(stays, key, staysMax + 1)
    columns.text(found === undefined || found.length > staysMax ? "" : packStays(found))
  }

  return {
    loadChannels: ({ channels, newestSeqs, staysMax }: ChannelLoad): Columns =>
      inTransaction(db, "BEGIN", () => {
        const columns = new ColumnsWriter()
        for (const [at, id] of channels.entries()) writeChannel(columns, id, newestSeqs[at] ?? 0, staysMax)
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
  const stays = columns.text()
  return { row, newest, stays: stays === "" ? undefined : unpackStays(stays, channel) }
}

const readNewest = (columns: ColumnsReader, generation: number): NonNullable<StoredChannel["newest"]> => {
  const head = { generation, seq: columns.number(), n: columns.number() }
  const message = columns.number() === 0 ? undefined : { at: columns.number(), by: columns.text() }
  const events: Array<{ readonly seq: number; readonly body: string }> = []
  for (let left = columns.number(); left > 0; left--) events.push({ seq: columns.number(), body: columns.wire() })
  return { head, message, events }
}
