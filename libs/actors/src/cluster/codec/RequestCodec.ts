/**
 * The bytes of what is asked of an owner. A request's first byte is its kind; kinds are never renumbered, fields are only
 * added at the end (a reader leaves alone what follows the fields it knows). Texts are written as they are in memory.
 * What can't be read is undefined or a failed reader, never a throw. Bench `remotecalls`.
 */
import { shardOf } from "../../fanout/ShardHash.ts"
import type { Caller, ChannelMutation, OwnerRequest, SyncItem } from "../../owner/OwnerProtocol.ts"
import type { ByteReader } from "./ByteReader.ts"
import type { ByteWriter } from "./ByteWriter.ts"

const requests = [
  "Mutate",
  "Sync",
  "History",
  "Unread",
  "Typing",
  "Receipt",
  "Members",
  "InspectChannel",
  "Standing",
  "Open",
  "Inbox",
  "MoveCursor",
  "MarkUnread",
  "Notice",
  "Revoke",
  "InspectSession",
  "Report",
  "Watch",
  "InspectPresence"
] as const satisfies ReadonlyArray<OwnerRequest["_tag"]>
const requestNumbers = numbersOf(requests)

const mutations = [
  "send",
  "edit",
  "delete",
  "create",
  "update",
  "join",
  "leave",
  "add_members",
  "remove_members"
] as const satisfies ReadonlyArray<ChannelMutation["op"]>
const mutationNumbers = numbersOf(mutations)

const notices = ["added", "removed", "mentioned"] as const
const noticeNumbers = numbersOf(notices)

const deviceStates = ["online", "away", "gone"] as const
const deviceStateNumbers = numbersOf(deviceStates)

/** The place of each name in its list. */
export function numbersOf<A extends string>(names: ReadonlyArray<A>): Readonly<Record<A, number>> {
  // Reason for `as`: one entry for each name was just made.
  return Object.fromEntries(names.map((name, index) => [name, index])) as Record<A, number>
}

export const writeRequest = (to: ByteWriter, request: OwnerRequest): void => {
  to.byte(requestNumbers[request._tag])
  switch (request._tag) {
    case "Mutate":
      writeCaller(to, request.caller)
      to.bool(request.admin)
      return writeMutation(to, request.mutation)
    case "Sync":
      to.text(request.user)
      to.number(request.eventsMax)
      to.number(request.bytesMax)
      to.number(request.items.length)
      for (const item of request.items) writeSyncItem(to, item)
      return
    case "History":
      to.text(request.user)
      to.bool(request.admin)
      to.text(request.channel)
      to.maybe(request.before)
      to.maybe(request.after)
      to.maybe(request.around)
      return to.number(request.limit)
    case "Unread":
      to.text(request.user)
      to.text(request.channel)
      to.number(request.cursor.generation)
      return to.number(request.cursor.seq)
    case "Typing":
      writeCaller(to, request.caller)
      to.text(request.channel)
      return to.bool(request.on)
    case "Receipt":
      writeCaller(to, request.caller)
      to.text(request.channel)
      to.number(request.delivered)
      return to.number(request.read)
    case "Members":
      to.text(request.user)
      to.bool(request.admin)
      to.text(request.channel)
      to.text(request.afterUser)
      return to.number(request.limit)
    case "InspectChannel":
      to.text(request.channel)
      return to.bool(request.payloads)
    case "Standing":
      return to.text(request.user)
    case "Open":
      to.text(request.user)
      to.number(request.after.generation)
      return to.number(request.after.seq)
    case "Inbox":
      to.text(request.user)
      return to.number(request.asOf)
    case "MoveCursor":
    case "MarkUnread":
      writeCaller(to, request.caller)
      to.text(request.channel)
      to.number(request.seq)
      to.number(request.unread)
      to.number(request.mentions)
      to.number(request.head)
      if (request._tag === "MarkUnread") to.text(request.cid)
      else to.maybe(request.generation)
      return
    case "Notice":
      to.text(request.user)
      to.byte(noticeNumbers[request.kind])
      to.text(request.channel)
      to.number(request.seq)
      return to.text(request.by)
    case "Revoke":
      to.text(request.user)
      to.number(request.before)
      return to.text(request.cid)
    case "InspectSession":
      to.text(request.user)
      return to.bool(request.payloads)
    case "Report":
      to.number(request.shard)
      to.text(request.edge)
      to.bool(request.full)
      to.number(request.devices.length)
      for (const { device, state, user } of request.devices) {
        to.text(user)
        to.text(device)
        to.byte(deviceStateNumbers[state])
      }
      return
    case "Watch":
      to.number(request.shard)
      to.text(request.edge)
      return to.texts(request.users)
    case "InspectPresence":
      return to.number(request.shard)
  }
}

