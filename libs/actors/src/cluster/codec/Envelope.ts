/**
 * What a NATS message of the cluster is made of: the version it was written in, its kind, and its parts. A node reads
 * the versions it knows and says of another one that it does; within a version parts only grow at their end. So two
 * releases can live side by side: the newer one writes the older version until all can read its own.
 */
import { ByteReader } from "./ByteReader.ts"
import type { ByteWriter } from "./ByteWriter.ts"
import { wireRelease, wireVersion, wireVersionMin } from "./WireRelease.ts"

/** Kinds of messages; never renumbered. */
export const messageKinds = { calls: 1, replies: 2, link: 3, hints: 4, owned: 5, fragment: 6 } as const
export type MessageKind = keyof typeof messageKinds

/** Bytes before the first part. */
export const headerBytes = 2

export const writeHeader = (to: ByteWriter, kind: MessageKind): void => {
  const { more, writes } = wireRelease()
  to.byte(writes)
  to.byte(messageKinds[kind])
  if (writes === wireVersion) return
  const part = to.begin()
  to.raw(more)
  to.end(part)
}

export type Opened =
  | { readonly _tag: "Message"; readonly kind: number; readonly reader: ByteReader }
  /** Of a release that this one can't read. */
  | { readonly _tag: "OtherVersion"; readonly version: number }
  | { readonly _tag: "Garbage" }

export const openMessage = (bytes: Uint8Array): Opened => {
  if (bytes.length < headerBytes) return { _tag: "Garbage" }
  const reader = new ByteReader(bytes)
  const version = reader.byte()
  if (version < wireVersionMin || version > wireRelease().readsUpTo) return { _tag: "OtherVersion", version }
  const kind = reader.byte()
  // Only a test build reads a later version: its header has one part more.
  if (version > wireVersion) reader.leave(reader.enter())
  return { _tag: "Message", kind, reader }
}

/** Each part of a message in turn; one that can't be read is told as undefined, and the next one is read. */
export const readParts = (reader: ByteReader, part: (reader: ByteReader) => void, unreadable: () => void): void => {
  while (reader.left > 0) {
    const outer = reader.enter()
    if (!reader.failed) part(reader)
    if (!reader.leave(outer)) unreadable()
  }
}
