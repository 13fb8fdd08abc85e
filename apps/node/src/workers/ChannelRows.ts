/**
 * The directory's rows of channels and members, as the log's events make them: read, carried forward by the events
 * above the row's seq, written whole. A bounded cache spares the read; nothing else relies on it.
 */
import { Effect, Option } from "effect"
import { clientIdTime } from "@parley/protocol/Ids"
import type { ChannelRow, Directory, Membership } from "@parley/storage/Directory"
import { membersOf, settingsOf } from "@parley/actors/channel/EventBody"
import type { Entry } from "@parley/actors/log/Entry"

/** Rows kept; the oldest half goes when it is full. */
const cachedRowsMax = 50_000

const none: ReadonlyArray<Membership> = []

const changesStays = ({ kind }: Entry): boolean => kind === "created" || kind === "added" || kind === "removed"

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

export class ChannelRows {
  readonly #directory: Directory["Service"]
  readonly #rows = new Map<string, ChannelRow>()

  constructor(directory: Directory["Service"]) {
    this.#directory = directory
  }

  write(entries: ReadonlyArray<Entry>) {
    return Effect.gen({ self: this }, function* () {
      const changed = new Map<string, ChannelRow>()
      const members: Array<Membership> = []
      for (const entry of entries) {
        // Hot path (bench `send`): a message on a row that is held yields nothing.
        const row = changed.get(entry.id) ?? this.#rows.get(entry.id) ?? (yield* this.#read(entry.id))
        if (entry.seq <= row.seq) continue
        const stays = changesStays(entry) ? yield* this.#stays(entry, members) : none
        members.push(...stays)
        changed.set(entry.id, next(row, entry, stays))
      }
      if (members.length > 0) yield* this.#directory.writeMembers(members)
      yield* this.#directory.writeChannels([...changed.values()])
      for (const [channel, row] of changed) this.#keep(channel, row)
    })
  }

  #read(channel: string) {
    return this.#directory.channel(channel).pipe(Effect.map(Option.getOrElse(() => emptyRow(channel))))
  }

  #keep(channel: string, row: ChannelRow): void {
    if (this.#rows.size >= cachedRowsMax) {
      let drop = cachedRowsMax / 2
      for (const old of this.#rows.keys()) {
        if (drop-- === 0) break
        this.#rows.delete(old)
      }
    }
    this.#rows.set(channel, row)
  }

  /** The stays that the event begins, ends or changes. */
  #stays(entry: Entry, unwritten: ReadonlyArray<Membership>) {
    const directory = this.#directory
    const openStay = (channel: string, user: string) => {
      const fresh = unwritten.findLast((stay) => stay.channel === channel && stay.user === user)
      return fresh === undefined
        ? directory.membership(channel, user).pipe(Effect.map((stays) => stays.find((stay) => stay.to === null)))
        : Effect.succeed(fresh.to === null ? fresh : undefined)
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
}

const next = (row: ChannelRow, entry: Entry, stays: ReadonlyArray<Membership>): ChannelRow => {
  const moved = {
    ...row,
    generation: entry.generation,
    seq: entry.seq,
    n: entry.n,
    idBound: entry.cid === "" ? row.idBound : Math.max(row.idBound, clientIdTime(entry.cid))
  }
  if (entry.kind === "message") return moved
  const settings =
    entry.kind === "created" || entry.kind === "updated" || entry.kind === "fanout" ? settingsOf(entry.body) : {}
  const joined = stays.filter((stay) => stay.from === entry.seq).length
  const left = stays.filter((stay) => stay.to === entry.seq).length
  return {
    ...moved,
    ...settings,
    createdAt: row.createdAt === 0 ? entry.at : row.createdAt,
    members: row.members + joined - left
  }
}
