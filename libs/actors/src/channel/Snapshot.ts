/**
 * The bytes of a channel's warm state and of its part of a checkpoint: a version, then numbers and strings one after the
 * other. What is there twice in memory stands here once: the last message as a place in the tail, a client id as the seq
 * of its event. A version that is not known is refused; the caller then replays or asks the store.
 */
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import type { StoredMessage } from "@parley/storage/MessageStore"
import type { Remembered } from "./IdempotencyWindow.ts"
import type { MemberRow, MembersSnapshot } from "./Members.ts"
import { ByteReader, ByteWriter } from "./SnapshotBytes.ts"
import { storedForm, type TailEvent } from "./Tail.ts"

export interface ChannelSettings {
  readonly exists: boolean
  readonly name: string
  readonly topic: string
  readonly fanout: "write" | "read"
  readonly createdAt: number
  /** Members now. */
  readonly members: number
  readonly owners: ReadonlyArray<string>
}

export interface ChannelSnapshot {
  readonly channel: string
  readonly generation: number
  readonly seq: number
  readonly n: number
  readonly at: number
  readonly by: string
  readonly floor: number
  readonly settings: ChannelSettings
  readonly members: MembersSnapshot
  readonly window: { readonly bound: number; readonly ids: ReadonlyArray<Remembered> }
  readonly tail: ReadonlyArray<TailEvent>
  readonly last: StoredMessage | null
}

/** 1 was JSON. */
const version = 2

/** Part of the format: append only, never reorder. Code 0 stands for a kind that is spelled out. */
const kinds = ["", "message", "edit", "delete", "created", "updated", "added", "removed", "fanout"]

const existsBit = 1
const readFanoutBit = 2
const residentBit = 1
const allRecordedBit = 2

/** How the last message is written: not there, as the event so many places before the tail's end, or in full. */
const noLast = 0
const lastInFull = 1
const lastInTail = 2

const writer = new ByteWriter()

/** The bytes hold until the next call. */
export const encodeSnapshot = (snapshot: ChannelSnapshot): Uint8Array => {
  const { members, settings, tail, window } = snapshot
  writer.number(version)
  writer.wire(snapshot.channel)
  writer.number(snapshot.generation)
  writer.number(snapshot.seq)
  writer.number(snapshot.n)
  writer.number(snapshot.at)
  writer.wire(snapshot.by)
  writer.number(snapshot.floor)
  writeSettings(settings)
  writeMembers(members)
  writer.number(tail.length)
  for (const event of tail) writeEvent(event)
  writeLast(snapshot.last, tail)
  writer.number(window.bound)
  writer.number(window.ids.length)
  for (const id of window.ids) writeId(id, tail)
  return writer.finish()
}

export const decodeSnapshot = (bytes: Uint8Array): ChannelSnapshot => {
  const reader = new ByteReader(bytes)
  if (bytes.length === 0 || reader.number() !== version) throw new Error("channel snapshot of another version")
  const channel = reader.wire()
  const generation = reader.number()
  const seq = reader.number()
  const n = reader.number()
  const at = reader.number()
  const by = reader.wire()
  const floor = reader.number()
  const settings = readSettings(reader)
  const members = readMembers(reader)
  const tail = readList(reader, readEvent)
  const last = readLast(reader, tail)
  const bound = reader.number()
  const ids = readList(reader, (of) => readId(of, tail))
  return { channel, generation, seq, n, at, by, floor, settings, members, window: { bound, ids }, tail, last }
}

const readWire = (reader: ByteReader): string => reader.wire()
const readNumber = (reader: ByteReader): number => reader.number()

/** A count, and so many. */
const readList = <A>(reader: ByteReader, read: (reader: ByteReader) => A): ReadonlyArray<A> =>
  readMany(reader, reader.number(), read)

const nothing: ReadonlyArray<never> = []

/** In an array of just that length: one that grows from nothing has room for seventeen, as long as the channel is there. */
const readMany = <A>(reader: ByteReader, count: number, read: (reader: ByteReader) => A): ReadonlyArray<A> => {
  if (count === 0) return nothing
  const all = [read(reader)]
  if (count === 1) return all
  for (let left = count - 1; left > 0; left--) all.push(read(reader))
  return all.slice()
}

const writeSettings = (settings: ChannelSettings): void => {
  writer.number((settings.exists ? existsBit : 0) | (settings.fanout === "read" ? readFanoutBit : 0))
  writer.text(settings.name)
  writer.text(settings.topic)
  writer.number(settings.createdAt)
  writer.number(settings.members)
  writer.number(settings.owners.length)
  for (const owner of settings.owners) writer.wire(owner)
}

const readSettings = (reader: ByteReader): ChannelSettings => {
  const bits = reader.number()
  const name = reader.text()
  const topic = reader.text()
  const createdAt = reader.number()
  const members = reader.number()
  const owners = readList(reader, readWire)
  const fanout = (bits & readFanoutBit) === 0 ? "write" : "read"
  return { exists: (bits & existsBit) !== 0, name, topic, fanout, createdAt, members, owners }
}

