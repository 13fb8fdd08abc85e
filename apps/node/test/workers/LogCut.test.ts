import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { turn } from "../../src/workers/LogCut.ts"

describe("rounds of the log's cuts", () => {
  it("are bounded, and look at every shard in turn", () => {
    fc.assert(
      fc.property(fc.nat(300), fc.integer({ min: 1, max: 20 }), fc.nat(1_000), (count, most, first) => {
        const shards = Array.from({ length: count }, (_, at) => at * 2 + 1)
        const seen: Array<number> = []
        for (let round = first; round < first + Math.ceil(count / most); round++) {
          const some = turn(shards, round, most)
          expect(some.length).toBeLessThanOrEqual(most)
          seen.push(...some)
        }
        expect(seen.toSorted((a, b) => a - b)).toEqual(shards)
      })
    )
  })
})
