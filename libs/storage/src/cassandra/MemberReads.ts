/** Who is, or was, in a channel, and where a user is: reads of the directory's stays. */
import { Effect } from "effect"
import type { Directory, Membership } from "../Directory.ts"
import { earlyMemberBucket, lateMemberBucket } from "./Buckets.ts"
import type { Cassandra, Row } from "./Cassandra.ts"
import { big, numberOf, textOf } from "./Columns.ts"
import { select } from "./Cql.ts"
import { lasting } from "./DirectoryWrites.ts"
import { allRows, byId, type Lane, mergeLanes } from "./Partitions.ts"

/** Users one page has at most, whatever the caller asks for. */
const memberPageMax = 10_000
/** Above all seqs. */
const noSeq = Number.MAX_SAFE_INTEGER

const columns = "user, first, last, role, seq"
const buckets = select("SELECT bucket FROM member_buckets WHERE channel = ?")
const inBucket = select(
  `SELECT ${columns} FROM members_by_channel WHERE channel = ? AND bucket = ? AND (user, first) > (?, ?) LIMIT ?`
)
const ofUser = select(
  `SELECT ${columns} FROM members_by_channel WHERE channel = ? AND bucket = ? AND user = ? AND first > ? LIMIT ?`
)
const ofChannels = select(`SELECT channel, ${columns} FROM channels_by_user WHERE user = ? AND channel > ? LIMIT ?`)

const readStay = (channel: string, row: Row): Membership => {
  const last = numberOf(row, "last")
  return {
    channel,
    user: textOf(row, "user"),
    role: textOf(row, "role") === "owner" ? "owner" : "member",
    from: numberOf(row, "first"),
    to: last === lasting ? null : last,
    seq: numberOf(row, "seq")
  }
}

const byUser = (a: Membership, b: Membership): number => byId(a.user, b.user) || a.from - b.from

export const memberReads = (
  cassandra: Cassandra["Service"]
): Pick<Directory["Service"], "members" | "membership" | "channelsOf"> => {
  const stays = (channel: string, rows: ReadonlyArray<Row>) => rows.map((row) => readStay(channel, row))

  const bucketLane =
    (channel: string, bucket: number, afterUser: string): Lane<Membership> =>
    (after, limit) =>
      Effect.map(
        cassandra.read(inBucket, [channel, bucket, after?.user ?? afterUser, big(after?.from ?? noSeq), limit]),
        (rows) => stays(channel, rows)
      )

  const ofUserIn = (channel: string, bucket: number, user: string) =>
    allRows((after: Membership | undefined, limit) =>
      Effect.map(cassandra.read(ofUser, [channel, bucket, user, big(after?.from ?? 0), limit]), (rows) =>
        stays(channel, rows)
      )
    )

  return {
    members: Effect.fnUntraced(function* (channel, afterUser, limit) {
      const users = Math.min(Math.max(limit, 0), memberPageMax)
      const page: Array<Membership> = []
      const used = yield* cassandra.read(buckets, [channel])
      if (users === 0 || used.length === 0) return page
      let taken = 0
      const take = (stay: Membership): boolean => {
        if (page.at(-1)?.user !== stay.user && ++taken > users) return false
        page.push(stay)
        return true
      }
      const lanes = used.map((row) => bucketLane(channel, numberOf(row, "bucket"), afterUser))
      yield* mergeLanes({ lanes, order: byUser, about: users, take })
      return page
    }),
    membership: (channel, user) =>
      // The late ones are after the early ones.
      Effect.forEach([earlyMemberBucket, lateMemberBucket(user)], (bucket) => ofUserIn(channel, bucket, user), {
        concurrency: "unbounded"
      }).pipe(Effect.map((found) => found.flat())),
    channelsOf: (user) =>
      allRows((after: Membership | undefined, limit) =>
        Effect.map(cassandra.read(ofChannels, [user, after?.channel ?? "", limit]), (rows) =>
          rows.map((row) => readStay(textOf(row, "channel"), row))
        )
      ).pipe(Effect.map((all) => all.filter(({ to }) => to === null)))
  }
}
