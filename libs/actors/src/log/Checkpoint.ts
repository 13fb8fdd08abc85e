/**
 * A checkpoint's body: compact committed states of a shard's entities, most active first, as many as fit. What a
 * snapshot's bytes mean is the entities' business; an entity that did not fit wakes from the store. A full checkpoint
 * stands alone; an incremental one has what changed since the last full one and names it.
 */
import type { Topic } from "./Entry.ts"
import { recordBytesMaxDefault } from "./Record.ts"
import { RecordDamaged } from "./RecordDamaged.ts"

/** A checkpoint is one record, and leaves some room in it. */
export const checkpointBytesMax = recordBytesMaxDefault - 100_000

export interface Snapshot {
  readonly topic: Topic
  /** At most 255 one-byte characters: a channel id or user id. */
  readonly id: string
  readonly bytes: Uint8Array
}

export interface Checkpoint {
  /** Number of the full checkpoint's record that this one adds to; 0: it is a full one itself. */
  readonly lastFull: number
  /** Most active first: those at the end are left out first. */
  readonly snapshots: ReadonlyArray<Snapshot>
}

const version = 1
const headerBytes = 16
const snapshotFixedBytes = 6
const topicCodes = { channel: 1, user: 2 } as const

/** What a snapshot takes of a checkpoint's bytes. */
export const snapshotBytes = (snapshot: Snapshot): number =>
  snapshotFixedBytes + snapshot.id.length + snapshot.bytes.length

/** Takes snapshots from the front until one does not fit; `decodeCheckpoint` says which those are. */
export const encodeCheckpoint = (
  checkpoint: { readonly snapshots: ReadonlyArray<Snapshot>; readonly lastFull?: number },
  bytesMax: number = checkpointBytesMax
): Uint8Array => {
  let size = headerBytes
  let count = 0
  for (const snapshot of checkpoint.snapshots) {
    if (snapshot.id.length > 255) throw new RangeError("a snapshot's id is longer than 255 bytes")
    if (size + snapshotBytes(snapshot) > bytesMax) break
    size += snapshotBytes(snapshot)
    count++
  }
  const bytes = Buffer.allocUnsafeSlow(size)
  bytes.writeUInt32LE(version, 0)
  bytes.writeUInt32LE(count, 4)
  bytes.writeDoubleLE(checkpoint.lastFull ?? 0, 8)
  let at = headerBytes
  for (const { bytes: state, id, topic } of checkpoint.snapshots.slice(0, count)) {
    bytes.writeUInt8(topicCodes[topic], at)
    bytes.writeUInt8(id.length, at + 1)
    bytes.writeUInt32LE(state.length, at + 2)
    bytes.write(id, at + snapshotFixedBytes, "latin1")
    bytes.set(state, at + snapshotFixedBytes + id.length)
    at += snapshotFixedBytes + id.length + state.length
  }
  return bytes
}

/**
 * Throws `RecordDamaged` if these are no checkpoint of a version known here. The record's hash was checked before, so
 * that is a newer owner's, not damage on the disk. Snapshots share memory with `body`.
 */
export const decodeCheckpoint = (body: Uint8Array): Checkpoint => {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  if (bytes.length < headerBytes || bytes.readUInt32LE(0) !== version) {
    throw new RecordDamaged({ what: "not a checkpoint of a version known here" })
  }
  const count = bytes.readUInt32LE(4)
  const snapshots: Array<Snapshot> = []
  let at = headerBytes
  for (let index = 0; index < count; index++) {
    if (at + snapshotFixedBytes > bytes.length) throw new RecordDamaged({ what: "a snapshot begins beyond the end" })
    const topicCode = bytes.readUInt8(at)
    if (topicCode !== 1 && topicCode !== 2) throw new RecordDamaged({ what: `a snapshot has topic code ${topicCode}` })
    const idEnd = at + snapshotFixedBytes + bytes.readUInt8(at + 1)
    const end = idEnd + bytes.readUInt32LE(at + 2)
    if (end > bytes.length) throw new RecordDamaged({ what: "a snapshot ends beyond the checkpoint's end" })
    snapshots.push({
      topic: topicCode === 1 ? "channel" : "user",
      id: bytes.toString("latin1", at + snapshotFixedBytes, idEnd),
      bytes: bytes.subarray(idEnd, end)
    })
    at = end
  }
  if (at !== bytes.length) throw new RecordDamaged({ what: "bytes are left after the last snapshot" })
  return { lastFull: bytes.readDoubleLE(8), snapshots }
}
