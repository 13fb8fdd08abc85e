/**
 * The client ids of a channel's events, for the idempotency window beyond memory, a minute of them a partition: a busy
 * channel's stays small. A minute is of the time in the id, which says where to look. Rows end by themselves after the
 * window; what was forgotten before that is a bound in a row of its own, looked at with every question.
 * Ids of about the same time are neighbours, whoever sent them: a batch of them is put into one place of its partition.
 */
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import { Effect, Option } from "effect"
import type { StoredAck, StoredEvent } from "../MessageStore.ts"
import type { Cassandra } from "./Cassandra.ts"
import { long, select, Upsert } from "./Cql.ts"
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
  key: ["channel", "minute", "id"],
  partitionColumns: 2,
  set: ["ack"],
  ttlSeconds: keptSeconds
})
const selectAck = select("SELECT ack FROM message_ids WHERE channel = ? AND minute = ? AND id = ?")
const putBound = new Upsert({ table: "message_id_bound", key: ["id"], set: ["before"] })
const selectBound = select("SELECT before FROM message_id_bound WHERE id = ?")
const boundId = 1

const minuteOf = (cid: string): number => Math.floor(clientIdTime(cid) / minuteMs)

/** As the protocol has them. */
const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
/** Whether it is an id at all: its time is its partition. */
export const isId = (cid: string): boolean => pattern.test(cid)

/** The 16 bytes of the UUID, then who sent it. */
const idOf = (cid: string, sender: string): Buffer => {
  const id = Buffer.allocUnsafe(16 + Buffer.byteLength(sender))
  id.write(cid.replaceAll("-", ""), "hex")
  id.write(sender, 16)
  return id
}

/** For people too, who look at rows. The hash is the rest. */
const ackText = ({ at, bodyHash, n, seq }: StoredAck): string => `${seq} ${n} ${at} ${bodyHash}`
const ackOf = (text: string): StoredAck => {
  const [seq, n, at, ...hash] = text.split(" ")
  return { seq: Number(seq), n: Number(n), at: Number(at), bodyHash: hash.join(" ") }
}

/** `timestamp`: of the event. */
export const putId = (rows: PartitionBatches, event: StoredEvent, timestamp: Buffer): void => {
  const { by, channel, cid } = event
  const minute = minuteOf(cid)
  rows.add(`ids ${minute} ${channel}`, putAck.at(timestamp, ackText(event), channel, long(minute), idOf(cid, by)))
}

export const findId = Effect.fnUntraced(function* (
  cassandra: Cassandra["Service"],
  channel: string,
  sender: string,
  cid: string
) {
  if (!isId(cid)) return Option.none<StoredAck>()
  const minute = BigInt(minuteOf(cid))
  const [acks, bounds] = yield* Effect.all(
    [cassandra.read(selectAck, [channel, minute, idOf(cid, sender)]), cassandra.read(selectBound, [boundId])],
    { concurrency: 2 }
  )
  const [ack] = acks
  const [bound] = bounds
  if (ack === undefined || (bound !== undefined && clientIdTime(cid) < numberOf(bound, "before"))) {
    return Option.none<StoredAck>()
  }
  return Option.some(ackOf(textOf(ack, "ack")))
})

/** A bound only grows: its timestamp is itself. */
export const forgetIds = Effect.fnUntraced(function* (cassandra: Cassandra["Service"], before: number) {
  const bound = BigInt(Math.max(0, Math.floor(before)))
  // A number is never refused.
  yield* Effect.catchTag(cassandra.write([putBound.at(bound, bound, boundId)]), "StoreRefused", Effect.die)
})
