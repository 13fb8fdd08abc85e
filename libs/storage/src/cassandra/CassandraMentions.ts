/**
 * The index of mentions in Cassandra: the lasting half of Inbox. A mention that was taken away stays as a row that counts
 * nothing, so that a write which comes late does not bring it back: a row is that of its latest event (†32).
 */
import { Effect } from "effect"
import type { Inbox, Mention } from "../Inbox.ts"
import type { StoreRefused, StoreUnavailable } from "../StoreError.ts"
import { mentionBucket } from "./Buckets.ts"
import type { Cassandra } from "./Cassandra.ts"
import { refused } from "./CassandraClient.ts"
import { big, numberOf } from "./Columns.ts"
import { select, seqLimit, Upsert } from "./Cql.ts"
import { PartitionWrites } from "./Partitions.ts"

const named = new Upsert({
  table: "mentions_by_user",
  key: ["user", "channel", "bucket", "seq"],
  partitionColumns: 3,
  set: ["named"]
})
const countNamed = select(
  "SELECT SUM(named) AS count FROM mentions_by_user WHERE user = ? AND channel = ? AND bucket = ? AND seq > ? AND seq <= ?"
)

/** No channel has so many seqs: a range that is longer was not meant. */
const bucketsMax = 1_024
const bucketsAtOnce = 16

export const mentionsIn = (
  cassandra: Cassandra["Service"]
): Pick<Inbox["Service"], "addMentions" | "removeMentions" | "countMentions"> => {
  const put = (
    mentions: ReadonlyArray<Mention>,
    count: 0 | 1
  ): Effect.Effect<void, StoreUnavailable | StoreRefused> => {
    const writes = new PartitionWrites()
    for (const { at, channel, seq, user } of mentions) {
      if (!Number.isSafeInteger(at) || at <= 0 || !Number.isInteger(seq) || seq <= 0 || seq >= seqLimit) {
        return Effect.fail(refused(`no position: a mention of seq ${seq}, written at ${at}`))
      }
      const bucket = mentionBucket(seq)
      writes.add(`${user}/${channel}/${bucket}`, named.at(big(at), count, user, channel, bucket, big(seq)))
    }
    return writes.run(cassandra)
  }
  return {
    addMentions: (mentions) => put(mentions, 1),
    removeMentions: (mentions) => put(mentions, 0),
    countMentions: (user, channel, afterSeq, upTo) => {
      const first = mentionBucket(Math.max(0, afterSeq) + 1)
      const buckets = Math.min(bucketsMax, mentionBucket(upTo) - first + 1)
      if (upTo <= afterSeq) return Effect.succeed(0)
      return Effect.forEach(
        Array.from({ length: buckets }, (_, at) => first + at),
        (bucket) =>
          Effect.map(cassandra.read(countNamed, [user, channel, bucket, big(afterSeq), big(upTo)]), ([row]) =>
            row === undefined ? 0 : numberOf(row, "count")
          ),
        { concurrency: bucketsAtOnce }
      ).pipe(Effect.map((counts) => counts.reduce((sum, count) => sum + count, 0)))
    }
  }
}