/** Undefined, or a failed reader: these bytes are no request that is known here. */
export const readRequest = (from: ByteReader): OwnerRequest | undefined => {
  const _tag = requests[from.byte()]
  if (_tag === undefined) return from.fail()
  switch (_tag) {
    case "Mutate": {
      const caller = readCaller(from)
      const admin = from.bool()
      const mutation = readMutation(from)
      return mutation === undefined ? undefined : { _tag, caller, mutation, admin }
    }
    case "Sync": {
      const user = from.text()
      const eventsMax = from.number()
      const bytesMax = from.number()
      return { _tag, user, items: from.list(() => readSyncItem(from)), eventsMax, bytesMax }
    }
    case "History": {
      const user = from.text()
      const admin = from.bool()
      const channel = from.text()
      const before = from.maybe()
      const after = from.maybe()
      const around = from.maybe()
      return { _tag, user, admin, channel, before, after, around, limit: from.number() }
    }
    case "Unread": {
      const user = from.text()
      const channel = from.text()
      return { _tag, user, channel, cursor: from.position() }
    }
    case "Typing": {
      const caller = readCaller(from)
      const channel = from.text()
      return { _tag, caller, channel, on: from.bool() }
    }
    case "Receipt": {
      const caller = readCaller(from)
      const channel = from.text()
      const delivered = from.number()
      return { _tag, caller, channel, delivered, read: from.number() }
    }
    case "Members": {
      const user = from.text()
      const admin = from.bool()
      const channel = from.text()
      const afterUser = from.text()
      return { _tag, user, admin, channel, afterUser, limit: from.number() }
    }
    case "InspectChannel": {
      const channel = from.text()
      return { _tag, channel, payloads: from.bool() }
    }
    case "Standing":
      return { _tag, user: from.text() }
    case "Open": {
      const user = from.text()
      return { _tag, user, after: from.position() }
    }
    case "Inbox": {
      const user = from.text()
      return { _tag, user, asOf: from.number() }
    }
    case "MoveCursor":
    case "MarkUnread": {
      const caller = readCaller(from)
      const channel = from.text()
      const seq = from.number()
      const unread = from.number()
      const mentions = from.number()
      const head = from.number()
      const moved = { caller, channel, seq, unread, mentions, head }
      if (_tag === "MarkUnread") return { _tag, ...moved, cid: from.text() }
      // Who does not say it means any.
      return { _tag, ...moved, generation: from.left === 0 ? null : from.maybe() }
    }
    case "Notice": {
      const user = from.text()
      const kind = notices[from.byte()]
      const channel = from.text()
      const seq = from.number()
      const by = from.text()
      return kind === undefined ? from.fail() : { _tag, user, kind, channel, seq, by }
    }
    case "Revoke": {
      const user = from.text()
      const before = from.number()
      return { _tag, user, before, cid: from.text() }
    }
    case "InspectSession": {
      const user = from.text()
      return { _tag, user, payloads: from.bool() }
    }
    case "Report": {
      const shard = from.number()
      const edge = from.text()
      const full = from.bool()
      return { _tag, shard, edge, full, devices: from.list(() => readDevice(from)) }
    }
    case "Watch": {
      const shard = from.number()
      const edge = from.text()
      return { _tag, shard, edge, users: from.texts() }
    }
    case "InspectPresence":
      return { _tag, shard: from.number() }
  }
}

/**
 * Whether what a request names belongs to the shard it was sent to. A caller that counts shards otherwise would have
 * entities live twice.
 */
