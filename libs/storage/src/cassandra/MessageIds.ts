/**
 * The client ids of a channel's events, for the idempotency window beyond memory, a minute of them a partition: a busy
 * channel's stays small. A minute is of the time in the id, which says where to look. Rows end by themselves after the
 * window; what was forgotten before that is a bound in a row of its own, looked at with every question.
 */
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import { Effect, Option } from "effect"
import type { StoredAck, StoredEvent } from "../MessageStore.ts"
import type { Cassandra } from "./Cassandra.ts"
import { long, select, timestampBytes, Upsert } from "./Cql.ts"
import { numberOf, textOf } from "./MessageColumns.ts"
import type { PartitionBatches } from "./PartitionBatches.ts"

/**
 * Ids older than 7 days are refused as expired (†30). The rows' time begins when they are written, which is never
 * earlier than the id's own but for a clock that was some minutes ahead.
 */
const keptSeconds = 8 * 86_400
const minuteMs = 60_000

const putAck = new Upsert({
  table: "message_ids",
  key: ["channel", "minute", "sender", "cid"],
  partitionColumns: 2,
  set: ["seq", "n", "at", "body_hash"],
  ttlSeconds: keptSeconds
})
const selectAck = select(
  "SELECT seq, n, at, body_hash FROM message_ids WHERE channel = ? AND minute = ? AND sender = ? AND cid = ?"
)
const putBound = new Upsert({ table: "message_id_bound", key: ["id"], set: ["before"] })
const selectBound = select("SELECT before FROM message_id_bound WHERE id = ?")
const boundId = 1

const minuteOf = (cid: string): number => Math.floor(clientIdTime(cid) / minuteMs)

/** Whether it is an id at all: its time is its partition. */
export const hasTime = (cid: string): boolean => cid !== "" && Number.isFinite(clientIdTime(cid))

export const putId = (rows: PartitionBatches, event: StoredEvent): void => {
  const { at, bodyHash, by, channel, cid, n, seq } = event
  const minute = minuteOf(cid)
  rows.add(
    `ids ${minute} ${channel}`,
    putAck.at(timestampBytes(event), long(seq), long(n), long(at), bodyHash, channel, long(minute), by, cid)
  )
}

export const findId = Effect.fnUntraced(function* (
  cassandra: Cassandra["Service"],
  channel: string,
  sender: string,
  cid: string
) {
  if (!hasTime(cid)) return Option.none<StoredAck>()
  const minute = BigInt(minuteOf(cid))
  const [acks, bounds] = yield* Effect.all(
    [cassandra.read(selectAck, [channel, minute, sender, cid]), cassandra.read(selectBound, [boundId])],
    { concurrency: 2 }
  )
  const [ack] = acks
  const [bound] = bounds
  if (ack === undefined || (bound !== undefined && clientIdTime(cid) < numberOf(bound, "before"))) {
    return Option.none<StoredAck>()
  }
  return Option.some<StoredAck>({
    seq: numberOf(ack, "seq"),
    n: numberOf(ack, "n"),
    at: numberOf(ack, "at"),
    bodyHash: textOf(ack, "body_hash")
  })
})

/** A bound only grows: its timestamp is itself. */
export const forgetIds = Effect.fnUntraced(function* (cassandra: Cassandra["Service"], before: number) {
  const bound = BigInt(Math.max(0, Math.floor(before)))
  // A number is never refused.
  yield* Effect.catchTag(cassandra.write([putBound.at(bound, bound, boundId)]), "StoreRefused", Effect.die)
})
