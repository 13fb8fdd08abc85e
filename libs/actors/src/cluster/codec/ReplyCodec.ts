/**
 * The bytes of an owner's answers. What an `ok` is follows from the request's kind, which the caller remembers and the
 * bytes don't repeat. Wire texts go through as they are. An inspection, which nobody but a person reads, is JSON.
 * What can't be read is undefined or a failed reader, never a throw.
 */
import { type ApiFailure, errorTable } from "@parley/protocol/ApiError"
import type { InboxPlace } from "@parley/storage/Inbox"
import type { Membership } from "@parley/storage/Directory"
import type {
  ChannelAck,
  CursorMoved,
  OwnerRequest,
  PresenceChange,
  PresenceView,
  SessionStanding,
  SessionView,
  SyncResult,
  UnreadCounts
} from "../../owner/OwnerProtocol.ts"
import type { ByteReader } from "./ByteReader.ts"
import type { ByteWriter } from "./ByteWriter.ts"
import { numbersOf } from "./RequestCodec.ts"

type Tag = OwnerRequest["_tag"]

/** `ok` is what an owner answers to a request of this kind. */
export const writeAnswer = (to: ByteWriter, tag: Tag, ok: unknown): void => {
  // Reason for each `as` here: the owner answers each kind of request with its own kind of answer (OwnerProtocol).
  switch (tag) {
    case "Mutate": {
      const ack = ok as ChannelAck // as: see above
      to.number(ack.seq)
      to.number(ack.n)
      to.number(ack.at)
      return to.number(ack.generation)
    }
    case "Sync":
      return writeSyncResults(to, ok as ReadonlyArray<SyncResult>) // as: see above
    case "History":
      return to.text(ok as string) // as: see above
    case "Unread": {
      const counts = ok as UnreadCounts // as: see above
      to.number(counts.unread)
      to.number(counts.mentions)
      to.number(counts.head)
      return to.number(counts.n)
    }
    case "Members":
      return writeMembers(to, ok as ReadonlyArray<Membership>) // as: see above
    case "Standing":
      return writeStanding(to, ok as SessionStanding) // as: see above
    case "Open":
      return writeSession(to, ok as SessionView) // as: see above
    case "Inbox":
      return writePlaces(to, ok as ReadonlyArray<InboxPlace>) // as: see above
    case "MoveCursor":
    case "MarkUnread": {
      const { cursor, userSeq } = ok as CursorMoved // as: see above
      to.number(cursor.generation)
      to.number(cursor.seq)
      return to.number(userSeq)
    }
    case "Watch":
      return writePresence(to, ok as PresenceView) // as: see above
    case "Typing":
    case "Receipt":
    case "Notice":
    case "Revoke":
    case "Report":
    case "InspectChannel":
    case "InspectSession":
    case "InspectPresence":
      return to.text(JSON.stringify(ok) ?? "")
  }
}

/** Undefined, or a failed reader: these bytes are no answer to a request of this kind. */
export const readAnswer = (from: ByteReader, tag: Tag): unknown => {
  switch (tag) {
    case "Mutate": {
      const seq = from.number()
      const n = from.number()
      const at = from.number()
      return { seq, n, at, generation: from.number() } satisfies ChannelAck
    }
    case "Sync":
      return from.list(() => readSyncResult(from))
    case "History":
      return from.text()
    case "Unread": {
      const unread = from.number()
      const mentions = from.number()
      const head = from.number()
      return { unread, mentions, head, n: from.number() } satisfies UnreadCounts
    }
    case "Members":
      return from.list(() => readMember(from))
    case "Standing":
      return readStanding(from)
    case "Open":
      return readSession(from)
    case "Inbox":
      return from.list((): InboxPlace => {
        const channel = from.text()
        const seq = from.number()
        return { channel, seq, place: from.number() }
      })
    case "MoveCursor":
    case "MarkUnread": {
      const cursor = from.position()
      return { cursor, userSeq: from.number() } satisfies CursorMoved
    }
    case "Watch":
      return readPresence(from)
    case "Typing":
    case "Receipt":
    case "Notice":
    case "Revoke":
    case "Report":
    case "InspectChannel":
    case "InspectSession":
    case "InspectPresence":
      return readJson(from)
  }
}

export const writeFailure = (to: ByteWriter, failure: ApiFailure): void => {
  to.text(failure.code)
  to.text(failure.detail ?? "")
  to.maybe(failure.retry_after_ms ?? null)
  to.maybe(failure.server_time ?? null)
}

/** A code that only a newer node knows is "internal" here: it may be tried again. */
export const readFailure = (from: ByteReader): ApiFailure => {
  const code = from.text()
  const detail = from.text()
  const retryAfterMs = from.maybe()
  const serverTime = from.maybe()
  return {
    code: isErrorCode(code) ? code : "internal",
    ...(detail === "" ? {} : { detail }),
    ...(retryAfterMs === null ? {} : { retry_after_ms: retryAfterMs }),
    ...(serverTime === null ? {} : { server_time: serverTime })
  }
}

