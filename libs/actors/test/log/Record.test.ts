import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import {
  decodeRecord,
  encodeBody,
  encodeRecord,
  type RecordHeader,
  recordFrameBytes,
  RecordWriter
} from "../../src/log/Record.ts"
import { anyEntry, entry, eventsHeader as header } from "./Entries.ts"

const place = fc.record({ position: fc.maxSafeNat(), number: fc.maxSafeNat() })
const anyHeader: fc.Arbitrary<RecordHeader> = fc.record({
  kind: fc.constant("events" as const),
  shard: fc.nat({ max: 2 ** 32 - 1 }),
  epoch: fc.maxSafeNat(),
  number: fc.maxSafeNat(),
  previous: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
  checkpoint: place,
  full: place
})
describe("Record", () => {
  it("gives back exactly what was put in", () => {
    fc.assert(
      fc.property(anyHeader, fc.array(anyEntry, { maxLength: 12 }), (header, entries) => {
        const { bytes, hash } = encodeRecord(header, entries)
        const decoded = Result.getOrThrow(decodeRecord(bytes))
        assert.deepStrictEqual(decoded, { ...header, hash, entries, body: decoded.body })
        assert.strictEqual(decoded.body.length, 0)
      })
    )
  })

  it("gives back the body of an epoch record or a checkpoint", () => {
    fc.assert(
      fc.property(
        anyHeader,
        fc.constantFrom("epoch", "full", "incremental"),
        fc.uint8Array({ maxLength: 300 }),
        (header, kind, body) => {
          const { bytes, hash } = encodeBody({ ...header, kind }, body)
          const decoded = Result.getOrThrow(decodeRecord(bytes))
          assert.deepStrictEqual(
            { ...decoded, body: new Uint8Array(decoded.body) },
            { ...header, kind, hash, entries: [], body }
          )
        }
      )
    )
  })

  it("†24 recognises every flipped bit", () => {
    const { bytes } = encodeRecord(header, [entry(1), entry(2, { hidden: '{"device":"phöne"}' })])
    for (let index = 0; index < bytes.length; index++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = Uint8Array.from(bytes)
        damaged[index] = (damaged[index] ?? 0) ^ (1 << bit)
        assert.isTrue(Result.isFailure(decodeRecord(damaged)), `byte ${index}, bit ${bit}`)
      }
    }
  })

  it("†24 recognises a record that is cut off or goes on", () => {
    const { bytes } = encodeRecord(header, [entry(1), entry(2)])
    for (let length = 0; length < bytes.length; length++) {
      assert.isTrue(Result.isFailure(decodeRecord(bytes.subarray(0, length))), `${length} bytes`)
    }
    assert.isTrue(Result.isFailure(decodeRecord(Buffer.concat([bytes, Buffer.alloc(1)]))))
    assert.isTrue(Result.isSuccess(decodeRecord(bytes)))
  })

  it("†19 has another hash for the same entries under another epoch, number or predecessor", () => {
    const hashes = [
      header,
      { ...header, epoch: 8 },
      { ...header, number: 13 },
      { ...header, previous: "\u0001".repeat(16) }
    ].map((header) => encodeRecord(header, [entry(1)]).hash)
    assert.strictEqual(new Set(hashes).size, 4)
  })

  it("reads a record that lies anywhere in a larger buffer", () => {
    const { bytes } = encodeRecord(header, [entry(5)])
    const larger = Buffer.concat([Buffer.alloc(3, 1), bytes, Buffer.alloc(5, 2)])
    const decoded = Result.getOrThrow(decodeRecord(larger.subarray(3, 3 + bytes.length)))
    assert.deepStrictEqual(decoded.entries, [entry(5)])
  })

  it("takes entries up to its bound, counts every byte, and begins anew after a reset", () => {
    const recordBytesMax = 40_000
    const writer = new RecordWriter(recordBytesMax, 256)
    assert.strictEqual(writer.bytes, recordFrameBytes)
    let count = 0
    while (writer.add(entry(count + 1))) count++
    const { bytes } = writer.seal(header)
    assert.strictEqual(bytes.length, writer.bytes)
    assert.isAtMost(bytes.length, recordBytesMax)
    assert.isAbove(bytes.length, recordBytesMax - 1_000)
    assert.strictEqual(Result.getOrThrow(decodeRecord(bytes)).entries.length, count)
    writer.reset()
    assert.isTrue(writer.add(entry(99)))
    const again = writer.seal(header).bytes
    assert.deepStrictEqual(Result.getOrThrow(decodeRecord(again)).entries, [entry(99)])
    assert.strictEqual(Result.getOrThrow(decodeRecord(bytes)).entries.length, count, "sealed bytes are not used again")
  })

  it("refuses ids that its layout can't hold", () => {
    assert.throws(() => encodeRecord(header, [entry(1, { id: "x".repeat(256) })]), RangeError)
  })

  it("writes the same bytes after its memory grew and was given back", () => {
    const writer = new RecordWriter(500_000)
    const { bytes } = encodeRecord(header, [entry(1)])
    const large = entry(2, { body: "x".repeat(200_000) })
    for (const entries of [[large, large], ...Array.from({ length: 8 }, () => [entry(1)]), [large]]) {
      for (const one of entries) assert.isTrue(writer.add(one))
      assert.deepStrictEqual(writer.seal(header).bytes, encodeRecord(header, entries).bytes)
      writer.reset()
    }
    writer.add(entry(1))
    assert.deepStrictEqual(writer.seal(header).bytes, bytes)
  })
})