export const belongsTo = (request: OwnerRequest, shard: number, shardCount: number): boolean => {
  switch (request._tag) {
    case "Mutate":
      return shardOf(request.mutation.channel, shardCount) === shard
    case "Sync":
      return request.items.every(({ channel }) => shardOf(channel, shardCount) === shard)
    case "History":
    case "Unread":
    case "Typing":
    case "Receipt":
    case "Members":
    case "InspectChannel":
      return shardOf(request.channel, shardCount) === shard
    case "MoveCursor":
    case "MarkUnread":
      return shardOf(request.caller.user, shardCount) === shard
    case "Standing":
    case "Open":
    case "Inbox":
    case "Notice":
    case "Revoke":
    case "InspectSession":
      return shardOf(request.user, shardCount) === shard
    case "Report":
    case "Watch":
    case "InspectPresence":
      return request.shard === shard
  }
}

const writeCaller = (to: ByteWriter, { connection, device, edge, user }: Caller): void => {
  to.text(user)
  to.text(device)
  to.number(connection)
  to.text(edge)
}

const readCaller = (from: ByteReader): Caller => {
  const user = from.text()
  const device = from.text()
  const connection = from.number()
  return { user, device, connection, edge: from.text() }
}

const writeMutation = (to: ByteWriter, mutation: ChannelMutation): void => {
  to.byte(mutationNumbers[mutation.op])
  to.text(mutation.channel)
  to.text(mutation.cid)
  switch (mutation.op) {
    case "send":
      to.text(mutation.text)
      return to.texts(mutation.mentions)
    case "edit":
      to.number(mutation.target)
      to.text(mutation.text)
      return to.texts(mutation.mentions)
    case "delete":
      return to.number(mutation.target)
    case "create":
      to.text(mutation.name)
      to.text(mutation.topic)
      return to.texts(mutation.members)
    case "update":
      writeOptional(to, mutation.name)
      return writeOptional(to, mutation.topic)
    case "join":
    case "leave":
      return
    case "add_members":
    case "remove_members":
      return to.texts(mutation.members)
  }
}

const readMutation = (from: ByteReader): ChannelMutation | undefined => {
  const op = mutations[from.byte()]
  const channel = from.text()
  const cid = from.text()
  if (op === undefined) return from.fail()
  switch (op) {
    case "send": {
      const text = from.text()
      return { op, channel, cid, text, mentions: from.texts() }
    }
    case "edit": {
      const target = from.number()
      const text = from.text()
      return { op, channel, cid, target, text, mentions: from.texts() }
    }
    case "delete":
      return { op, channel, cid, target: from.number() }
    case "create": {
      const name = from.text()
      const topic = from.text()
      return { op, channel, cid, name, topic, members: from.texts() }
    }
    case "update": {
      const name = readOptional(from)
      const topic = readOptional(from)
      return {
        op,
        channel,
        cid,
        ...(name === undefined ? {} : { name }),
        ...(topic === undefined ? {} : { topic })
      }
    }
    case "join":
    case "leave":
      return { op, channel, cid }
    case "add_members":
    case "remove_members":
      return { op, channel, cid, members: from.texts() }
  }
}

const writeOptional = (to: ByteWriter, value: string | undefined): void => {
  to.bool(value !== undefined)
  if (value !== undefined) to.text(value)
}

const readOptional = (from: ByteReader): string | undefined => (from.bool() ? from.text() : undefined)

const writeSyncItem = (to: ByteWriter, { channel, cursor, held }: SyncItem): void => {
  to.text(channel)
  to.bool(held !== null)
  if (held !== null) {
    to.number(held.generation)
    to.number(held.seq)
  }
  to.number(cursor.generation)
  to.number(cursor.seq)
}

const readSyncItem = (from: ByteReader): SyncItem => {
  const channel = from.text()
  const held = from.bool() ? from.position() : null
  return { channel, held, cursor: from.position() }
}

const readDevice = (from: ByteReader) => {
  const user = from.text()
  const device = from.text()
  const state = deviceStates[from.byte()]
  return state === undefined ? undefined : { user, device, state }
}
