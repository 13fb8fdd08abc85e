/**
 * The bytes of a channel's warm state and of its part of a checkpoint: a version, the length of a JSON part, that part,
 * then the bodies of the tail's events as they are (one byte a char), so that no text is escaped twice. A version that
 * is not known is refused; the caller then replays or asks the store.
 */
import type { StoredMessage } from "@parley/storage/MessageStore"
import type { Remembered } from "./IdempotencyWindow.ts"
import type { MembersSnapshot } from "./Members.ts"
import type { TailEvent } from "./Tail.ts"

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

const version = 1
const headerBytes = 5

interface Envelope extends Omit<ChannelSnapshot, "window" | "tail"> {
  readonly bound: number
  readonly ids: ReadonlyArray<
    readonly [sender: string, cid: string, time: number, seq: number, n: number, at: number, hash: string]
  >
  readonly events: ReadonlyArray<
    readonly [
      seq: number,
      kind: string,
      at: number,
      by: string,
      cid: string,
      hash: string,
      n: number,
      target: number,
      hidden: string,
      deleted: number,
      bodyLength: number
    ]
  >
}

export const encodeSnapshot = (snapshot: ChannelSnapshot): Uint8Array => {
  const { window, tail, ...rest } = snapshot
  const envelope: Envelope = {
    ...rest,
    bound: window.bound,
    ids: window.ids.map((id) => [id.sender, id.cid, id.time, id.seq, id.n, id.at, id.bodyHash]),
    events: tail.map((event) => [
      event.seq,
      event.kind,
      event.at,
      event.by,
      event.cid,
      event.bodyHash,
      event.n,
      event.target,
      event.hidden,
      event.deleted ?? 0,
      event.body.length
    ])
  }
  const json = Buffer.from(JSON.stringify(envelope), "utf8")
  const bodies = Buffer.from(tail.map((event) => event.body).join(""), "latin1")
  const bytes = Buffer.allocUnsafe(headerBytes + json.length + bodies.length)
  bytes.writeUInt8(version, 0)
  bytes.writeUInt32LE(json.length, 1)
  json.copy(bytes, headerBytes)
  bodies.copy(bytes, headerBytes + json.length)
  return bytes
}

export const decodeSnapshot = (input: Uint8Array): ChannelSnapshot => {
  const bytes = Buffer.from(input.buffer, input.byteOffset, input.byteLength)
  if (bytes.length < headerBytes || bytes.readUInt8(0) !== version)
    throw new Error("channel snapshot of another version")
  const jsonEnd = headerBytes + bytes.readUInt32LE(1)
  // as: written by encodeSnapshot of the same version; the log record around it carries a hash
  const { bound, ids, events, ...rest } = JSON.parse(bytes.toString("utf8", headerBytes, jsonEnd)) as Envelope
  let at = jsonEnd
  const tail = events.map((row): TailEvent => {
    const [seq, kind, time, by, cid, bodyHash, n, target, hidden, deleted, bodyLength] = row
    const body = bytes.toString("latin1", at, at + bodyLength)
    at += bodyLength
    return { seq, kind, at: time, by, cid, bodyHash, n, target, hidden, body, deleted }
  })
  const remembered = ids.map(([sender, cid, time, seq, n, at, bodyHash]): Remembered => ({
    sender,
    cid,
    time,
    seq,
    n,
    at,
    bodyHash
  }))
  return { ...rest, window: { bound, ids: remembered }, tail }
}
