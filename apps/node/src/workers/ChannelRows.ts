/**
 * The directory's rows of channels and members, as the log's events make them: read, carried forward by the events
 * above the row's seq, written whole. Only channels whose settings or members change are read: the row of any other
 * just moves with its events (`ChannelStore.write`), and a channel that begins here has none.
 */
import { Effect, Option } from "effect"
import type { ChannelRow, Directory, Membership } from "@parley/storage/Directory"
import { idTimeOf } from "@parley/storage/IdTime"
import { membersOf, settingsOf } from "@parley/actors/channel/EventBody"
import type { Entry } from "@parley/actors/log/Entry"

export interface ChangedRows {
  readonly rows: ReadonlyArray<ChannelRow>
  readonly members: ReadonlyArray<Membership>
}

/** Rows that are read at once. */
const readsAtOnce = 32

const none: ReadonlyArray<Membership> = []
const nothing: ChangedRows = { rows: [], members: [] }

const changesStays = ({ kind }: Entry): boolean => kind === "created" || kind === "added" || kind === "removed"
const changesSettings = ({ kind }: Entry): boolean => kind === "created" || kind === "updated" || kind === "fanout"

const emptyRow = (channel: string): ChannelRow => ({
  channel,
  generation: 1,
  seq: 0,
  n: 0,
  name: "",
  topic: "",
  fanout: "write",
  createdAt: 0,
  members: 0,
  idBound: 0
})

/** What these entries, all of channels, make of rows and members; a repeat of them makes the same. */
export const changedRows = (directory: Directory["Service"], entries: ReadonlyArray<Entry>) => {
  const changing = new Set<string>()
  for (const entry of entries) if (changesStays(entry) || changesSettings(entry)) changing.add(entry.id)
  if (changing.size === 0) return Effect.succeed(nothing)
  return Effect.gen(function* () {
    const firsts = new Map<string, Entry>()
    for (const entry of entries) if (changing.has(entry.id) && !firsts.has(entry.id)) firsts.set(entry.id, entry)
    const found = yield* Effect.forEach(firsts.values(), (first) => rowBefore(directory, first), {
      concurrency: readsAtOnce
    })
    const rows = new Map(found.map((row) => [row.channel, row]))
    const changed = new Set<string>()
    const members: Array<Membership> = []
    for (const entry of entries) {
      const row = rows.get(entry.id)
      if (row === undefined) continue
      const stays = changesStays(entry) ? yield* staysOf(directory, entry, members) : none
      members.push(...stays)
      // A row that is past the event says nothing of the stays, where a store lost its last writes and got later ones since.
      if (entry.seq <= row.seq) continue
      changed.add(entry.id)
      rows.set(entry.id, next(row, entry, stays))
    }
    return { rows: [...rows.values()].filter(({ channel }) => changed.has(channel)), members }
  })
}

/** Written later than others of the channel, if the step is a repeat, its first event changes nothing (†32). */
const rowBefore = (directory: Directory["Service"], { generation, id, seq }: Entry) =>
  generation === 1 && seq === 1
    ? Effect.succeed(emptyRow(id))
    : Effect.map(
        directory.channel(id),
        Option.getOrElse(() => emptyRow(id))
      )

/**
 * The stays that the event begins, ends or changes. A step may have failed when it had written some of its parts: then the
 * event's own end of a stay is there already, and still counts for the row that is not.
 */
const staysOf = (directory: Directory["Service"], entry: Entry, unwritten: ReadonlyArray<Membership>) => {
  const isOpen = ({ from, to }: Membership): boolean => from < entry.seq && (to === null || to === entry.seq)
  const openStay = (channel: string, user: string) => {
    const fresh = unwritten.findLast((stay) => stay.channel === channel && stay.user === user)
    return fresh === undefined
      ? directory.membership(channel, user).pipe(Effect.map((stays) => stays.find(isOpen)))
      : Effect.succeed(isOpen(fresh) ? fresh : undefined)
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

const next = (row: ChannelRow, entry: Entry, stays: ReadonlyArray<Membership>): ChannelRow => {
  const moved = {
    ...row,
    generation: entry.generation,
    seq: entry.seq,
    n: entry.n,
    idBound: Math.max(row.idBound, idTimeOf(entry))
  }
  if (entry.kind === "message") return moved
  const settings = changesSettings(entry) ? settingsOf(entry.body) : {}
  const joined = stays.filter((stay) => stay.from === entry.seq).length
  const left = stays.filter((stay) => stay.to === entry.seq).length
  return {
    ...moved,
    ...settings,
    createdAt: row.createdAt === 0 ? entry.at : row.createdAt,
    members: row.members + joined - left
  }
}