const isErrorCode = (code: string): code is ApiFailure["code"] => Object.hasOwn(errorTable, code)

const readJson = (from: ByteReader): unknown => {
  const text = from.text()
  if (text === "{}") return {}
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? value : from.fail()
  } catch {
    return from.fail()
  }
}

const syncResults = ["Sync", "Lost", "Failed"] as const
const syncResultNumbers = numbersOf(syncResults)

const writeSyncResults = (to: ByteWriter, results: ReadonlyArray<SyncResult>): void => {
  to.number(results.length)
  for (const result of results) {
    to.byte(syncResultNumbers[result._tag])
    to.text(result.channel)
    if (result._tag === "Failed") writeFailure(to, result.failure)
    else if (result._tag === "Lost") to.number(result.seq)
    else {
      to.text(result.sync)
      to.number(result.head)
    }
  }
}

const readSyncResult = (from: ByteReader): SyncResult | undefined => {
  const _tag = syncResults[from.byte()]
  const channel = from.text()
  if (_tag === undefined) return undefined
  switch (_tag) {
    case "Failed":
      return { _tag, channel, failure: readFailure(from) }
    case "Lost":
      return { _tag, channel, seq: from.number() }
    case "Sync": {
      const sync = from.text()
      return { _tag, channel, sync, head: from.number() }
    }
  }
}

const roles = ["owner", "member"] as const satisfies ReadonlyArray<Membership["role"]>
const roleNumbers = numbersOf(roles)

const writeMembers = (to: ByteWriter, members: ReadonlyArray<Membership>): void => {
  to.number(members.length)
  for (const { channel, from, role, seq, to: until, user } of members) {
    to.text(channel)
    to.text(user)
    to.byte(roleNumbers[role])
    to.number(from)
    to.maybe(until)
    to.number(seq)
  }
}

const readMember = (from: ByteReader): Membership | undefined => {
  const channel = from.text()
  const user = from.text()
  const role = roles[from.byte()]
  const since = from.number()
  const until = from.maybe()
  const seq = from.number()
  return role === undefined ? undefined : { channel, user, role, from: since, to: until, seq }
}

const writePlaces = (to: ByteWriter, places: ReadonlyArray<InboxPlace>): void => {
  to.number(places.length)
  for (const { channel, place, seq } of places) {
    to.text(channel)
    to.number(seq)
    to.number(place)
  }
}

const writeStanding = (to: ByteWriter, { position, revokedBefore }: SessionStanding): void => {
  to.number(position.generation)
  to.number(position.seq)
  to.number(revokedBefore)
}

const readStanding = (from: ByteReader): SessionStanding => {
  const position = from.position()
  return { position, revokedBefore: from.number() }
}

const writeSession = (to: ByteWriter, view: SessionView): void => {
  writeStanding(to, view)
  to.bool(view.reload)
  to.texts(view.personal)
  to.number(view.channels.length)
  for (const { channel, cursor } of view.channels) {
    to.text(channel)
    to.number(cursor.generation)
    to.number(cursor.seq)
  }
  to.number(view.left.length)
  for (const { channel, seq } of view.left) {
    to.text(channel)
    to.number(seq)
  }
}

const readSession = (from: ByteReader): SessionView => {
  const standing = readStanding(from)
  const reload = from.bool()
  const personal = from.texts()
  const channels = from.list(() => {
    const channel = from.text()
    return { channel, cursor: from.position() }
  })
  const left = from.list(() => {
    const channel = from.text()
    return { channel, seq: from.number() }
  })
  return { ...standing, reload, personal, channels, left }
}

const presenceStates = ["online", "away", "offline"] as const
const presenceStateNumbers = numbersOf(presenceStates)

export const writePresenceChanges = (to: ByteWriter, users: ReadonlyArray<PresenceChange>): void => {
  to.number(users.length)
  for (const { last_seen: lastSeen, state, user } of users) {
    to.text(user)
    to.byte(presenceStateNumbers[state])
    to.maybe(lastSeen)
  }
}

export const readPresenceChanges = (from: ByteReader): ReadonlyArray<PresenceChange> =>
  from.list(() => {
    const user = from.text()
    const state = presenceStates[from.byte()]
    const lastSeen = from.maybe()
    return state === undefined ? undefined : { user, state, last_seen: lastSeen }
  })

const writePresence = (to: ByteWriter, { epoch, n, shard, users }: PresenceView): void => {
  to.number(shard)
  to.number(epoch)
  to.number(n)
  writePresenceChanges(to, users)
}

const readPresence = (from: ByteReader): PresenceView => {
  const shard = from.number()
  const epoch = from.number()
  const n = from.number()
  return { shard, epoch, n, users: readPresenceChanges(from) }
}
