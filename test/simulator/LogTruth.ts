/**
 * What the log says at the end of a run, from all that was ever committed to it, and what has to follow from that: one
 * writer at a time, dense seqs, rows of the stores, sessions that know of every channel, and counts that a recount gives.
 */
import { Context, Effect, Layer, Option, Result, Scope } from "effect"
import { membersOf } from "@parley/actors/channel/EventBody"
import type { Entry } from "@parley/actors/log/Entry"
import { decodeRecord, noHash } from "@parley/actors/log/Record"
import { MessageStore, type StoredEvent } from "@parley/storage/MessageStore"
import { layerMemory } from "@parley/storage/memory/MemoryMessageStore"
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import { Limits } from "@parley/protocol/Limits"
import { Directory } from "@parley/storage/Directory"
import type { FinalState } from "../checker/FinalState.ts"
import type { Archived } from "./SimLog.ts"
import type { SimStores } from "./SimStores.ts"

export interface Found {
  readonly invariant: string
  readonly what: string
}

/** Ranges of one reading of a store: more than a run has events. */
const all = 1_000_000

/** An event's time is never before the last one's, which a clock that was ahead may have given. */
const atMsMax = 600_000

export interface LogContents {
  readonly found: ReadonlyArray<Found>
  /** Entries by channel and by user, in the order of the log. */
  readonly channels: ReadonlyMap<string, ReadonlyArray<Entry>>
  readonly users: ReadonlyMap<string, ReadonlyArray<Entry>>
}

/** SINGLE-WRITER and ONE-ORDER, as the records themselves show it. */
export const readArchive = (archive: ReadonlyArray<Archived>): LogContents => {
  const found: Array<Found> = []
  const channels = new Map<string, Array<Entry>>()
  const users = new Map<string, Array<Entry>>()
  const tips = new Map<number, { readonly number: number; readonly hash: string; readonly epoch: number }>()
  for (const { bytes, position, shard } of archive) {
    const decoded = decodeRecord(bytes)
    if (Result.isFailure(decoded)) {
      found.push({ invariant: "SINGLE-WRITER", what: `shard ${shard} at ${position}: ${decoded.failure.what}` })
      continue
    }
    const record = decoded.success
    const tip = tips.get(shard) ?? { number: 0, hash: noHash, epoch: 0 }
    const wrong =
      record.number !== tip.number + 1
        ? `number ${record.number} after ${tip.number}`
        : record.previous !== tip.hash
          ? "another predecessor"
          : record.epoch < tip.epoch || (record.kind === "epoch" && record.epoch === tip.epoch)
            ? `epoch ${record.epoch} after ${tip.epoch}`
            : undefined
    if (wrong !== undefined) found.push({ invariant: "SINGLE-WRITER", what: `shard ${shard} at ${position}: ${wrong}` })
    tips.set(shard, record)
    for (const entry of record.entries) {
      const entries = entry.topic === "channel" ? channels : users
      const known = entries.get(entry.id)
      if (known === undefined) entries.set(entry.id, [entry])
      else known.push(entry)
    }
  }
  for (const entry of [...channels.values()].flat()) {
    const time = entry.cid === "" ? entry.at : clientIdTime(entry.cid)
    const days = time > entry.at + Limits.clientIdAheadMsMax || time < entry.at - Limits.idempotencyWindowMs - atMsMax
    if (days) found.push({ invariant: "EXACTLY-ONCE-EFFECT", what: `${entry.cid} is of another day than ${entry.at}` })
  }
  for (const [id, entries] of [...channels, ...users]) {
    const at = entries.findIndex((entry, place) => entry.seq !== place + 1)
    if (at >= 0)
      found.push({ invariant: "ONE-ORDER", what: `the log has ${entries[at]?.seq} of ${id} at place ${at + 1}` })
  }
  return { found, channels, users }
}

const storedEvent = (entry: Entry): StoredEvent => ({ ...entry, channel: entry.id })

