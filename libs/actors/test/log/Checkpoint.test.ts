import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { decodeCheckpoint, encodeCheckpoint, type Snapshot } from "../../src/log/Checkpoint.ts"

const snapshot: fc.Arbitrary<Snapshot> = fc.record({
  topic: fc.constantFrom("channel", "user"),
  id: fc.string({ unit: fc.constantFrom(..."abc:_-09"), maxLength: 97 }),
  bytes: fc.uint8Array({ maxLength: 200 })
})
const plain = ({ snapshots, lastFull }: ReturnType<typeof decodeCheckpoint>) => ({
  lastFull,
  snapshots: snapshots.map((one) => ({ ...one, bytes: new Uint8Array(one.bytes) }))
})

describe("Checkpoint", () => {
  it("gives back exactly what was put in", () => {
    fc.assert(
      fc.property(fc.array(snapshot, { maxLength: 20 }), fc.maxSafeNat(), (snapshots, lastFull) => {
        assert.deepStrictEqual(plain(decodeCheckpoint(encodeCheckpoint({ snapshots, lastFull }))), {
          lastFull,
          snapshots
        })
      })
    )
  })

  it("stays within its bytes and leaves out from the end, the least active", () => {
    fc.assert(
      fc.property(fc.array(snapshot, { maxLength: 20 }), fc.integer({ min: 16, max: 1_000 }), (snapshots, bytesMax) => {
        const bytes = encodeCheckpoint({ snapshots }, bytesMax)
        assert.isAtMost(bytes.length, bytesMax)
        const kept = plain(decodeCheckpoint(bytes)).snapshots
        assert.deepStrictEqual(kept, snapshots.slice(0, kept.length))
        const left = snapshots[kept.length]
        if (left !== undefined) assert.isAbove(bytes.length + 6 + left.id.length + left.bytes.length, bytesMax)
      })
    )
  })

  it("recognises what is cut off, goes on, or is of another version", () => {
    const bytes = encodeCheckpoint({
      snapshots: [
        { topic: "user", id: "ann", bytes: Uint8Array.of(1, 2, 3) },
        { topic: "channel", id: "t:c", bytes: Uint8Array.of(4) }
      ]
    })
    for (let length = 0; length < bytes.length; length++)
      assert.throws(() => decodeCheckpoint(bytes.subarray(0, length)))
    assert.throws(() => decodeCheckpoint(Buffer.concat([bytes, Buffer.alloc(1)])))
    assert.throws(() => decodeCheckpoint(Uint8Array.of(2, ...bytes.subarray(1))))
    assert.strictEqual(decodeCheckpoint(bytes).snapshots.length, 2)
  })
})
