/**
 * History into Cassandra. A write reads nothing but what †16 needs; what an event sets is decided by timestamps alone,
 * so any order, any repetition, and any number of writers at once give the same rows (†32):
 *
 * - An event's columns are written at its position, and a place has one event a generation: the later generation wins.
 * - What takes a text away writes the text's column one above the position that wrote it. No event is there, since the
 *   next one of the same place is a whole generation above. So no repetition of the event brings the text back.
 * - A delete blanks all that can be at its target's place up to its own generation without knowing what is there: a
 *   message that comes later than its delete finds its text's place taken.
 * - Edits of the target are other places of the sequence, which a delete can't know. It writes itself, then looks for
 *   them; an edit writes itself, then looks for a delete. Whichever comes second sees the other, for both read and write
 *   a quorum (of one datacenter: persisters are all in the same); and neither is acknowledged before it has looked.
 */
import { Effect } from "effect"
import { voidEdit } from "../CurrentForm.ts"
import { isLater } from "../Directory.ts"
import type { StoredEvent } from "../MessageStore.ts"
import type { StoreRefused, StoreUnavailable } from "../StoreError.ts"
import { putBlockChange } from "./BlockCounts.ts"
import type { Cassandra } from "./Cassandra.ts"
import { refused } from "./CassandraClient.ts"
import {
  firstGeneration,
  isPlace,
  long,
  select,
  seqLimit,
  timestampBytes,
  timestampOf,
  Upsert,
  type Write
} from "./Cql.ts"
import {
  blankMessage,
  bodyOf,
  bucketOf,
  noText,
  notSentText,
  numberOf,
  putDelete,
  putEdit,
  putEvent,
  putMessage,
  selectDeleted,
  selectEvent,
  sentText,
  textOf,
  toBlob,
  voidEvent
} from "./MessageColumns.ts"
import { isId, putId } from "./MessageIds.ts"
import { type BatchRows, PartitionBatches } from "./PartitionBatches.ts"
import { PartitionWrites } from "./Partitions.ts"

/** A body beyond this is no event's: the log's records are smaller. */
const bodyBytesMax = 2 ** 20
/** Edited or deleted messages looked at together. */
const targetsAtOnce = 16
/** Edits of one message read together. */
const editsPage = 500

const putHead = new Upsert({ table: "channels", key: ["channel"], set: ["head_generation", "head_seq", "head_n"] })
const putTop = new Upsert({ table: "channels", key: ["channel"], set: ["top"] })
const putEditOf = new Upsert({
  table: "message_edits",
  key: ["channel", "target", "seq"],
  partitionColumns: 2,
  set: ["generation"]
})
const selectEditsOf = select("SELECT seq FROM message_edits WHERE channel = ? AND target = ? AND seq > ? LIMIT ?")

/** What comes first: rows. Then what is counted of them anew. */
interface Plan {
  readonly rows: PartitionBatches
  readonly after: PartitionBatches
  /** Messages that were edited or deleted. */
  readonly targets: Map<string, Target>
}

interface Target {
  readonly channel: string
  readonly seq: number
  deleted: boolean
}

/** Where a channel's history ends by a step's events. */
export interface Head {
  /** The newest of them: by generation, then seq. */
  readonly event: StoredEvent
  /** The largest seq of them all. */
  top: number
}

export const headsOf = (events: ReadonlyArray<StoredEvent>): ReadonlyMap<string, Head> => {
  const heads = new Map<string, Head>()
  for (const event of events) {
    const head = heads.get(event.channel)
    const top = Math.max(event.seq, head?.top ?? 0)
    if (head === undefined || isLater(event, head.event)) heads.set(event.channel, { event, top })
    else head.top = top
  }
  return heads
}

/** The head as writes of the channel's row. */
export const headWrites = ({ event, top }: Head): ReadonlyArray<Write> => [
  putHead.at(timestampBytes(event), event.generation, long(event.seq), long(event.n), event.channel),
  topWrite(event.channel, top)
]

/** Owned by no generation: the largest seq is the one to keep. */
export const topWrite = (channel: string, top: number): Write => putTop.at(long(top), long(top), channel)

/** The events, and then that they are there. */
export const writeEvents = (
  cassandra: Cassandra["Service"],
  batchRows: BatchRows,
  events: ReadonlyArray<StoredEvent>
): Effect.Effect<void, StoreUnavailable | StoreRefused> =>
  Effect.andThen(
    writePlaces(cassandra, batchRows, events),
    Effect.suspend(() => {
      const heads = new PartitionWrites()
      for (const head of headsOf(events).values()) heads.add(head.event.channel, ...headWrites(head))
      return heads.run(cassandra)
    })
  )

/** The events, without that the channels' heads have come as far. */
export const writePlaces = (
  cassandra: Cassandra["Service"],
  batchRows: BatchRows,
  events: ReadonlyArray<StoredEvent>
): Effect.Effect<void, StoreUnavailable | StoreRefused> =>
  Effect.suspend(() => {
    const wrong = events.find((event) => refusal(event) !== undefined)
    if (wrong !== undefined) return Effect.fail(refused(`${refusal(wrong)} (${wrong.channel}, ${wrong.kind})`))
    const { after, rows, targets } = planOf(events, batchRows.rows)
    const write = (batches: PartitionBatches) =>
      cassandra.writeAll(batches.batches).pipe(
        Effect.tap(() =>
          Effect.sync(() => {
            batches.letGo()
            batchRows.succeeded()
          })
        ),
        Effect.tapError(() => Effect.sync(() => batchRows.failed()))
      )
    const looks = Effect.forEach(targets.values(), (target) => takeTextsAway(cassandra, target), {
      concurrency: targetsAtOnce,
      discard: true
    })
    return write(rows).pipe(Effect.andThen(write(after)), Effect.andThen(targets.size === 0 ? Effect.void : looks))
  })

