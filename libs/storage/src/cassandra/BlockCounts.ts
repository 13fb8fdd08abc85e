/**
 * Unread as a subtraction (DESIGN §4): messages that are not deleted, in all and by sender, counted by blocks of seqs.
 * Counts are made of the rows when somebody asks, and kept; there is no counter that a repeated write could spoil. They
 * are exact, because what was kept is used only as long as nothing can have changed since:
 *
 * - Only a full block is kept, each of its places taken. An event of the first generation changes nothing in it then:
 *   its place is its own, and it would be there.
 * - What does change it, a delete of one of its messages or an event of a later generation, adds a row to
 *   `block_changes`, after the rows that it changes, before it is acknowledged. Their number only grows, the same event
 *   again is the same row. Kept counts say how many there were before the rows were read, and are void beside another
 *   number.
 * - Counts of a block are one value, never put together of two writers'. Counts that have seen more have the larger
 *   timestamp; two that have seen as many differ at most by an event that is not acknowledged yet and will void both.
 */
import { Effect } from "effect"
import type { StoredEvent } from "../MessageStore.ts"
import type { StoreUnavailable } from "../StoreError.ts"
import type { Cassandra, Row } from "./Cassandra.ts"
import { long, select, timestampBytes, Upsert } from "./Cql.ts"
import { bucketOf, isMessage, numberOf, type Sent, sentOf, textOf } from "./MessageColumns.ts"
import type { PartitionBatches } from "./PartitionBatches.ts"

/** Seqs in a block; a bucket of rows has whole ones. */
export const blockSeqs = 1_000
/** Blocks in a partition. */
const spanBlocks = 64
/** Blocks and parts of blocks read at the same time. */
const blocksAtOnce = 8

const blockOf = (seq: number): number => Math.floor(seq / blockSeqs)
const spanOf = (block: number): number => Math.floor(block / spanBlocks)

const putChange = new Upsert({
  table: "block_changes",
  key: ["channel", "span", "block", "generation", "seq"],
  partitionColumns: 2,
  set: ["changed"]
})
const putCounts = new Upsert({
  table: "block_counts",
  key: ["channel", "span", "block"],
  partitionColumns: 2,
  set: ["counts"]
})
const blocks = "channel = ? AND span = ? AND block >= ? AND block < ?"
const selectChanges = select(
  `SELECT block, count(*) AS changes FROM block_changes WHERE ${blocks} GROUP BY channel, span, block`
)
const selectCounts = select(`SELECT block, counts FROM block_counts WHERE ${blocks}`)
const places = "channel = ? AND bucket = ? AND seq >= ? AND seq < ?"
const selectSenders = select(`SELECT seq, sent, delete_generation FROM messages WHERE ${places}`)
const selectOthers = select(`SELECT seq, generation FROM channel_events WHERE ${places}`)

/** `by` changed what `seq` counts for. */
export const putBlockChange = (after: PartitionBatches, channel: string, seq: number, by: StoredEvent): void => {
  const block = blockOf(seq)
  const span = spanOf(block)
  after.add(
    `changes ${span} ${channel}`,
    putChange.at(timestampBytes(by), true, channel, span, block, by.generation, long(by.seq))
  )
}

/** What is kept of a block. */
interface Counts {
  /** Rows of `block_changes` that there were. */
  readonly seen: number
  readonly all: number
  readonly by: Readonly<Record<string, number>>
}

const othersThan = ({ all, by }: Counts, user: string): number => all - (Object.hasOwn(by, user) ? (by[user] ?? 0) : 0)

