/**
 * History out of Cassandra. Pages are full and bounded, and of the rows as each was read: what two statements say is not
 * of one moment, so the owner lays over them what is above its floor (†31).
 */
import { Effect, Option } from "effect"
import type { WireText } from "@parley/protocol/WireText"
import { currentBody, toStoredMessage } from "../MessageRow.ts"
import type { NewestEvents, StoredMessage } from "../MessageStore.ts"
import { countMessages } from "./BlockCounts.ts"
import { type BucketRange, type Found, readRange } from "./BucketRanges.ts"
import type { Cassandra, Row } from "./Cassandra.ts"
import { answerRowsMax } from "./CassandraClient.ts"
import { select, seqLimit } from "./Cql.ts"
import {
  bucketOf,
  type EventRow,
  eventRowOf,
  isMessage,
  messageRowOf,
  numberOf,
  selectEvents,
  selectNewest,
  selectOldest,
  selectSent,
  sentOf
} from "./MessageColumns.ts"

/** Rows one page has at most, whatever the caller asks for. */
export const pageRowsMax = 2_000
/** Rows asked for beyond the page's: some may be of edits whose message has not come. */
const spareRows = 16

const selectHead = select("SELECT head_generation, head_seq, head_n, top FROM channels WHERE channel = ?")

/** A seq from outside, as a bound of a range. */
const clampSeq = (seq: number): number => Math.min(Math.max(Math.floor(seq), 0), seqLimit)
const clampLimit = (limit: number): number => Math.min(Math.max(Math.floor(limit), 0), pageRowsMax)

interface ChannelEventText {
  readonly seq: number
  readonly body: WireText
}

type Client = Cassandra["Service"]

const readHead = Effect.fnUntraced(function* (cassandra: Client, channel: string) {
  const [row] = yield* cassandra.read(selectHead, [channel])
  if (row === undefined || numberOf(row, "head_generation") < 0) return undefined
  const generation = numberOf(row, "head_generation")
  const head = { generation, seq: numberOf(row, "head_seq"), n: numberOf(row, "head_n") }
  return { head, top: numberOf(row, "top") }
})

/** Where the range ends in what there is. Few partitions are looked through faster than the end is asked for. */
const endOf = Effect.fnUntraced(function* (cassandra: Client, channel: string, after: number, before: number) {
  if (bucketOf(before) - bucketOf(after) <= 1) return before
  const found = yield* readHead(cassandra, channel)
  return Math.min(before, (found?.top ?? 0) + 1)
})

const lastSeq = (rows: ReadonlyArray<Row>, asked: number): number | undefined => {
  const last = rows.at(-1)
  return rows.length < asked || last === undefined ? undefined : numberOf(last, "seq")
}

export const readMessages = Effect.fnUntraced(function* (
  cassandra: Client,
  channel: string,
  asked: { readonly after: number; readonly before: number; readonly limit: number; readonly newest: boolean }
) {
  const { newest } = asked
  const limit = clampLimit(asked.limit)
  if (limit === 0) return []
  const after = clampSeq(asked.after)
  const before = yield* endOf(cassandra, channel, after, clampSeq(asked.before))
  const statement = newest ? selectNewest : selectOldest
  const read = Effect.fnUntraced(function* (part: BucketRange, wanted: number) {
    const rowsMax = Math.min(wanted + spareRows, answerRowsMax)
    const rows = yield* cassandra.read(statement, [
      channel,
      part.bucket,
      BigInt(part.after),
      BigInt(part.before),
      rowsMax
    ])
    const items: Array<StoredMessage> = []
    for (const row of rows) {
      const sent = sentOf(row)
      if (isMessage(sent)) items.push(toStoredMessage(numberOf(row, "seq"), messageRowOf(row, sent)))
    }
    const found: Found<StoredMessage> = { items, upTo: lastSeq(rows, rowsMax) }
    return found
  })
  const items = yield* readRange({ after, before, limit, newest, read })
  return newest ? items.reverse() : items
})

/** Messages and other events of a part, each place's once: of one generation, the message goes first. */
const readPart = Effect.fnUntraced(function* (cassandra: Client, channel: string, part: BucketRange, wanted: number) {
  const rowsMax = Math.min(wanted + spareRows, answerRowsMax)
  const range = [channel, part.bucket, BigInt(part.after), BigInt(part.before), rowsMax]
  const [messages, others] = yield* Effect.all(
    [cassandra.read(selectOldest, range), cassandra.read(selectEvents, range)],
    { concurrency: 2 }
  )
  const ends = [lastSeq(messages, rowsMax), lastSeq(others, rowsMax)].filter((end) => end !== undefined)
  const upTo = ends.length === 0 ? undefined : Math.min(...ends)
  const byPlace = new Map<number, EventRow>()
  for (const row of others) {
    const event = eventRowOf(row)
    if (event !== undefined) byPlace.set(event.seq, event)
  }
  for (const row of messages) {
    const sent = sentOf(row)
    if (!isMessage(sent)) continue
    const seq = numberOf(row, "seq")
    const message = messageRowOf(row, sent)
    if ((byPlace.get(seq)?.generation ?? -1) > message.created) continue
    byPlace.set(seq, { seq, generation: message.created, body: currentBody(message) })
  }
  const items = [...byPlace.values()]
    .sort((a, b) => a.seq - b.seq)
    .filter(({ seq }) => upTo === undefined || seq <= upTo)
  const found: Found<ChannelEventText> = { items: items.map(({ body, seq }) => ({ seq, body })), upTo }
  return found
})

export const readEvents = Effect.fnUntraced(function* (
  cassandra: Client,
  channel: string,
  after: number,
  upTo: number,
  asked: number
) {
  const limit = clampLimit(asked)
  if (limit === 0) return []
  const first = clampSeq(after)
  const before = yield* endOf(cassandra, channel, first, clampSeq(upTo + 1))
  const read = (part: BucketRange, wanted: number) => readPart(cassandra, channel, part, wanted)
  return yield* readRange({ after: first, before, limit, newest: false, read })
})

export const readCount = Effect.fnUntraced(function* (
  cassandra: Client,
  channel: string,
  after: number,
  upTo: number,
  user: string
) {
  const found = yield* readHead(cassandra, channel)
  const first = clampSeq(after) + 1
  const end = Math.min(clampSeq(upTo), found?.top ?? 0) + 1
  return first >= end ? 0 : yield* countMessages(cassandra, channel, first, end, user)
})

export const readPosition = (cassandra: Client, channel: string) =>
  Effect.map(readHead(cassandra, channel), (found) => Option.fromUndefinedOr(found?.head))

export const readNewest = Effect.fnUntraced(function* (cassandra: Client, channel: string, seqs: number) {
  const found = yield* readHead(cassandra, channel)
  if (found === undefined) return Option.none<NewestEvents>()
  const { head } = found
  const count = clampLimit(seqs)
  const [rows, events] = yield* Effect.all(
    [
      cassandra.read(selectSent, [channel, bucketOf(head.seq), BigInt(head.seq)]),
      readEvents(cassandra, channel, Math.max(0, head.seq - count), head.seq, count)
    ],
    { concurrency: 2 }
  )
  const [row] = rows
  const sent = row === undefined ? undefined : sentOf(row)
  const message = sent !== undefined && isMessage(sent) ? { at: sent.at, by: sent.by } : undefined
  return Option.some<NewestEvents>({ head, message, events })
})
