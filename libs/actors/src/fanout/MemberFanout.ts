/**
 * The member fan-out: driven by the log alone, it tells each member's session what it would miss (added, removed,
 * mentioned: the row before the notice, †12), and for channels that write their fan-out puts the channel into each
 * member's inbox. Idempotent, coalesced, allowed to lag: the inbox orders work, heads decide what is new (†10).
 *
 * Who is a member is asked as of the event's own seq: memberships are intervals, and this consumer never goes beyond
 * the persister, so that the intervals up to that seq are all there, and later ones change nothing (†11).
 */
import { Effect, Layer, Schema } from "effect"
import { Directory } from "@parley/storage/Directory"
import { Inbox, type InboxEntry } from "@parley/storage/Inbox"
import { StoreSync } from "@parley/storage/StoreSync"
import { EventLog, type LogPosition } from "@parley/storage/EventLog"
import { type ApiFailure, errorCodes, errorTable } from "@parley/protocol/ApiError"
import type { StoreRefused, StoreUnavailable } from "@parley/storage/StoreError"
import type { Entry } from "../log/Entry.ts"
import { OwnerCalls } from "../owner/OwnerCalls.ts"
import { CommitSignal } from "./CommitSignal.ts"
import { memberFanoutConsumer, persisterConsumer } from "./ConsumerNames.ts"
import { type ConsumedEntry, runConsumer } from "./LogConsumer.ts"
import { mentionRowsOf } from "./MentionRows.ts"
import { type Notice, noticesOf } from "./Notices.ts"
import { makeParking } from "./Parking.ts"

/** Stays in a channel that inbox entries are written for; above, the channel reads its fan-out anyway. */
const inboxStaysMax = 1_000
/** A channel that goes on is put into inboxes again at most this often: the inbox only orders work (†10). */
const inboxEveryMs = 30_000
/** Channels whose last such time is kept; past it all are forgotten, which costs some writes. */
const inboxTimesMax = 100_000
/** Notices under way at once. */
const noticesAtOnce = 64

/** A session did not take a notice: the step is repeated. */
class NoticeFailed extends Schema.TaggedError<NoticeFailed>()("NoticeFailed", {
  user: Schema.String,
  code: Schema.String
}) {}

/** What a session will never take, and a row that the store will never take. */
const poisonOf = (error: NoticeFailed | StoreRefused | StoreUnavailable): string | undefined => {
  if (error._tag === "StoreRefused") return error.what
  if (error._tag === "StoreUnavailable") return undefined
  const known = errorCodes.find((code) => code === error.code)
  return known === undefined || errorTable[known].retryable ? undefined : `${error.user}'s session: ${error.code}`
}

export const layerMemberFanout = Layer.effectDiscard(
  Effect.gen(function* () {
    const calls = yield* OwnerCalls
    const directory = yield* Directory
    const inbox = yield* Inbox
    const sync = yield* StoreSync
    const signal = yield* CommitSignal
    const log = yield* EventLog
    const inboxTimes = new Map<string, number>()
    const storedUpTo = new Map<number, LogPosition>()
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        signal.onStored((shard, position) => {
          storedUpTo.set(shard, position)
          signal.committed(shard)
        })
      ),
      (unsubscribe) => Effect.sync(unsubscribe)
    )

    for (const shard of yield* log.shards) storedUpTo.set(shard, yield* log.consumerPosition(persisterConsumer, shard))

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

    /** The newest message of each channel whose members' inboxes are due. */
    const inboxesDue = (entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> => {
      const newest = new Map<string, Entry>()
      for (const entry of entries) if (entry.kind === "message") newest.set(entry.id, entry)
      const now = Date.now()
      return [...newest.values()].filter(({ id }) => now - (inboxTimes.get(id) ?? 0) >= inboxEveryMs)
    }
    const inboxesDone = (due: ReadonlyArray<Entry>): void => {
      const now = Date.now()
      if (inboxTimes.size + due.length > inboxTimesMax) inboxTimes.clear()
      for (const { id } of due) inboxTimes.set(id, now)
    }

    /** An entry for each member at the message's seq. */
    const inboxEntries = Effect.fnUntraced(function* (due: ReadonlyArray<Entry>) {
      const channels = due.map(({ id }) => id)
      const stays = yield* directory.stays(channels, inboxStaysMax)
      const out: Array<InboxEntry> = []
      for (const [index, { by, id, seq }] of due.entries()) {
        for (const { from, to, user } of stays[index] ?? []) {
          if (user !== by && from <= seq && (to === null || to >= seq)) out.push({ user, channel: id, seq })
        }
      }
      return out
    })

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
        const { named, taken } = mentionRowsOf(entries)
        const due = inboxesDue(entries)
        const rows = due.length > 0 ? yield* inboxEntries(due) : []
        if (named.length + taken.length > 0) wrote = true
        if (named.length > 0) yield* inbox.addMentions(named)
        if (taken.length > 0) yield* inbox.removeMentions(taken)
        if (rows.length > 0) yield* inbox.add(rows)
        inboxesDone(due)
        yield* Effect.forEach(notices, notify, { concurrency: noticesAtOnce, discard: true })
      })
    })
    yield* runConsumer({
      name: memberFanoutConsumer,
      shardCount: calls.shardCount,
      // Most rounds write nothing that has to be synced: a message names nobody.
      sync: Effect.suspend(() =>
        wrote ? sync.sync.pipe(Effect.tap(() => Effect.sync(() => (wrote = false)))) : Effect.void
      ),
      limit: (shard) => storedUpTo.get(shard) ?? 0,
      apply: (shard, consumed) =>
        Effect.suspend(() => {
          const before = parking.count
          return parking.apply(shard, consumed).pipe(
            Effect.tap(() =>
              Effect.sync(() => {
                if (parking.count !== before) wrote = true
              })
            )
          )
        })
    })
  })
)