/** Messages in `first <= seq < end` that are not deleted and not by `user`. */
export const countMessages = Effect.fnUntraced(function* (
  cassandra: Cassandra["Service"],
  channel: string,
  first: number,
  end: number,
  user: string
) {
  // Seq 0 does not exist, so a range from 1 has block 0 whole.
  const from = first <= 1 ? 0 : Math.ceil(first / blockSeqs)
  const to = blockOf(end)
  const parts: Array<Effect.Effect<number, StoreUnavailable>> = []
  const countPart = (start: number, stop: number): void => {
    for (let at = start; at < stop;) {
      const next = Math.min(stop, (blockOf(at) + 1) * blockSeqs)
      parts.push(Effect.map(readSenders(cassandra, channel, at, next), (rows) => countOf(rows, user)))
      at = next
    }
  }
  if (from >= to) {
    countPart(first, end)
  } else {
    countPart(first, from * blockSeqs)
    for (let block = from; block < to;) {
      const stop = Math.min(to, (spanOf(block) + 1) * spanBlocks)
      parts.push(countSpan(cassandra, channel, block, stop, user))
      block = stop
    }
    countPart(to * blockSeqs, end)
  }
  let count = 0
  for (const part of yield* Effect.all(parts, { concurrency: blocksAtOnce })) count += part
  return count
})

const readSenders = (cassandra: Cassandra["Service"], channel: string, from: number, to: number) =>
  cassandra.read(selectSenders, [channel, bucketOf(from), BigInt(from), BigInt(to)])

const counts = (row: Row, sent: Sent): boolean =>
  isMessage(sent) && numberOf(row, "delete_generation") < sent.generation

const countOf = (rows: ReadonlyArray<Row>, user: string): number => {
  let count = 0
  for (const row of rows) {
    const sent = sentOf(row)
    if (counts(row, sent) && sent.by !== user) count++
  }
  return count
}

/** Whole blocks `from <= block < to` of one partition: what is kept where it holds, the rows else. */
const countSpan = Effect.fnUntraced(function* (
  cassandra: Cassandra["Service"],
  channel: string,
  from: number,
  to: number,
  user: string
) {
  const range = [channel, spanOf(from), from, to]
  const [changes, kept] = yield* Effect.all(
    [cassandra.read(selectChanges, range), cassandra.read(selectCounts, range)],
    { concurrency: 2 }
  )
  const seen = new Map(changes.map((row) => [numberOf(row, "block"), numberOf(row, "changes")]))
  let count = 0
  const missing = new Set(Array.from({ length: to - from }, (_, i) => from + i))
  for (const row of kept) {
    const block = numberOf(row, "block")
    // as: this file wrote it
    const held = JSON.parse(textOf(row, "counts")) as Counts
    if (held.seen !== (seen.get(block) ?? 0)) continue
    count += othersThan(held, user)
    missing.delete(block)
  }
  const counted = yield* Effect.forEach(
    missing,
    (block) => countBlock(cassandra, channel, block, seen.get(block) ?? 0),
    {
      concurrency: blocksAtOnce
    }
  )
  for (const one of counted) count += othersThan(one, user)
  return count
})

const countBlock = Effect.fnUntraced(function* (
  cassandra: Cassandra["Service"],
  channel: string,
  block: number,
  seen: number
) {
  const [from, to] = [block * blockSeqs, (block + 1) * blockSeqs]
  const [rows, others] = yield* Effect.all(
    [
      readSenders(cassandra, channel, from, to),
      cassandra.read(selectOthers, [channel, bucketOf(from), BigInt(from), BigInt(to)])
    ],
    { concurrency: 2 }
  )
  const bySender = new Map<string, number>()
  const taken = new Set<number>()
  let all = 0
  for (const row of others) if (numberOf(row, "generation") >= 0) taken.add(numberOf(row, "seq"))
  for (const row of rows) {
    const sent = sentOf(row)
    if (sent.generation >= 0) taken.add(numberOf(row, "seq"))
    if (!counts(row, sent)) continue
    all++
    bySender.set(sent.by, (bySender.get(sent.by) ?? 0) + 1)
  }
  const counted: Counts = { seen, all, by: Object.fromEntries(bySender) }
  if (taken.size === (block === 0 ? blockSeqs - 1 : blockSeqs)) yield* keep(cassandra, channel, block, counted)
  return counted
})

/** It only saves work: that it can't be written now is nobody's trouble. */
const keep = (cassandra: Cassandra["Service"], channel: string, block: number, counted: Counts) =>
  Effect.ignore(
    cassandra.write([putCounts.at(BigInt(counted.seen + 1), JSON.stringify(counted), channel, spanOf(block), block)])
  )
