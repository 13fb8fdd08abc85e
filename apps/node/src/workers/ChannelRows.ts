/**
 * The directory's rows of channels and members, as the log's events make them: read, carried forward by the events that its
 * parts do not have yet, written whole. Only channels whose settings or members change are read: the row of any other
 * just moves with its events (`ChannelStore.write`), and a channel that begins here has none.
 *
 * A store may have lost a write and have later ones (Cassandra, when its machine lost power): each part of a row knows its own
 * event, so what comes again fills the hole and changes nothing else. Only the count of members is of all events before it: it
 * is made anew from the stays when one of those comes again.
 */
import { Effect, Option } from "effect"
import {
  type ChannelRow,
  type ChannelRowWithOrigins,
  type Directory,
  isLater,
  type Membership,
  originsAt,
  recountsMax,
  type RowPart,
  rowParts
} from "@parley/storage/Directory"
import { idTimeOf } from "@parley/storage/IdTime"
import { membersOf, settingsOf } from "@parley/actors/channel/EventBody"
import type { Entry } from "@parley/actors/log/Entry"

export interface ChangedRows {
  readonly rows: ReadonlyArray<ChannelRow>
  readonly members: ReadonlyArray<Membership>
}

/** Rows that are read at once. */
const readsAtOnce = 32
/** Users of one page of stays that are counted. */
const countPage = 1_000

const none: ReadonlyArray<Membership> = []
const nothing: ChangedRows = { rows: [], members: [] }

const changesStays = ({ kind }: Entry): boolean => kind === "created" || kind === "added" || kind === "removed"
const changesSettings = ({ kind }: Entry): boolean => kind === "created" || kind === "updated" || kind === "fanout"
const changes = (entry: Entry): boolean => changesStays(entry) || changesSettings(entry)

/** None of its parts is of an event: what is carried on from it gives way to what its beginning makes, when that comes again. */
const emptyRow = (channel: string): ChannelRowWithOrigins => ({
  channel,
  generation: 1,
  seq: 0,
  n: 0,
  name: "",
  topic: "",
  fanout: "write",
  createdAt: 0,
  members: 0,
  idBound: 0,
  origins: originsAt({ generation: 1, seq: 0 })
})

/** What these entries, all of channels, make of rows and members; a repeat of them makes the same. */
export const changedRows = (directory: Directory["Service"], entries: ReadonlyArray<Entry>) => {
  if (!entries.some(changes)) return Effect.succeed(nothing)
  return Effect.gen(function* () {
    const byChannel = Map.groupBy(entries.filter(changes), ({ id }) => id)
    const found = yield* Effect.forEach(byChannel, ([channel, own]) => rowBefore(directory, channel, own), {
      concurrency: readsAtOnce
    })
    const rows = new Map(found.map((row) => [row.channel, row]))
    const changed = new Set<string>()
    /** Channels that were counted with what comes again now, or without it. */
    const again = new Set<string>()
    const members: Array<Membership> = []
    for (const entry of entries) {
      const row = rows.get(entry.id)
      if (row === undefined) continue
      const stays = changesStays(entry) ? yield* staysOf(directory, entry, members) : none
      if (changesStays(entry) && !isLater(entry, row.origins.members)) again.add(entry.id)
      members.push(...stays)
      const carried = next(row, entry, stays)
      if (carried === row) continue
      changed.add(entry.id)
      rows.set(entry.id, carried)
    }
    for (const channel of again) {
      const row = rows.get(channel)
      const recounted = row === undefined ? undefined : yield* recount(directory, row, members)
      if (recounted === undefined || recounted === row) continue
      changed.add(channel)
      rows.set(channel, recounted)
    }
    return { rows: [...rows.values()].filter(({ channel }) => changed.has(channel)), members }
  })
}

/**
 * Written later than others of the channel, if the step is a repeat, its first event changes nothing (†32). More than that of a
 * channel's beginning may be a repeat that finds what has become of it.
 */
const rowBefore = (directory: Directory["Service"], channel: string, changes: ReadonlyArray<Entry>) => {
  const [only] = changes
  return changes.length === 1 && only?.generation === 1 && only.seq === 1
    ? Effect.succeed(emptyRow(channel))
    : Effect.map(
        directory.channelWithOrigins(channel),
        Option.getOrElse(() => emptyRow(channel))
      )
}

