import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { cutPartMin, turn, worthCutting } from "../../src/workers/LogCut.ts"

describe("rounds of the log's cuts", () => {
  it("a shard is cut a few times, however often it is looked at; where room is scarce always", () => {
    const last = 1_000_000
    const cutsOf = (scarce: boolean, step: number) => {
      let from = 0
      let cuts = 0
      for (let upTo = 0; upTo < last; upTo += step) {
        if (!worthCutting(from, upTo, last, scarce)) continue
        from = upTo
        cuts++
      }
      return { cuts, left: last - from }
    }
    expect(cutsOf(false, 1_000).cuts).toBeLessThanOrEqual(Math.ceil(Math.log(1_000) / -Math.log(1 - cutPartMin)))
    expect(cutsOf(false, 1_000).left).toBeLessThanOrEqual(2_000)
    expect(cutsOf(true, 1_000).cuts).toBe(999)
    // Nothing has gone on since.
    expect([worthCutting(9, 9, 20, true), worthCutting(0, 0, 1, false)]).toEqual([false, false])
  })

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