/** Why an event can never be written. */
const refusal = (event: StoredEvent): string | undefined => {
  if (!isPlace(event) || event.generation < firstGeneration)
    return `no place for generation ${event.generation}, seq ${event.seq}`
  if (!(event.target >= 0 && event.target < seqLimit)) return `no place for target ${event.target}`
  if (event.cid !== "" && !isId(event.cid)) return `no UUID of version 7 in the client id ${event.cid}`
  if (event.body.length > bodyBytesMax) return `a body of ${event.body.length} bytes`
  return undefined
}

const zero = long(0)

const planOf = (events: ReadonlyArray<StoredEvent>, rowsMax: number): Plan => {
  const plan = { rows: new PartitionBatches(rowsMax), after: new PartitionBatches(rowsMax), targets: new Map() }
  for (const event of events) {
    const timestamp = timestampBytes(event)
    putPlace(plan, event, timestamp)
    if (event.kind === "edit") putEditEvent(plan, event)
    if (event.kind === "delete") putDeleteEvent(plan, event)
    if (event.cid !== "") putId(plan.rows, event, timestamp)
  }
  return plan
}

const partitionOf = (channel: string, seq: number): string => `${bucketOf(seq)} ${channel}`

/** The event at its place; after a restore also as nothing in the other table, where an earlier generation may have one. */
const putPlace = ({ after, rows }: Plan, event: StoredEvent, timestamp: Buffer): void => {
  const { body, channel, generation, kind, seq, target } = event
  const place = [channel, bucketOf(seq), long(seq)] as const
  const message = kind === "message"
  const overrides = generation > firstGeneration
  const writes: Array<Write> = []
  if (message) {
    writes.push(putMessage.at(timestamp, sentText(event), toBlob(body), ...place))
  } else if (overrides) {
    writes.push(putMessage.at(timestamp, notSentText(generation), noText, ...place))
  }
  if (!message) {
    writes.push(putEvent.at(timestamp, generation, kind, long(target), toBlob(body), ...place))
  } else if (overrides) {
    writes.push(putEvent.at(timestamp, generation, "", zero, noText, ...place))
  }
  rows.addTogether(partitionOf(channel, seq), writes)
  if (overrides) putBlockChange(after, channel, seq, event)
}

const touch = ({ targets }: Plan, { channel, target }: StoredEvent, deleted: boolean): void => {
  const key = `${target} ${channel}`
  const known: Target = targets.get(key) ?? { channel, seq: target, deleted }
  known.deleted ||= deleted
  targets.set(key, known)
}

const putEditEvent = (plan: Plan, event: StoredEvent): void => {
  const { body, channel, generation, seq, target } = event
  const timestamp = timestampBytes(event)
  plan.rows.add(
    partitionOf(channel, target),
    putEdit.at(timestamp, generation, long(seq), toBlob(body), channel, bucketOf(target), long(target))
  )
  plan.rows.add(`edits ${target} ${channel}`, putEditOf.at(timestamp, generation, channel, long(target), long(seq)))
  touch(plan, event, false)
}

const putDeleteEvent = (plan: Plan, event: StoredEvent): void => {
  const { channel, generation, seq, target } = event
  const place = [channel, bucketOf(target), long(target)] as const
  plan.rows.addTogether(partitionOf(channel, target), [
    putDelete.at(timestampBytes(event), generation, long(seq), noText, ...place),
    blankMessage.at(timestampBytes({ generation, seq: target + 1 }), noText, ...place)
  ])
  putBlockChange(plan.after, channel, target, event)
  touch(plan, event, true)
}

/** Of a message that was deleted: no event that edited it keeps its text. */
const takeTextsAway = Effect.fnUntraced(function* (
  cassandra: Cassandra["Service"],
  { channel, deleted, seq: target }: Target
) {
  if (!deleted) {
    const [row] = yield* cassandra.read(selectDeleted, [channel, bucketOf(target), BigInt(target)])
    if (row === undefined || numberOf(row, "delete_generation") < 0) return
  }
  for (let after = 0n; ;) {
    const edits = yield* cassandra.read(selectEditsOf, [channel, BigInt(target), after, editsPage])
    for (const edit of edits) {
      after = BigInt(numberOf(edit, "seq"))
      yield* voidEditAt(cassandra, channel, Number(after), target)
    }
    if (edits.length < editsPage) return
  }
})

const voidEditAt = Effect.fnUntraced(function* (
  cassandra: Cassandra["Service"],
  channel: string,
  seq: number,
  target: number
) {
  const place = [channel, bucketOf(seq), BigInt(seq)] as const
  const [row] = yield* cassandra.read(selectEvent, place)
  // Not there yet: who writes it looks for the delete itself. Another event: there is no text of the edit any more.
  if (row === undefined || textOf(row, "kind") !== "edit" || numberOf(row, "target") !== target) return
  const body = bodyOf(row)
  const blank = voidEdit(body)
  if (blank === body) return
  const generation = numberOf(row, "generation")
  yield* cassandra.write([voidEvent.at(timestampOf({ generation, seq }) + 1n, toBlob(blank), ...place)])
})