/** WRITE-BEHIND-SAFE: what the stores have is what the log's events make of empty ones. */
export const compareStores = (log: LogContents, stores: SimStores): ReadonlyArray<Found> => {
  const found: Array<Found> = []
  const wrong = (what: string) => found.push({ invariant: "WRITE-BEHIND-SAFE", what })
  const fresh = Effect.runSync(
    Effect.flatMap(Scope.make(), (scope) => Layer.buildWithScope(Layer.fresh(layerMemory), scope))
  )
  const [should, is] = [Context.get(fresh, MessageStore), Context.get(stores.memory, MessageStore)]
  const directory = Context.get(stores.memory, Directory)
  for (const [channel, entries] of log.channels) {
    Effect.runSync(should.write(entries.map(storedEvent)))
    const reads = [
      (store: MessageStore["Service"]) => store.head(channel).pipe(Effect.map((head) => JSON.stringify(head))),
      (store: MessageStore["Service"]) =>
        store.events(channel, 0, all, all).pipe(Effect.map((rows) => JSON.stringify(rows))),
      (store: MessageStore["Service"]) =>
        store
          .messages(channel, { after: 0, before: all, limit: all, newest: false })
          .pipe(Effect.map((rows) => JSON.stringify(rows)))
    ]
    for (const read of reads) {
      const [expected, there] = [Effect.runSync(read(should)), Effect.runSync(read(is))]
      if (expected !== there) wrong(`${channel}: ${difference(expected, there)}`)
    }
    const row = Option.getOrUndefined(Effect.runSync(directory.channel(channel)))
    const last = entries.at(-1)
    if (row?.seq !== last?.seq || row?.n !== last?.n)
      wrong(`${channel}: its row is at ${row?.seq} with ${row?.n} messages, the log at ${last?.seq} with ${last?.n}`)
    const stays = Effect.runSync(directory.members(channel, "", all))
    const [expected, there] = [
      JSON.stringify(staysOf(entries)),
      JSON.stringify(
        Object.fromEntries(
          [...Map.groupBy(stays, ({ user }) => user)].map(([user, own]) => [
            user,
            own.map(({ from, to }) => [from, to])
          ])
        )
      )
    ]
    if (expected !== there) wrong(`${channel}: members are ${there}, by the log ${expected}`)
    if (row !== undefined && row.members !== membersNow(entries).size)
      wrong(`${channel}: its row counts ${row.members} members`)
  }
  for (const [user, entries] of log.users) {
    const row = Option.getOrUndefined(Effect.runSync(directory.session(user)))
    if (row?.userSeq !== entries.at(-1)?.seq) wrong(`${user}'s session is stored at ${row?.userSeq}`)
  }
  return found
}

/** Around the first place at which two texts differ. */
const difference = (expected: string, there: string): string => {
  let at = 0
  while (at < expected.length && expected[at] === there[at]) at++
  const from = Math.max(0, at - 120)
  return `the log says …${expected.slice(from, at + 160)}… the store has …${there.slice(from, at + 160)}…`
}

/** User → `[from, to]`, by user. */
const staysOf = (entries: ReadonlyArray<Entry>): Record<string, ReadonlyArray<readonly [number, number | null]>> => {
  const stays = new Map<string, Array<[number, number | null]>>()
  for (const entry of entries) {
    const began = entry.kind === "created" || entry.kind === "added"
    if (!began && entry.kind !== "removed") continue
    for (const user of membersOf(entry.body)) {
      const own = stays.get(user) ?? []
      stays.set(user, own)
      const last = own.at(-1)
      if (began) own.push([entry.seq, null])
      else if (last !== undefined) last[1] = entry.seq
    }
  }
  return Object.fromEntries([...stays].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

const membersNow = (entries: ReadonlyArray<Entry>): ReadonlySet<string> =>
  new Set(
    Object.entries(staysOf(entries))
      .filter(([, stays]) => stays.at(-1)?.[1] === null)
      .map(([user]) => user)
  )

/** †12: who is a member by a channel's log finds it in his session; and what he has not read is what a recount gives. */
export const compareSessions = (log: LogContents, final: FinalState): ReadonlyArray<Found> => {
  const found: Array<Found> = []
  for (const { channels, user } of final.fresh) {
    for (const [channel, entries] of log.channels) {
      const view = channels.get(channel)
      const member = membersNow(entries).has(user)
      if (member !== (view !== undefined)) {
        const what = `${user} is ${member ? "" : "not "}a member of ${channel}, and it is ${member ? "not " : ""}in his list`
        found.push({ invariant: "NO-GAP-SYNC", what })
      }
      if (view === undefined || !member) continue
      const unread = recount(entries, user, view.cursor.seq, channel.startsWith("public:"))
      if (unread.messages !== view.unread || unread.mentions !== view.mentions) {
        const counted = `${view.unread} unread and ${view.mentions} mentions`
        const what = `${user} is told of ${counted} in ${channel}, by the log it is ${unread.messages} and ${unread.mentions}`
        found.push({ invariant: "UNREAD", what })
      }
    }
  }
  return found
}

const recount = (entries: ReadonlyArray<Entry>, user: string, cursor: number, rejoinOpens: boolean) => {
  const stays = staysOf(entries)[user] ?? []
  const since = (rejoinOpens ? stays[0] : stays.at(-1))?.[0] ?? 0
  const deleted = new Set(entries.filter(({ kind }) => kind === "delete").map(({ target }) => target))
  const names = new Map<number, ReadonlyArray<string>>()
  for (const entry of entries) {
    if (entry.kind !== "message" && entry.kind !== "edit") continue
    // as: our own encoding of a message or an edit
    const { mentions = [] } = JSON.parse(entry.body) as { readonly mentions?: ReadonlyArray<string> }
    names.set(entry.kind === "message" ? entry.seq : entry.target, mentions)
  }
  const counted = entries.filter(
    ({ by, kind, seq }) => kind === "message" && by !== user && seq > Math.max(cursor, since - 1) && !deleted.has(seq)
  )
  return { messages: counted.length, mentions: counted.filter(({ seq }) => names.get(seq)?.includes(user)).length }
}
