import { assert, it } from "@effect/vitest"
import * as fc from "fast-check"
import { LogBatch, Outcome, packBatch } from "../../src/sqlite/LogBatch.ts"
import {
  isShard,
  positionMax,
  positionOfKey,
  recordChecksum,
  recordKey,
  shardOfKey,
  shardsMax
} from "../../src/sqlite/RecordRow.ts"

const record = fc.record({
  shard: fc.integer({ min: 0, max: shardsMax - 1 }),
  expectedLast: fc.integer({ min: 0, max: positionMax }),
  reserved: fc.boolean(),
  bytes: fc.uint8Array({ maxLength: 300 })
})

it("a batch gives back what was packed, also in a buffer that was used before", () => {
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 20 }),
      fc.uint8Array({ maxLength: 5_000 }),
      (records, old) => {
        const spare = new ArrayBuffer(old.length)
        new Uint8Array(spare).set(old)
        const batch = new LogBatch(packBatch(records, spare))
        assert.deepStrictEqual(
          Array.from({ length: batch.count }, (_, i) => ({
            shard: batch.shard(i),
            expectedLast: batch.expectedLast(i),
            reserved: batch.reserved(i),
            bytes: batch.bytes(i)
          })),
          records
        )
        for (let i = 0; i < batch.count; i++) batch.setOutcome(i, Outcome.committed, i + 1)
        assert.deepStrictEqual(batch.bytes(records.length - 1), records.at(-1)?.bytes)
        assert.deepStrictEqual(batch.outcome(0, ""), { _tag: "Committed", position: 1 })
      }
    )
  )
})

it("a row's key holds shard and position exactly", () => {
  fc.assert(
    fc.property(fc.nat({ max: shardsMax - 1 }), fc.integer({ min: 0, max: positionMax }), (shard, position) => {
      const key = recordKey(shard, position)
      assert.isTrue(Number.isSafeInteger(key))
      assert.deepStrictEqual([shardOfKey(key), positionOfKey(key)], [shard, position])
    })
  )
  assert.deepStrictEqual([0, shardsMax - 1, -1, shardsMax, 0.5].map(isShard), [true, true, false, false, false])
})

it("a record's checksum depends on its bytes and on its place", () => {
  const bytes = Buffer.from("same bytes")
  const sums = [recordKey(1, 1), recordKey(1, 2), recordKey(2, 1)].map((key) => recordChecksum(key, bytes))
  assert.strictEqual(new Set([...sums, recordChecksum(recordKey(1, 1), Buffer.from("same bytex"))]).size, 4)
})
