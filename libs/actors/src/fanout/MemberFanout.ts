/**
 * The member fan-out: driven by the log alone, it tells each member's session what it would miss (added, removed,
 * mentioned: a mention's row before its notice, †12), and notes when a channel, of either fan-out, got its last message,
 * of which inboxes are made. Idempotent, coalesced, allowed to lag: the inbox orders work, heads decide what is new (†10).
 *
 * Whom an event is about is what the event itself says, as of its own seq; no table is asked who is a member, so that
 * none is ahead of it, and each session knows by the seqs what of it is past (†11). It waits for no other consumer: the
 * persister may gather for seconds, or its store be away, and who was added to a channel is to see it at once.
 */
import { Effect, Layer, Schema } from "effect"
import { type Activity, Inbox } from "@parley/storage/Inbox"
import { StoreSync } from "@parley/storage/StoreSync"
import { type ApiFailure, errorCodes, errorTable } from "@parley/protocol/ApiError"
import type { StoreRefused, StoreUnavailable } from "@parley/storage/StoreError"
import type { Entry } from "../log/Entry.ts"
import { OwnerCalls } from "../owner/OwnerCalls.ts"
import { memberFanoutConsumer } from "./ConsumerNames.ts"
import { type ConsumedEntry, runConsumer } from "./LogConsumer.ts"
import { mentionRowsOf } from "./MentionRows.ts"
import { type Notice, noticesOf } from "./Notices.ts"
import { makeParking } from "./Parking.ts"

/** Notices under way at once. */
const noticesAtOnce = 64

/** A session did not take a notice: the step is repeated. */
class NoticeFailed extends Schema.TaggedError<NoticeFailed>()("NoticeFailed", {
  user: Schema.String,
  code: Schema.String
}) {
  override get message() {
    return `the session of ${this.user} did not take a notice: ${this.code}`
  }
}

/** What a session will never take, and a row that the store will never take. */
const poisonOf = (error: NoticeFailed | StoreRefused | StoreUnavailable): string | undefined => {
  if (error._tag === "StoreRefused") return error.what
  if (error._tag === "StoreUnavailable") return undefined
  const known = errorCodes.find((code) => code === error.code)
  return known === undefined || errorTable[known].retryable ? undefined : `${error.user}'s session: ${error.code}`
}

/** The last message of each channel, in the order in which they came. */
const lastMessages = (entries: ReadonlyArray<Entry>): ReadonlyArray<Activity> => {
  const last = new Map<string, number>()
  for (const { id, kind, seq } of entries) {
    if (kind !== "message") continue
    last.delete(id)
    last.set(id, seq)
  }
  return Array.from(last, ([channel, seq]) => ({ channel, seq }))
}

export const layerMemberFanout = Layer.effectDiscard(
  Effect.gen(function* () {
    const calls = yield* OwnerCalls
    const inbox = yield* Inbox
    const sync = yield* StoreSync

    const notify = (notice: Notice) =>
      Effect.callback<void, NoticeFailed>((resume) => {
        calls.request(
          calls.shardOf(notice.user),
          notice,
          (reply: { readonly ok: unknown } | { readonly failure: ApiFailure }) => {
            if ("ok" in reply) resume(Effect.void)
            else resume(Effect.fail(new NoticeFailed({ user: notice.user, code: reply.failure.code })))
          }
        )
      })

    const notifyAll = (notices: ReadonlyArray<Notice>) =>
      Effect.forEach(notices, notify, { concurrency: noticesAtOnce, discard: true })

    /** Something was written since the last sync that must outlive the process: inboxes need not. */
    let wrote = false
    // Notices may come in any order and again, so nothing has to wait behind one that can't be given.
    const parking = yield* makeParking({
      consumer: memberFanoutConsumer,
      keepsOrder: false,
      poison: poisonOf,
      sync: sync.sync,
      apply: Effect.fnUntraced(function* (_shard: number, consumed: ReadonlyArray<ConsumedEntry>) {
        const entries = consumed.map((item) => item.entry).filter((entry) => entry.topic === "channel")
        const notices = entries.flatMap(noticesOf)
        // Up to the first mention nobody waits for a row: who comes and goes is written in his session (†12).
        const mention = notices.findIndex(({ kind }) => kind === "mentioned")
        const rowless = mention < 0 ? notices.length : mention
        yield* notifyAll(notices.slice(0, rowless))
        const { named, taken } = mentionRowsOf(entries)
        if (named.length + taken.length > 0) wrote = true
        if (named.length > 0) yield* inbox.addMentions(named)
        if (taken.length > 0) yield* inbox.removeMentions(taken)
        const active = lastMessages(entries)
        if (active.length > 0) yield* inbox.active(active)
        yield* notifyAll(notices.slice(rowless))
      })
    })
    yield* runConsumer({
      name: memberFanoutConsumer,
      shardCount: calls.shardCount,
      // Most rounds write nothing that has to be synced: a message names nobody.
      sync: Effect.suspend(() =>
        wrote ? sync.sync.pipe(Effect.tap(() => Effect.sync(() => (wrote = false)))) : Effect.void
      ),
      begin: (shard) => parking.begin(shard),
      leave: (shard) => parking.leave(shard),
      syncPeriodic: sync.periodic,
      apply: (shard, consumed) =>
        Effect.suspend(() => {
          const before = parking.countOf(shard)
          return parking.apply(shard, consumed).pipe(
            Effect.tap(() =>
              Effect.sync(() => {
                if (parking.countOf(shard) !== before) wrote = true
              })
            )
          )
        })
    })
  })
)
