/**
 * The bytes of a session at rest: a version, then JSON. A channel's id stands in it once, and personal events as rows
 * that their bodies are made of again: ten thousand users who are only connected are ten thousand of these in memory
 * (bench `idle`). Version 1 had everything spelled out and is still read; an unknown version is refused.
 */
import type { Remembered } from "../channel/IdempotencyWindow.ts"
import { type Personal, personalBody } from "./PersonalEvent.ts"

export interface SessionSnapshot {
  readonly user: string
  readonly generation: number
  readonly userSeq: number
  readonly at: number
  readonly channels: ReadonlyArray<readonly [channel: string, since: number]>
  readonly left: ReadonlyArray<readonly [channel: string, seq: number]>
  readonly cursors: ReadonlyArray<readonly [channel: string, generation: number, seq: number]>
  /** Channels whose cursors the cursor store may not have. */
  readonly dirty: ReadonlyArray<string>
  readonly mentions: ReadonlyArray<readonly [channel: string, from: number, seqs: ReadonlyArray<number>]>
  readonly revokedBefore: number
  readonly window: { readonly bound: number; readonly ids: ReadonlyArray<Remembered> }
  /** Bodies of the newest events, the last one that of `userSeq`. */
  readonly personal: ReadonlyArray<string>
}

const spelledOut = 1
const version = 2

/** Of a personal event: time since the one before, kind, and what the kind has. A body that is not made so stands as it is. */
type Row = readonly [after: number, kind: number, ...rest: ReadonlyArray<number | string>] | string

interface Packed {
  readonly u: string
  readonly g: number
  readonly s: number
  readonly a: number
  readonly r: number
  /** The channels that are named anywhere; the rest names them by their place here. */
  readonly n: ReadonlyArray<string>
  /** Flat: place and seq by turns, and so on. */
  readonly c: ReadonlyArray<number>
  readonly l: ReadonlyArray<number>
  readonly k: ReadonlyArray<number>
  readonly d: ReadonlyArray<number>
  readonly m: ReadonlyArray<readonly [place: number, from: number, seqs: ReadonlyArray<number>]>
  readonly w: readonly [
    bound: number,
    ...ids: ReadonlyArray<
      readonly [sender: string, cid: string, time: number, seq: number, n: number, at: number, hash: string]
    >
  ]
  readonly p: ReadonlyArray<Row>
}

const kinds = ["added", "removed", "mentioned", "marked_unread", "revoked"] as const

export const encodeSession = (snapshot: SessionSnapshot): Uint8Array => {
  const places = new Map<string, number>()
  const place = (channel: string): number => {
    const known = places.get(channel) ?? places.size
    places.set(channel, known)
    return known
  }
  const { at, generation, revokedBefore, user, userSeq, window } = snapshot
  const rows = {
    c: snapshot.channels.flatMap(([channel, since]) => [place(channel), since]),
    l: snapshot.left.flatMap(([channel, seq]) => [place(channel), seq]),
    k: snapshot.cursors.flatMap(([channel, ...cursor]) => [place(channel), ...cursor]),
    d: snapshot.dirty.map(place),
    m: snapshot.mentions.map(([channel, from, seqs]) => [place(channel), from, seqs] as const),
    p: packPersonal(snapshot, place)
  }
  const ids = window.ids.map((id) => [id.sender, id.cid, id.time, id.seq, id.n, id.at, id.bodyHash] as const)
  const packed: Packed = {
    u: user,
    g: generation,
    s: userSeq,
    a: at,
    r: revokedBefore,
    n: [...places.keys()],
    w: [window.bound, ...ids],
    ...rows
  }
  const json = Buffer.from(JSON.stringify(packed), "utf8")
  const bytes = Buffer.allocUnsafe(json.length + 1)
  bytes.writeUInt8(version, 0)
  json.copy(bytes, 1)
  return bytes
}

const packPersonal = (
  { personal, userSeq }: SessionSnapshot,
  place: (channel: string) => number
): ReadonlyArray<Row> => {
  let before = 0
  return personal.map((body, index) => {
    // as: bodies are made by personalBody; one that was made otherwise would not come out the same, and stays as it is
    const event = JSON.parse(body) as Personal & { readonly at: number }
    const kind = kinds.indexOf(event.kind)
    if (kind < 0 || personalBody(userSeq - personal.length + index + 1, event.at, plain(event)) !== body) return body
    const row: Row = [event.at - before, kind, ...ownFields(event, place)]
    before = event.at
    return row
  })
}

