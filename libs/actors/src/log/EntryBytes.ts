/**
 * The binary form of one entry inside a record: a fixed part (lengths and numbers), then the strings one after the
 * other. Ids, client id, body hash and body are one-byte strings and are written as they are; `hidden` is UTF-8.
 *
 * Hot path: written without an object an entry, straight into the open batch (bench `send`). It checks what would
 * corrupt the layout, nothing else: ids are checked where they come in.
 */
import type { Entry } from "./Entry.ts"
import { RecordDamaged } from "./RecordDamaged.ts"

/** Part of the format: append only, never reorder. Code 0 stands for a kind that is spelled out. */
const kinds = [
  "",
  "message",
  "edit",
  "delete",
  "created",
  "updated",
  "added",
  "removed",
  "fanout",
  "mentioned",
  "marked_unread",
  "revoked"
] as const
const kindCodes = new Map<string, number>(kinds.map((kind, code) => [kind, code]))

const topicCodes = { channel: 1, user: 2 } as const

/** Bytes of the fixed part. */
export const entryFixedBytes = 56
/** Ids, kinds, client ids and body hashes carry their length in one byte. */
export const entryNameBytesMax = 255

/** An upper bound of the entry's bytes, exact where `hidden` is ASCII and the kind is not a known one. */
export const entryBytesMax = (entry: Entry): number =>
  entryFixedBytes +
  entry.id.length +
  entry.kind.length +
  entry.by.length +
  entry.cid.length +
  entry.bodyHash.length +
  entry.hidden.length * 3 +
  entry.body.length

/** Writes the entry at `start` and returns its end. The caller has made room for `entryBytesMax`. */
export const writeEntry = (bytes: Buffer, view: DataView, start: number, entry: Entry): number => {
  const { id, by, cid, bodyHash, hidden, body } = entry
  const code = kindCodes.get(entry.kind) ?? 0
  const kind = code === 0 ? entry.kind : ""
  if ((id.length | by.length | cid.length | bodyHash.length | kind.length) > entryNameBytesMax) {
    throw new RangeError("an entry's id, by, cid, bodyHash or kind is longer than 255 bytes")
  }
  view.setUint8(start, topicCodes[entry.topic])
  view.setUint8(start + 1, code)
  view.setUint8(start + 2, id.length)
  view.setUint8(start + 3, kind.length)
  view.setUint8(start + 4, by.length)
  view.setUint8(start + 5, cid.length)
  view.setUint8(start + 6, bodyHash.length)
  view.setUint8(start + 7, 0)
  view.setUint32(start + 12, body.length, true)
  view.setFloat64(start + 16, entry.generation, true)
  view.setFloat64(start + 24, entry.seq, true)
  view.setFloat64(start + 32, entry.at, true)
  view.setFloat64(start + 40, entry.n, true)
  view.setFloat64(start + 48, entry.target, true)
  // One call for all short strings: the call costs more than the bytes.
  const names = id + kind + by + cid + bodyHash
  let at = start + entryFixedBytes
  at += bytes.write(names, at, "latin1")
  const hiddenBytes = hidden === "" ? 0 : bytes.write(hidden, at, "utf8")
  view.setUint32(start + 8, hiddenBytes, true)
  at += hiddenBytes
  return at + bytes.write(body, at, "latin1")
}

/** Reads `count` entries that fill `bytes` from `start` to `end` exactly; anything else is damage. */
export const readEntries = (bytes: Buffer, view: DataView, start: number, end: number, count: number): Array<Entry> => {
  const entries: Array<Entry> = []
  let at = start
  for (let index = 0; index < count; index++) {
    if (at + entryFixedBytes > end) throw new RecordDamaged({ what: "an entry begins beyond the record's end" })
    const next =
      at +
      entryFixedBytes +
      view.getUint8(at + 2) +
      view.getUint8(at + 3) +
      view.getUint8(at + 4) +
      view.getUint8(at + 5) +
      view.getUint8(at + 6) +
      view.getUint32(at + 8, true) +
      view.getUint32(at + 12, true)
    if (next > end) throw new RecordDamaged({ what: "an entry ends beyond the record's end" })
    entries.push(readEntry(bytes, view, at))
    at = next
  }
  if (at !== end) throw new RecordDamaged({ what: "bytes are left after the last entry" })
  return entries
}

const readEntry = (bytes: Buffer, view: DataView, start: number): Entry => {
  const topicCode = view.getUint8(start)
  if (topicCode !== 1 && topicCode !== 2) throw new RecordDamaged({ what: `an entry has topic code ${topicCode}` })
  const code = view.getUint8(start + 1)
  const known = kinds[code]
  if (known === undefined) throw new RecordDamaged({ what: `an entry has kind code ${code}` })
  const idEnd = start + entryFixedBytes + view.getUint8(start + 2)
  const kindEnd = idEnd + view.getUint8(start + 3)
  const byEnd = kindEnd + view.getUint8(start + 4)
  const cidEnd = byEnd + view.getUint8(start + 5)
  const bodyHashEnd = cidEnd + view.getUint8(start + 6)
  const hiddenEnd = bodyHashEnd + view.getUint32(start + 8, true)
  return {
    topic: topicCode === 1 ? "channel" : "user",
    id: bytes.toString("latin1", start + entryFixedBytes, idEnd),
    kind: code === 0 ? bytes.toString("latin1", idEnd, kindEnd) : known,
    by: bytes.toString("latin1", kindEnd, byEnd),
    cid: bytes.toString("latin1", byEnd, cidEnd),
    bodyHash: bytes.toString("latin1", cidEnd, bodyHashEnd),
    generation: view.getFloat64(start + 16, true),
    seq: view.getFloat64(start + 24, true),
    at: view.getFloat64(start + 32, true),
    n: view.getFloat64(start + 40, true),
    target: view.getFloat64(start + 48, true),
    hidden: bytes.toString("utf8", bodyHashEnd, hiddenEnd),
    body: bytes.toString("latin1", hiddenEnd, hiddenEnd + view.getUint32(start + 12, true))
  }
}
