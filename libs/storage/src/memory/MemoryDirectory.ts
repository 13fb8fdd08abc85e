/** The directory in memory: rows take the values of the larger seq that owns them (†32). */
import { Effect, Layer, Option } from "effect"
import {
  type ChannelMove,
  type ChannelRow,
  type ChannelRowWithOrigins,
  Directory,
  isLater,
  type Membership,
  originsAt,
  rowParts,
  type SessionRow,
  type UserRow
} from "../Directory.ts"

const byId = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Each part as of the later event. */
const merged = (known: ChannelRowWithOrigins, row: ChannelRowWithOrigins): ChannelRowWithOrigins => {
  const origins = { ...known.origins }
  const { generation, n, seq } = isLater(row, known) ? row : known
  const parts: { -readonly [Part in keyof ChannelRow]?: ChannelRow[Part] } = {}
  for (const part of rowParts) {
    if (!isLater(row.origins[part], known.origins[part])) continue
    Object.assign(parts, { [part]: row[part] })
    origins[part] = row.origins[part]
  }
  const [to, from] = [row.origins.members, known.origins.members]
  if (isLater(to, from) || (!isLater(from, to) && to.recounts > from.recounts)) {
    parts.members = row.members
    origins.members = to
  }
  return { ...known, ...parts, generation, seq, n, origins }
}

const withoutOrigins = ({ origins: _, ...row }: ChannelRowWithOrigins): ChannelRow => row

const make = (): Directory["Service"] => {
  const channels = new Map<string, ChannelRowWithOrigins>()
  /** Channel → user → first seq → stay. */
  const members = new Map<string, Map<string, Map<number, Membership>>>()
  const sessions = new Map<string, SessionRow>()
  const users = new Map<string, UserRow>()

  const writeChannel = (given: ChannelRow): void => {
    const row = { ...given, origins: given.origins ?? originsAt(given) }
    const known = channels.get(row.channel)
    // No event owns the bound: the larger one is the careful one (†29), whoever wrote it.
    const idBound = Math.max(row.idBound, known?.idBound ?? 0)
    channels.set(row.channel, known === undefined ? row : { ...merged(known, row), idBound })
  }

  const moveChannel = (move: ChannelMove): void => {
    const known = channels.get(move.channel)
    if (known !== undefined) writeChannel({ ...known, ...move })
  }

  const writeMember = (row: Membership): void => {
    const inChannel = members.get(row.channel) ?? new Map<string, Map<number, Membership>>()
    members.set(row.channel, inChannel)
    const stays = inChannel.get(row.user) ?? new Map<number, Membership>()
    inChannel.set(row.user, stays)
    if (row.seq > (stays.get(row.from)?.seq ?? -1)) stays.set(row.from, row)
  }

  const writeSession = (row: SessionRow): void => {
    const known = sessions.get(row.user)
    const older =
      known === undefined ||
      known.generation < row.generation ||
      (known.generation === row.generation && known.userSeq < row.userSeq)
    if (older) sessions.set(row.user, row)
  }

  const staysOf = (channel: string, user: string): ReadonlyArray<Membership> =>
    [...(members.get(channel)?.get(user)?.values() ?? [])].sort((a, b) => a.from - b.from)

  return Directory.of({
    channel: (channel) => Effect.sync(() => Option.map(Option.fromUndefinedOr(channels.get(channel)), withoutOrigins)),
    channelWithOrigins: (channel) => Effect.sync(() => Option.fromUndefinedOr(channels.get(channel))),
    channelIds: (after, limit) =>
      Effect.sync(() =>
        [...channels.keys()]
          .filter((channel) => channel > after)
          .sort(byId)
          .slice(0, limit)
      ),
    writeChannels: (rows) => Effect.sync(() => rows.forEach(writeChannel)),
    moveChannels: (moves) => Effect.sync(() => moves.forEach(moveChannel)),
    members: (channel, afterUser, limit) =>
      Effect.sync(() =>
        [...(members.get(channel)?.keys() ?? [])]
          .filter((user) => user > afterUser)
          .sort(byId)
          .slice(0, limit)
          .flatMap((user) => staysOf(channel, user))
      ),
    membership: (channel, user) => Effect.sync(() => staysOf(channel, user)),
    writeMembers: (rows) => Effect.sync(() => rows.forEach(writeMember)),
    channelsOf: (user) =>
      Effect.sync(() =>
        [...members.keys()].sort(byId).flatMap((channel) => {
          const latest = staysOf(channel, user).at(-1)
          return latest === undefined || latest.to !== null ? [] : [latest]
        })
      ),
    session: (user) => Effect.sync(() => Option.fromUndefinedOr(sessions.get(user))),
    writeSessions: (rows) => Effect.sync(() => rows.forEach(writeSession)),
    user: (user) => Effect.sync(() => Option.fromUndefinedOr(users.get(user))),
    putUser: (row) => Effect.sync(() => void users.set(row.user, row))
  })
}

export const layerMemory: Layer.Layer<Directory> = Layer.effect(Directory, Effect.sync(make))
