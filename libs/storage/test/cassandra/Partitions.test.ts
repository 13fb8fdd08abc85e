/** Ordered reads over many partitions are one ordered read, whatever lies where. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { allRows, mergeLanes } from "../../src/cassandra/Partitions.ts"
import { answerRowsMax } from "../../src/cassandra/CassandraClient.ts"
import { bucketOf, memberBucket } from "../../src/cassandra/Buckets.ts"

const byNumber = (a: number, b: number): number => a - b

/** A partition that has these rows, and counts how many it was asked for. */
const laneOf = (rows: ReadonlyArray<number>, asked: { rows: number }) => (after: number | undefined, limit: number) =>
  Effect.sync(() => {
    const found = rows.filter((row) => row > (after ?? -1)).slice(0, limit)
    asked.rows += found.length
    return found
  })

describe("Reads over many partitions", () => {
  it("give the first rows of all, in order, whichever partition has them", () => {
    const numbers = fc.uniqueArray(fc.nat(2_000), { minLength: 100, maxLength: 400 })
    const counts = [fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 50 })] as const
    return fc.assert(
      fc.asyncProperty(numbers, ...counts, async (numbers, laneCount, wanted) => {
        const sorted = numbers.toSorted(byNumber)
        // Runs in one lane, so that some lanes are used up long before others.
        const lanes = Array.from({ length: laneCount }, (_, lane) =>
          laneOf(
            sorted.filter((row) => Math.floor(row / 500) % laneCount === lane),
            { rows: 0 }
          )
        )
        const taken: Array<number> = []
        const take = (row: number) => taken.push(row) < wanted
        await Effect.runPromise(mergeLanes({ lanes, order: byNumber, about: wanted, take }))
        assert.deepStrictEqual(taken, sorted.slice(0, wanted))
      })
    )
  })

  it.effect("ask for little more than they give", () =>
    Effect.gen(function* () {
      const asked = { rows: 0 }
      const all = Array.from({ length: 20_000 }, (_, at) => at)
      const buckets = Array.from({ length: 128 }, (): Array<number> => [])
      for (const row of all) buckets[bucketOf(`channel-${row}`, 128)]?.push(row)
      const lanes = buckets.map((rows) => laneOf(rows, asked))
      const taken: Array<number> = []
      yield* mergeLanes({ lanes, order: byNumber, about: 1_000, take: (row) => taken.push(row) < 1_000 })
      assert.deepStrictEqual(taken, all.slice(0, 1_000))
      assert.isBelow(asked.rows, 2_500)
    })
  )

  it.effect("go on until a partition has no more", () =>
    Effect.gen(function* () {
      const all = Array.from({ length: 2 * answerRowsMax }, (_, at) => at)
      assert.deepStrictEqual(yield* allRows(laneOf(all, { rows: 0 })), all)
      assert.deepStrictEqual(yield* allRows(laneOf([], { rows: 0 })), [])
    })
  )

  it("200,000 members lie evenly, the first of a channel together", () => {
    const counts = new Map<number, number>()
    for (let at = 0; at < 200_000; at++) {
      const bucket = memberBucket(`user-${at}`, at + 1)
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1)
    }
    assert.strictEqual(counts.get(0), 1_023)
    assert.strictEqual(counts.size, 65)
    for (const [bucket, count] of counts) if (bucket !== 0) assert.closeTo(count, 199_000 / 64, 400)
  })
})