/** Its members as of the event that its count is of. */
const recount = (directory: Directory["Service"], row: ChannelRowWithOrigins, unwritten: ReadonlyArray<Membership>) =>
  Effect.gen(function* () {
    const { channel } = row
    const { generation, recounts, seq } = row.origins.members
    const isIn = ({ from, to }: Membership): boolean => from <= seq && (to === null || to > seq)
    const fresh = new Map<string, Membership>()
    for (const stay of unwritten) if (stay.channel === channel) fresh.set(`${stay.user} ${stay.from}`, stay)
    let members = 0
    for (let after = ""; ;) {
      const page = yield* directory.members(channel, after, countPage)
      for (const stay of page) {
        const own = fresh.get(`${stay.user} ${stay.from}`)
        fresh.delete(`${stay.user} ${stay.from}`)
        if (isIn(own !== undefined && own.seq > stay.seq ? own : stay)) members++
      }
      const last = page.at(-1)
      if (last === undefined) break
      after = last.user
    }
    members += [...fresh.values()].filter(isIn).length
    if (members === row.members) return row
    const counted = { generation, seq, recounts: Math.min(recounts + 1, recountsMax) }
    return { ...row, members, origins: { ...row.origins, members: counted } }
  })

/**
 * The stays that the event begins, ends or changes. A step may have failed when it had written some of its parts: then the
 * event's own end of a stay is there already, and still counts for the row that is not.
 */
const staysOf = (directory: Directory["Service"], entry: Entry, unwritten: ReadonlyArray<Membership>) => {
  const isOpen = ({ from, to }: Membership): boolean => from < entry.seq && (to === null || to === entry.seq)
  // The latest one before the event: an older one may look open where its end was lost, and comes again.
  const openStay = (channel: string, user: string) => {
    const fresh = unwritten.findLast((stay) => stay.channel === channel && stay.user === user)
    const latest =
      fresh === undefined
        ? Effect.map(directory.membership(channel, user), (stays) => stays.findLast(({ from }) => from < entry.seq))
        : Effect.succeed(fresh)
    return Effect.map(latest, (stay) => (stay !== undefined && isOpen(stay) ? stay : undefined))
  }
  return Effect.gen(function* () {
    const { by, id: channel, kind, seq } = entry
    const out: Array<Membership> = []
    if (kind === "created" || kind === "added") {
      for (const user of membersOf(entry.body)) {
        const role = kind === "created" && user === by ? "owner" : "member"
        out.push({ channel, user, role, from: seq, to: null, seq })
      }
    } else if (kind === "removed") {
      // as: the hidden part of a removal is made by the channel's decision
      const { heir } = JSON.parse(entry.hidden === "" ? "{}" : entry.hidden) as { readonly heir?: string }
      for (const user of membersOf(entry.body)) {
        const open = yield* openStay(channel, user)
        if (open !== undefined) out.push({ ...open, to: seq, seq })
      }
      if (heir !== undefined) {
        const open = yield* openStay(channel, heir)
        if (open !== undefined) out.push({ ...open, role: "owner", seq })
      }
    }
    return out
  })
}

/** The same where the event changes nothing of it. */
const next = (row: ChannelRowWithOrigins, entry: Entry, stays: ReadonlyArray<Membership>): ChannelRowWithOrigins => {
  const { generation, n, seq } = entry
  const at = { generation, seq }
  const moved = isLater(at, row)
    ? { ...row, generation, seq, n, idBound: Math.max(row.idBound, idTimeOf(entry)) }
    : undefined
  if (!changes(entry)) return moved ?? row
  const said = saidOf(entry)
  const isNew = (part: RowPart): boolean => said[part] !== undefined && isLater(at, row.origins[part])
  const counts = changesStays(entry) && isLater(at, row.origins.members)
  if (moved === undefined && !counts && !rowParts.some(isNew)) return row
  const origins = { ...row.origins }
  for (const part of rowParts) if (isNew(part)) origins[part] = at
  // A count that its beginning is missing from gives way to the one that is made when that comes again.
  const lasts = entry.kind === "created" || row.origins.members.seq > 0
  if (counts && lasts) origins.members = { ...at, recounts: 0 }
  const { name = "", topic = "", fanout = "write", createdAt = 0 } = said
  return {
    ...(moved ?? row),
    name: isNew("name") ? name : row.name,
    topic: isNew("topic") ? topic : row.topic,
    fanout: isNew("fanout") ? fanout : row.fanout,
    // One whose beginning is not there yet was made no later than this.
    createdAt: isNew("createdAt") ? createdAt : row.createdAt === 0 ? entry.at : row.createdAt,
    members: counts ? countWith(row, entry, stays) : row.members,
    origins
  }
}

const saidOf = (entry: Entry): Partial<Pick<ChannelRow, RowPart>> => ({
  ...(changesSettings(entry) ? settingsOf(entry.body) : {}),
  ...(entry.kind === "created" ? { createdAt: entry.at } : {})
})

const countWith = (row: ChannelRow, { kind, seq }: Entry, stays: ReadonlyArray<Membership>): number => {
  const joined = stays.filter((stay) => stay.from === seq).length
  if (kind === "created") return joined
  return row.members + joined - stays.filter((stay) => stay.to === seq).length
}
