/** Entries to test with, ordinary and arbitrary. */
import { toWire } from "@parley/protocol/WireText"
import * as fc from "fast-check"
import type { Entry } from "../../src/log/Entry.ts"
import { noHash, noPlace, type RecordHeader } from "../../src/log/Record.ts"

export const eventsHeader: RecordHeader = {
  kind: "events",
  shard: 3,
  epoch: 7,
  number: 12,
  previous: noHash,
  checkpoint: noPlace,
  full: noPlace
}

export const entry = (seq: number, over: Partial<Entry> = {}): Entry => ({
  topic: "channel",
  id: "team:general",
  generation: 0,
  seq,
  kind: "message",
  at: 1_790_000_000_000 + seq,
  by: "ann",
  cid: `0199a000-0000-7000-8000-${String(seq).padStart(12, "0")}`,
  bodyHash: "0123456789abcdef",
  n: seq,
  target: 0,
  hidden: "",
  body: toWire(JSON.stringify({ kind: "message", seq, text: `hello ${seq}` })),
  ...over
})

const oneByte = (maxLength: number) =>
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)), maxLength })
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER })

export const anyEntry: fc.Arbitrary<Entry> = fc.record({
  topic: fc.constantFrom("channel", "user"),
  id: oneByte(97),
  generation: count,
  seq: count,
  kind: fc.oneof(fc.constantFrom("message", "edit", "revoked", "fanout"), oneByte(32)),
  at: count,
  by: oneByte(64),
  cid: oneByte(36),
  bodyHash: oneByte(44),
  n: count,
  target: count,
  hidden: fc.string({ unit: "binary", maxLength: 60 }),
  body: fc.string({ unit: "binary", maxLength: 300 }).map(toWire)
})