/** Of a user: his name, since when he is in, the ends of his stays, and whether they are all. */
const writeMembers = ({ allRecorded, count, resident, rows }: MembersSnapshot): void => {
  writer.number((resident ? residentBit : 0) | (allRecorded ? allRecordedBit : 0))
  writer.number(count)
  writer.number(rows.length)
  for (const [user, joined, past, complete] of rows) {
    writer.wire(user)
    writer.number(joined)
    writer.number(past.length * 2 + complete)
    for (const seq of past) writer.number(seq)
  }
}

const readMembers = (reader: ByteReader): MembersSnapshot => {
  const bits = reader.number()
  const count = reader.number()
  const rows = readList(reader, readMember)
  return { count, resident: (bits & residentBit) !== 0, allRecorded: (bits & allRecordedBit) !== 0, rows }
}

const readMember = (reader: ByteReader): MemberRow => {
  const user = reader.wire()
  const joined = reader.number()
  const form = reader.number()
  return [user, joined, readMany(reader, form >>> 1, readNumber), (form & 1) === 1 ? 1 : 0]
}

const writeEvent = (event: TailEvent): void => {
  const code = Math.max(0, kinds.indexOf(event.kind))
  writer.number(code)
  if (code === 0) writer.wire(event.kind)
  writer.number(event.seq)
  writer.number(event.at)
  writer.wire(event.by)
  writer.wire(event.cid)
  writer.wire(event.bodyHash)
  writer.number(event.n)
  writer.number(event.target)
  writer.text(event.hidden)
  writer.number(event.deleted ?? 0)
  writer.wire(event.body)
}

const readEvent = (reader: ByteReader): TailEvent => {
  const code = reader.number()
  const kind = kinds[code]
  if (kind === undefined) throw new Error("channel snapshot with an event of an unknown kind")
  return {
    kind: code === 0 ? reader.wire() : kind,
    seq: reader.number(),
    at: reader.number(),
    by: reader.wire(),
    cid: reader.wire(),
    bodyHash: reader.wire(),
    n: reader.number(),
    target: reader.number(),
    hidden: reader.text(),
    deleted: reader.number(),
    body: reader.wire()
  }
}

const writeLast = (last: StoredMessage | null, tail: ReadonlyArray<TailEvent>): void => {
  if (last === null) return writer.number(noLast)
  const place = tail.findLastIndex(({ kind }) => kind === "message")
  const event = tail[place]
  if (event?.seq === last.seq && event.body === last.body) return writer.number(lastInTail + tail.length - 1 - place)
  writer.number(lastInFull)
  writer.number(last.seq)
  writer.number(last.n)
  writer.wire(last.by)
  writer.number(last.deleted ? 1 : 0)
  writer.wire(last.body)
}

const readLast = (reader: ByteReader, tail: ReadonlyArray<TailEvent>): StoredMessage | null => {
  const form = reader.number()
  if (form === noLast) return null
  if (form === lastInFull) {
    const seq = reader.number()
    const n = reader.number()
    const by = reader.wire()
    const deleted = reader.number() === 1
    return { seq, n, by, deleted, body: reader.wire() }
  }
  return storedForm(eventAt(tail, tail.length - 1 - (form - lastInTail)))
}

/** 0 and the place of its event, which says all of it; or all of it, its seq plus one first. */
const writeId = (id: Remembered, tail: ReadonlyArray<TailEvent>): void => {
  const place = id.seq - (tail[0]?.seq ?? 0)
  const event = tail[place]
  if (event !== undefined && saysAll(event, id)) {
    writer.number(0)
    return writer.number(place)
  }
  writer.number(id.seq + 1)
  writer.wire(id.sender)
  writer.wire(id.cid)
  writer.number(id.time)
  writer.number(id.n)
  writer.number(id.at)
  writer.wire(id.bodyHash)
}

const saysAll = (event: TailEvent, id: Remembered): boolean =>
  event.seq === id.seq &&
  event.cid === id.cid &&
  event.by === id.sender &&
  event.n === id.n &&
  event.at === id.at &&
  event.bodyHash === id.bodyHash &&
  clientIdTime(event.cid) === id.time

const readId = (reader: ByteReader, tail: ReadonlyArray<TailEvent>): Remembered => {
  const form = reader.number()
  if (form === 0) {
    const { at, bodyHash, by, cid, n, seq } = eventAt(tail, reader.number())
    return { sender: by, cid, time: clientIdTime(cid), seq, n, at, bodyHash }
  }
  return {
    seq: form - 1,
    sender: reader.wire(),
    cid: reader.wire(),
    time: reader.number(),
    n: reader.number(),
    at: reader.number(),
    bodyHash: reader.wire()
  }
}

const eventAt = (tail: ReadonlyArray<TailEvent>, place: number): TailEvent => {
  const event = tail[place]
  if (event === undefined) throw new Error("channel snapshot names an event that is not in it")
  return event
}