/** The fields of its kind, in their order. */
const plain = (event: Personal): Personal => {
  const { kind } = event
  switch (kind) {
    case "added":
    case "removed":
      return { kind, channel: event.channel, seq: event.seq }
    case "mentioned":
      return { kind, channel: event.channel, seq: event.seq, by: event.by }
    case "marked_unread":
      return { kind, channel: event.channel, seq: event.seq, cid: event.cid }
    case "revoked":
      return { kind, before: event.before, cid: event.cid }
  }
}

const ownFields = (event: Personal, place: (channel: string) => number): ReadonlyArray<number | string> => {
  switch (event.kind) {
    case "added":
    case "removed":
      return [place(event.channel), event.seq]
    case "mentioned":
      return [place(event.channel), event.seq, event.by]
    case "marked_unread":
      return [place(event.channel), event.seq, event.cid]
    case "revoked":
      return [event.before, event.cid]
  }
}

/** All but the personal events, which are most of it and which a device that was away for a moment does not ask for. */
export type SessionRest = Omit<SessionSnapshot, "personal"> & { readonly personalCount: number }

export const decodeRest = (bytes: Uint8Array): SessionRest => {
  const read = readSession(bytes)
  if (!("n" in read)) return { ...read, personalCount: read.personal.length }
  const { a, c, d, g, k, l, m, p, r, s, u, w } = read
  const channel = channelsOf(read)
  const [bound, ...ids] = w
  return {
    user: u,
    generation: g,
    userSeq: s,
    at: a,
    channels: pairs(c, channel),
    left: pairs(l, channel),
    cursors: Array.from({ length: k.length / 3 }, (_, i) => [
      channel(k[i * 3] ?? -1),
      k[i * 3 + 1] ?? 0,
      k[i * 3 + 2] ?? 0
    ]),
    dirty: d.map(channel),
    mentions: m.map(([place, from, seqs]) => [channel(place), from, seqs]),
    revokedBefore: r,
    window: {
      bound,
      ids: ids.map(([sender, cid, time, seq, idN, at, bodyHash]) => ({ sender, cid, time, seq, n: idN, at, bodyHash }))
    },
    personalCount: p.length
  }
}

export const decodePersonal = (bytes: Uint8Array): ReadonlyArray<string> => {
  const read = readSession(bytes)
  return "n" in read ? unpackPersonal(read.s, read.p, channelsOf(read)) : read.personal
}

const readSession = (input: Uint8Array): SessionSnapshot | Packed => {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  const found = bytes.length === 0 ? 0 : bytes.readUInt8(0)
  if (found !== spelledOut && found !== version) throw new Error("session snapshot of another version")
  // as: written by the encoder of that version; the log record or row around it vouches for the bytes
  return JSON.parse(bytes.toString("utf8", 1)) as SessionSnapshot | Packed
}

const channelsOf =
  ({ n }: Packed) =>
  (place: number): string => {
    const name = n[place]
    if (name === undefined) throw new Error("session snapshot names a channel that is not in it")
    return name
  }

const pairs = (flat: ReadonlyArray<number>, channel: (place: number) => string) =>
  Array.from({ length: flat.length / 2 }, (_, i) => [channel(flat[i * 2] ?? -1), flat[i * 2 + 1] ?? 0] as const)

const unpackPersonal = (
  userSeq: number,
  rows: ReadonlyArray<Row>,
  channel: (place: number) => string
): ReadonlyArray<string> => {
  let at = 0
  return rows.map((row, index) => {
    if (typeof row === "string") return row
    const [after, kind, first, second, third] = row
    at += after
    return personalBody(userSeq - rows.length + index + 1, at, fieldsOf(kinds[kind], channel, first, second, third))
  })
}

const fieldsOf = (
  kind: (typeof kinds)[number] | undefined,
  channel: (place: number) => string,
  ...[first, second, third]: ReadonlyArray<number | string | undefined>
): Personal => {
  const text = (value: number | string | undefined) => String(value)
  switch (kind) {
    case "added":
    case "removed":
      return { kind, channel: channel(Number(first)), seq: Number(second) }
    case "mentioned":
      return { kind, channel: channel(Number(first)), seq: Number(second), by: text(third) }
    case "marked_unread":
      return { kind, channel: channel(Number(first)), seq: Number(second), cid: text(third) }
    case "revoked":
      return { kind, before: Number(first), cid: text(second) }
    case undefined:
      throw new Error("session snapshot has a kind of event that is not known")
  }
}
