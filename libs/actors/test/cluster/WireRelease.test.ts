/** Two releases side by side: what the next one writes in this one's version is read here, its own version only there. */
import { afterEach, assert, describe, it } from "@effect/vitest"
import { ByteWriter } from "../../src/cluster/codec/ByteWriter.ts"
import { messageKinds, openMessage, readParts, writeHeader } from "../../src/cluster/codec/Envelope.ts"
import { readHint, writeHint } from "../../src/cluster/codec/HintCodec.ts"
import { readLinkMessage, writeLinkMessage } from "../../src/cluster/codec/LinkCodec.ts"
import { speakNextWire, wireVersion } from "../../src/cluster/codec/WireRelease.ts"

let undo = () => {}
afterEach(() => undo())

const hints = (): Uint8Array => {
  const writer = new ByteWriter()
  writeHeader(writer, "hints")
  writeHint(writer, { _tag: "Committed", shards: [3, 4] })
  writeHint(writer, { _tag: "Damaged", shard: 5, what: "hole" })
  return writer.take()
}
const link = (): Uint8Array => {
  const writer = new ByteWriter()
  writeHeader(writer, "link")
  writeLinkMessage(writer, linkMessage)
  return writer.take()
}
const linkMessage = {
  owner: "a",
  start: 7,
  edge: "b",
  number: 2,
  items: [],
  digest: [{ shard: 3, epoch: 8, interestVersion: 1 }]
}

const read = (bytes: Uint8Array) => {
  const opened = openMessage(bytes)
  if (opened._tag !== "Message") return opened._tag
  const found: Array<unknown> = []
  if (opened.kind === messageKinds.link) return readLinkMessage(opened.reader)
  readParts(
    opened.reader,
    (reader) => found.push(readHint(reader)),
    () => found.push("unreadable")
  )
  return found
}
const said = [
  { _tag: "Committed", shards: [3, 4] },
  { _tag: "Damaged", shard: 5, what: "hole" }
]

describe("the release after this one", () => {
  it("is read where it writes this one's version, though it says more", () => {
    const [ours, ourLink] = [hints(), link()]
    undo = speakNextWire(false)
    const [theirs, theirLink] = [hints(), link()]
    assert.isAbove(theirs.length, ours.length)
    assert.isAbove(theirLink.length, ourLink.length)
    assert.deepStrictEqual([read(ours), read(ourLink)], [said, linkMessage])
    undo()
    assert.deepStrictEqual([read(theirs), read(theirLink)], [said, linkMessage])
  })

  it("reads its own version as well, which this one says that it can't", () => {
    undo = speakNextWire(true)
    const [theirs, theirLink] = [hints(), link()]
    assert.strictEqual(theirs[0], wireVersion + 1)
    assert.deepStrictEqual([read(theirs), read(theirLink)], [said, linkMessage])
    undo()
    assert.deepStrictEqual([read(theirs), read(theirLink)], ["OtherVersion", "OtherVersion"])
  })
})
