/**
 * The persister: writes behind the log, in batches, what the stores are to have: events and messages, mentions, channels,
 * members, sessions. Every write is owned by a seq and idempotent, so a step may be repeated after a crash, and its
 * position moves only after the write, and after the store is on stable storage. Then the log is cut (LogCut).
 */
import { Context, Effect, Layer } from "effect"
import { CommitSignal } from "@parley/actors/fanout/CommitSignal"
import { persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { type ConsumedEntry, runConsumer } from "@parley/actors/fanout/LogConsumer"
import type { Gather } from "@parley/actors/fanout/Turns"
import { editBody, messageBody } from "@parley/actors/channel/EventBody"
import { mentionRowsOf } from "@parley/actors/fanout/MentionRows"
import { makeParking } from "@parley/actors/fanout/Parking"
import type { Entry } from "@parley/actors/log/Entry"
import { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { Directory } from "@parley/storage/Directory"
import type { LogPosition } from "@parley/storage/EventLog"
import type { StoredEvent } from "@parley/storage/MessageStore"
import type { StoreRefused, StoreUnavailable } from "@parley/storage/StoreError"
import { StoreSync } from "@parley/storage/StoreSync"
import { changedRows } from "./ChannelRows.ts"
import { cutLog } from "./LogCut.ts"
import { SessionRows } from "./SessionRows.ts"

/** The log is cut this often. */
const purgeEveryMs = 5_000

const storedEvent = (entry: Entry): StoredEvent => ({
  channel: entry.id,
  generation: entry.generation,
  seq: entry.seq,
  kind: entry.kind,
  at: entry.at,
  by: entry.by,
  cid: entry.cid,
  bodyHash: entry.bodyHash,
  n: entry.n,
  target: entry.target,
  body: entry.body
})

/**
 * What remains of a message or an edit whose text is given up (†26): the message deleted by itself, the edit void. Other
 * events say who may read what and what is gone: those are never given up.
 */
const withoutText = (entry: Entry): ReadonlyArray<Entry> | undefined => {
  const { at, by, cid, n, seq, target } = entry
  if (entry.kind === "message") {
    const blank = { ...entry, hidden: "", body: messageBody({ seq, at, by, cid, n }, "", [], 0, seq) }
    return [blank, { ...blank, kind: "delete", target: seq, cid: "", bodyHash: "" }]
  }
  if (entry.kind === "edit")
    return [{ ...entry, hidden: "", body: editBody({ seq, at, by, cid }, target, "", [], true) }]
  return undefined
}

/** How long the persister gathers between two rounds; a file on this machine is written sooner than a store over the network. */
export const PersisterGather = Context.Reference<Gather | undefined>("@parley/node/PersisterGather", {
  defaultValue: () => undefined
})

export const layerPersister = Layer.effectDiscard(
  Effect.gen(function* () {
    const calls = yield* OwnerCalls
    const directory = yield* Directory
    const channels = yield* ChannelStore
    const signal = yield* CommitSignal
    const sync = yield* StoreSync
    const sessions = new SessionRows(directory)

    const parking = yield* makeParking({
      consumer: persisterConsumer,
      // A channel's rows are carried forward event by event.
      keepsOrder: true,
      poison: (error: StoreRefused | StoreUnavailable) => (error._tag === "StoreRefused" ? error.what : undefined),
      sync: sync.sync,
      withoutText,
      released: signal.released,
      apply: Effect.fnUntraced(function* (_shard: number, consumed: ReadonlyArray<ConsumedEntry>) {
        const ofChannels: Array<Entry> = []
        const ofUsers: Array<Entry> = []
        for (const { entry } of consumed) (entry.topic === "channel" ? ofChannels : ofUsers).push(entry)
        if (ofChannels.length > 0) {
          const { members, rows } = yield* changedRows(directory, ofChannels)
          const { named, taken } = mentionRowsOf(ofChannels)
          yield* channels.write({ events: ofChannels.map(storedEvent), named, taken, members, rows })
        }
        if (ofUsers.length > 0) yield* sessions.write(ofUsers)
      })
    })
    const gather = yield* PersisterGather
    yield* runConsumer({
      name: persisterConsumer,
      ...(gather === undefined ? {} : { gather }),
      shardCount: calls.shardCount,
      begin: (shard) => parking.begin(shard),
      leave: (shard) => parking.leave(shard),
      apply: (shard, consumed) => parking.apply(shard, consumed),
      // A position that is ahead of a store which lost its last writes with the power would be a hole for ever.
      sync: sync.sync,
      syncPeriodic: sync.periodic,
      moved: (shard, position) => signal.stored(shard, position, parking.of(shard))
    })

    let round = 0
    const cuts = new Map<number, LogPosition>()
    const storedTo = new Map<number, LogPosition>()
    const storedAt = new Map<number, number>()
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        signal.onStored((shard, position) => {
          // It is said again as well.
          if (position <= (storedTo.get(shard) ?? 0)) return
          storedTo.set(shard, position)
          storedAt.set(shard, performance.now())
        })
      ),
      (unsubscribe) => Effect.sync(unsubscribe)
    )
    yield* Effect.suspend(() => cutLog(round++, (shard) => storedAt.get(shard) ?? -Infinity, cuts)).pipe(
      Effect.catch((error) => Effect.logWarning("log not cut, trying again later", error)),
      Effect.delay(purgeEveryMs),
      Effect.forever,
      Effect.forkScoped
    )
  })
)
