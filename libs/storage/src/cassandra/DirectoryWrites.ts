/**
 * The directory's rows as writes. A column's timestamp is the position of what owns it (†32), so rows may come in any
 * order, twice, from several writers: what is there afterwards is the same. That a move makes no row of a channel that has
 * none needs no read: it does not set the columns without which a row is absent.
 */
import {
  type ChannelMove,
  type ChannelRow,
  type Membership,
  originsAt,
  type RowPart,
  rowParts,
  type SessionRow
} from "../Directory.ts"
import { channelIdBucket, memberBucket } from "./Buckets.ts"
import { big } from "./Columns.ts"
import {
  firstGeneration,
  isPlace,
  long,
  recountedTimestampOf,
  timestampBytes,
  timestampOf,
  Upsert,
  type Value,
  type Write
} from "./Cql.ts"
import { type Head, headWrites, topWrite } from "./MessageWrites.ts"
import type { PartitionWrites } from "./Partitions.ts"

const settings = new Upsert({
  table: "channels",
  key: ["channel"],
  set: ["generation", "seq", "n", "name", "topic", "fanout", "created_at"]
})
const part = (column: string): Upsert => new Upsert({ table: "channels", key: ["channel"], set: [column] })
const parts: Readonly<Record<RowPart, Upsert>> = {
  name: part("name"),
  topic: part("topic"),
  fanout: part("fanout"),
  createdAt: part("created_at")
}
const count = part("members")
const move = new Upsert({ table: "channels", key: ["channel"], set: ["generation", "seq", "n"] })
const moveBoth = new Upsert({
  table: "channels",
  key: ["channel"],
  set: ["generation", "seq", "n", "head_generation", "head_seq", "head_n"]
})
const idBound = new Upsert({ table: "channels", key: ["channel"], set: ["id_bound"] })
const listed = new Upsert({ table: "channel_ids", key: ["bucket", "channel"], set: ["listed"] })
const stay = new Upsert({
  table: "members_by_channel",
  key: ["channel", "bucket", "user", "first"],
  partitionColumns: 2,
  set: ["last", "role", "seq"]
})
const bucketUsed = new Upsert({ table: "member_buckets", key: ["channel", "bucket"], set: ["used"] })
const latestStay = new Upsert({
  table: "channels_by_user",
  key: ["user", "channel"],
  set: ["first", "last", "role", "seq"]
})
const session = new Upsert({ table: "sessions", key: ["user"], set: ["generation", "user_seq", "state"] })

/** Of a value that is only ever written as this: whenever, it is the same. */
const constant = 1n

/** Stands for the end of a stay that lasts: seqs begin at 1, and no value at all would be a tombstone. */
export const lasting = 0

/** A stay's seq alone: it carries no generation. Below all generations, should it get one. */
const stayTimestamp = ({ seq }: Membership): bigint => timestampOf({ generation: 0, seq })

/** What can't be a write timestamp, undefined if all can. */
export const unplaced = (
  rows: ReadonlyArray<{ readonly generation?: number; readonly seq: number }>
): string | undefined => {
  const bad = rows.find(({ generation = firstGeneration, seq }) => !isPlace({ generation, seq }))
  return bad === undefined ? undefined : `no position: generation ${bad.generation ?? firstGeneration}, seq ${bad.seq}`
}

/** That there is such a channel, written first: who lists channels finds it as soon as its row is there. */
export const putChannelId = (to: PartitionWrites, channel: string): void => {
  const bucket = channelIdBucket(channel)
  to.addOnce(`i/${bucket}`, channel, () => listed.at(constant, true, bucket, channel))
}

/** The bound with the values that it belongs to: a row without it would let old ids pass for new ones (†29). */
const putRow = (to: PartitionWrites, it: ChannelMove, ...values: ReadonlyArray<Write>): void =>
  // No event owns the bound: the larger one is the careful one, whoever wrote it.
  to.add(`c/${it.channel}`, ...values, idBound.at(long(it.idBound), long(it.idBound), it.channel))

/** With the head of its history, if that has moved as well. */
export const putChannel = (to: PartitionWrites, it: ChannelRow, head?: Head): void => {
  const { channel, members, origins = originsAt(it) } = it
  const ofHead = head === undefined ? [] : headWrites(head)
  putRow(to, it, ...valuesOf(it), count.at(recountedTimestampOf(origins.members), members, channel), ...ofHead)
}

/** Each with the timestamp of its own event: most rows are of one. */
const valuesOf = (it: ChannelRow): ReadonlyArray<Write> => {
  const { channel, createdAt, fanout, generation, n, name, origins = originsAt(it), seq, topic } = it
  const timestamp = timestampOf(it)
  const place = [generation, big(seq), big(n)] as const
  if (rowParts.every((part) => timestampOf(origins[part]) === timestamp)) {
    return [settings.at(timestamp, ...place, name, topic, fanout, big(createdAt), channel)]
  }
  const values: Readonly<Record<RowPart, Value>> = { name, topic, fanout, createdAt: big(createdAt) }
  return [
    move.at(timestamp, ...place, channel),
    ...rowParts.map((part) => parts[part].at(timestampOf(origins[part]), values[part], channel))
  ]
}

export const moveChannel = (to: PartitionWrites, it: ChannelMove): void => {
  const { channel, generation, n, seq } = it
  putRow(to, it, move.at(timestampBytes(it), generation, long(seq), long(n), channel))
}

/** Row and head moved by the same events: to the newest of them, both. */
export const moveWithHead = (to: PartitionWrites, it: ChannelMove, top: number): void => {
  const { channel, generation, n, seq } = it
  const place = [generation, long(seq), long(n)] as const
  putRow(to, it, moveBoth.at(timestampBytes(it), ...place, ...place, channel), topWrite(channel, top))
}

/** Where there are members, written before them: a listing goes over no other bucket. */
export const putMemberBucket = (to: PartitionWrites, { channel, from, user }: Membership): void => {
  const bucket = memberBucket(user, from)
  to.addOnce(`b/${channel}`, bucket, () => bucketUsed.at(constant, true, channel, bucket))
}

/**
 * The stay, and whether the user is in the channel now. Stays of one user in one channel follow one another, so the
 * largest seq of all is that of the latest: it decides, whichever comes last.
 */
export const putStay = (to: PartitionWrites, it: Membership): void => {
  const { channel, from, role, seq, user } = it
  const last = big(it.to ?? lasting)
  const bucket = memberBucket(user, from)
  const timestamp = stayTimestamp(it)
  to.add(`m/${channel}/${bucket}`, stay.at(timestamp, last, role, big(seq), channel, bucket, user, big(from)))
  to.add(`u/${user}`, latestStay.at(timestamp, big(from), last, role, big(seq), user, channel))
}

export const putSession = (to: PartitionWrites, { generation, state, user, userSeq }: SessionRow): void => {
  const bytes = Buffer.from(state.buffer, state.byteOffset, state.byteLength)
  to.add(`s/${user}`, session.at(timestampOf({ generation, seq: userSeq }), generation, big(userSeq), bytes, user))
}
