/**
 * The directory in Cassandra. Every row takes the values of the larger position that owns them, column by column
 * (DirectoryWrites); listings are in order of ids though rows lie in buckets, because each bucket is in order and they
 * are merged. Nothing is cached here: what an owner reads of it, it keeps itself.
 */
import { Clock, Effect, Layer, Option } from "effect"
import { type ChannelRow, type ChannelRowWithOrigins, Directory, type UserRow } from "../Directory.ts"
import type { StoreRefused, StoreUnavailable } from "../StoreError.ts"
import { channelIdBuckets } from "./Buckets.ts"
import { Cassandra, type Row } from "./Cassandra.ts"
import { refused, unavailable } from "./CassandraClient.ts"
import { big, bytesOf, has, longOf, numberOf, textOf } from "./Columns.ts"
import { placeOf, recountedPlaceOf, select, Upsert } from "./Cql.ts"
import {
  moveChannel,
  putChannel,
  putChannelId,
  putMemberBucket,
  putSession,
  putStay,
  unplaced
} from "./DirectoryWrites.ts"
import { memberReads } from "./MemberReads.ts"
import { byId, type Lane, mergeLanes, PartitionWrites } from "./Partitions.ts"

/** Ids one page has at most, whatever the caller asks for. */
const channelPageMax = 10_000

const channelRow = select(
  `SELECT generation, seq, n, name, topic, fanout, created_at, members, id_bound FROM channels WHERE channel = ?`
)
const channelWithOrigins = select(
  `SELECT generation, seq, n, name, topic, fanout, created_at, members, id_bound, WRITETIME(name) AS name_of,
    WRITETIME(topic) AS topic_of, WRITETIME(fanout) AS fanout_of, WRITETIME(created_at) AS created_at_of,
    WRITETIME(members) AS members_of FROM channels WHERE channel = ?`
)
const channelIds = select("SELECT channel FROM channel_ids WHERE bucket = ? AND channel > ? LIMIT ?")
const sessionRow = select("SELECT generation, user_seq, state FROM sessions WHERE user = ?")
const userRow = select("SELECT name, created_at, WRITETIME(name) AS written FROM users WHERE user = ?")
const user = new Upsert({ table: "users", key: ["user"], set: ["name", "created_at"] })

/** Only moved, never written: there is no row. */
const readChannel = (channel: string, row: Row | undefined): ChannelRow | undefined =>
  row === undefined || !has(row, "name")
    ? undefined
    : {
        channel,
        generation: numberOf(row, "generation"),
        seq: numberOf(row, "seq"),
        n: numberOf(row, "n"),
        name: textOf(row, "name"),
        topic: textOf(row, "topic"),
        fanout: textOf(row, "fanout") === "read" ? "read" : "write",
        createdAt: numberOf(row, "created_at"),
        members: numberOf(row, "members"),
        idBound: numberOf(row, "id_bound")
      }

const withOrigins = (row: Row | undefined, known: ChannelRow | undefined): ChannelRowWithOrigins | undefined => {
  if (row === undefined || known === undefined) return undefined
  const origin = (column: string) => placeOf(longOf(row, `${column}_of`))
  const members = recountedPlaceOf(longOf(row, "members_of"))
  const settings = { name: origin("name"), topic: origin("topic"), fanout: origin("fanout") }
  return { ...known, origins: { ...settings, createdAt: origin("created_at"), members } }
}

const readUser = (name: string, row: Row | undefined): UserRow | undefined =>
  row === undefined || !has(row, "name")
    ? undefined
    : { user: name, name: textOf(row, "name"), createdAt: numberOf(row, "created_at") }

const make = (cassandra: Cassandra["Service"]): Directory["Service"] => {
  const one = (...[statement, values]: Parameters<typeof cassandra.read>) =>
    Effect.map(cassandra.read(statement, values), (rows) => rows[0])

  /** In stages: what a later one relies on is there before it. */
  const write = <A extends { readonly seq: number }>(
    rows: ReadonlyArray<A>,
    ...stages: ReadonlyArray<(to: PartitionWrites, row: A) => void>
  ): Effect.Effect<void, StoreUnavailable | StoreRefused> => {
    const bad = unplaced(rows)
    if (bad !== undefined) return Effect.fail(refused(bad))
    return Effect.forEach(
      stages,
      (put) => {
        const writes = new PartitionWrites()
        for (const row of rows) put(writes, row)
        return writes.run(cassandra)
      },
      { discard: true }
    )
  }

  const idsIn =
    (bucket: number, from: string): Lane<string> =>
    (after, limit) =>
      Effect.map(cassandra.read(channelIds, [bucket, after ?? from, limit]), (rows) =>
        rows.map((row) => textOf(row, "channel"))
      )

  return Directory.of({
    ...memberReads(cassandra),
    channel: (channel) =>
      Effect.map(one(channelRow, [channel]), (row) => Option.fromUndefinedOr(readChannel(channel, row))),
    channelWithOrigins: (channel) =>
      Effect.map(one(channelWithOrigins, [channel]), (row) =>
        Option.fromUndefinedOr(withOrigins(row, readChannel(channel, row)))
      ),
    channelIds: Effect.fnUntraced(function* (after, limit) {
      const about = Math.min(Math.max(limit, 0), channelPageMax)
      const page: Array<string> = []
      if (about === 0) return page
      const lanes = Array.from({ length: channelIdBuckets }, (_, bucket) => idsIn(bucket, after))
      yield* mergeLanes({ lanes, order: byId, about, take: (id) => page.push(id) < about })
      return page
    }),
    writeChannels: (rows) => write(rows, (to, { channel }) => putChannelId(to, channel), putChannel),
    moveChannels: (moves) => write(moves, moveChannel),
    writeMembers: (stays) => write(stays, putMemberBucket, putStay),
    session: (name) =>
      Effect.map(one(sessionRow, [name]), (row) =>
        row === undefined || !has(row, "user_seq")
          ? Option.none()
          : Option.some({
              user: name,
              generation: numberOf(row, "generation"),
              userSeq: numberOf(row, "user_seq"),
              state: bytesOf(row, "state")
            })
      ),
    writeSessions: (rows) =>
      write(
        rows.map((row) => ({ row, generation: row.generation, seq: row.userSeq })),
        (to, { row }) => putSession(to, row)
      ),
    user: (name) => Effect.map(one(userRow, [name]), (row) => Option.fromUndefinedOr(readUser(name, row))),
    putUser: Effect.fnUntraced(function* (row) {
      const known = yield* one(userRow, [row.user])
      // A profile has no sequence. Above what is there, so that a put that begins after another one ended has the last
      // word, whatever the clocks say; the clock only decides between two at the same time.
      const written = known === undefined || !has(known, "written") ? 0n : longOf(known, "written")
      const now = BigInt(yield* Clock.currentTimeMillis) * 1_000n
      const timestamp = now > written ? now : written + 1n
      yield* cassandra
        .write([user.at(timestamp, row.name, big(row.createdAt), row.user)])
        .pipe(Effect.catchTag("StoreRefused", (error) => Effect.fail(unavailable(error))))
    })
  })
}

export const layerCassandra: Layer.Layer<Directory, never, Cassandra> = Layer.effect(
  Directory,
  Effect.map(Cassandra, make)
)
