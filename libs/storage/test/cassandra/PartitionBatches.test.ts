/** Writes on their way to Cassandra: batches of one partition, bounded in rows and bytes, that shrink where they fail. */
import { assert, describe, it } from "@effect/vitest"
import { Upsert } from "../../src/cassandra/Cql.ts"
import { BatchRows, PartitionBatches } from "../../src/cassandra/PartitionBatches.ts"

const put = new Upsert({ table: "t", key: ["id"], set: ["value"] })
const row = (bytes: number) => put.at(1n, Buffer.alloc(bytes), 1)
const sizes = (batches: PartitionBatches) => batches.batches.map(({ writes }) => writes.length).sort((a, b) => a - b)

describe("Batches of a partition", () => {
  it("a batch has rows of one partition, and no more of them than it may", () => {
    const batches = new PartitionBatches(10)
    for (let i = 0; i < 25; i++) batches.add("a", row(1))
    batches.add("b", row(1))
    assert.deepStrictEqual(sizes(batches), [1, 5, 10, 10])
  })

  it("large rows make smaller batches; one that is too large by itself goes alone", () => {
    const batches = new PartitionBatches(10)
    for (let i = 0; i < 4; i++) batches.add("a", row(60_000))
    batches.add("a", row(1_000_000))
    batches.add("a", row(1))
    assert.deepStrictEqual(sizes(batches), [1, 1, 2, 2])
  })

  it("writes that belong together are in one batch", () => {
    const batches = new PartitionBatches(2)
    batches.add("a", row(1))
    batches.addTogether("a", [row(1), row(1), row(1)])
    assert.deepStrictEqual(sizes(batches), [4])
  })

  it("what is written leads to nothing any more, whoever still has the batches", () => {
    const batches = new PartitionBatches(10)
    for (let i = 0; i < 25; i++) batches.add("a", row(100))
    const held = batches.batches
    batches.letGo()
    assert.isTrue(held.flatMap(({ writes }) => writes).every(({ params }) => params.length === 0))
    assert.deepStrictEqual(batches.batches, [])
  })

  it("batches shrink by half where they fail, and grow again by one", () => {
    const rows = new BatchRows()
    const atFirst = rows.rows
    rows.failed()
    assert.strictEqual(rows.rows, Math.floor(atFirst / 2))
    rows.succeeded()
    assert.strictEqual(rows.rows, Math.floor(atFirst / 2) + 1)
    for (let i = 0; i < 100; i++) rows.failed()
    assert.strictEqual(rows.rows, 5)
    for (let i = 0; i < 1_000; i++) rows.succeeded()
    assert.strictEqual(rows.rows, 100)
  })
})
