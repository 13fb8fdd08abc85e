/** What statements can be made: none that would write without a timestamp, delete, filter, or read a whole table. */
import { assert, describe, it } from "@effect/vitest"
import {
  generationLimit,
  placeOf,
  recountedPlaceOf,
  recountedTimestampOf,
  isPlace,
  long,
  select,
  seqLimit,
  timestampBytes,
  timestampOf,
  Upsert
} from "../../src/cassandra/Cql.ts"
import { recountsMax } from "../../src/Directory.ts"

describe("Statements for Cassandra", () => {
  it("†32 a write has a timestamp, and a value for each column", () => {
    const upsert = new Upsert({ table: "t", key: ["a", "b"], set: ["c"], ttlSeconds: 60 })
    assert.strictEqual(upsert.cql, "UPDATE t USING TIMESTAMP ? AND TTL 60 SET c = ? WHERE a = ? AND b = ?")
    assert.deepStrictEqual(upsert.at(7n, "c", "a", 1), {
      query: upsert.cql,
      params: [7n, "c", "a", 1],
      partition: { from: 2, to: 3 }
    })
    assert.throws(() => upsert.at(7n, "c", "a"), /2 values/)
    assert.throws(() => new Upsert({ table: "t", key: ["a"], set: ["c = 1 WHERE x"] }), /not a name/)
  })

  it("a read is of a partition, and changes nothing", () => {
    assert.throws(() => select("DELETE FROM t WHERE a = ?"), TypeError)
    assert.throws(() => select("SELECT * FROM t"), TypeError)
    assert.throws(() => select("SELECT * FROM t WHERE b = ? allow  filtering"), TypeError)
  })

  it("†32 timestamps are exact up to the last position, and ordered as positions are", () => {
    assert.strictEqual(timestampOf({ generation: 1, seq: 1 }), 2n ** 40n + 1n)
    const last = { generation: generationLimit - 1, seq: seqLimit - 1 }
    assert.isTrue(isPlace(last))
    assert.strictEqual(timestampOf(last), 2n ** 59n - 2n)
    assert.deepStrictEqual(placeOf(timestampOf(last)), last)
    const counted = { ...last, recounts: recountsMax }
    assert.strictEqual(recountedTimestampOf(counted), 2n ** 63n - 17n)
    assert.deepStrictEqual(recountedPlaceOf(recountedTimestampOf(counted)), counted)
    const later = recountedTimestampOf({ generation: 1, seq: 8, recounts: 0 })
    assert.isTrue(later > recountedTimestampOf({ generation: 1, seq: 7, recounts: recountsMax }))
    assert.isTrue(timestampOf({ generation: 2, seq: 1 }) > timestampOf({ generation: 1, seq: seqLimit - 1 }))
    for (const place of [last, { generation: 1, seq: 2 ** 32 }, { generation: 77, seq: 123_456_789_012 }]) {
      assert.strictEqual(timestampBytes(place).readBigInt64BE(), timestampOf(place))
    }
    for (const value of [0, 1, 2 ** 31, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
      assert.strictEqual(long(value).readBigInt64BE(), BigInt(value))
    }
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) assert.throws(() => long(value), RangeError)
    for (const place of [
      { generation: generationLimit, seq: 1 },
      { generation: 1, seq: seqLimit },
      { generation: 1, seq: 0 },
      { generation: 1, seq: 1.5 },
      { generation: -1, seq: 1 }
    ]) {
      assert.isFalse(isPlace(place))
    }
  })
})
