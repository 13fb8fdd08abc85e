/** What shards have to do, as rates, and for how long it is believed. */
import { expect, it } from "vitest"
import { LoadsHeard, WorkRates } from "../src/ShardLoads.ts"

it("a shard's work is a rate since it was asked last, and none for one that has just come or was opened anew", () => {
  const rates = new WorkRates()
  expect(rates.of([{ shard: 1, epoch: 4, work: 500 }], 1_000)).toEqual([])
  const now = [
    { shard: 1, epoch: 4, work: 520 },
    { shard: 2, epoch: 1, work: 9 }
  ]
  expect(rates.of(now, 3_000)).toEqual([[1, 10]])
  expect(rates.of([{ shard: 1, epoch: 5, work: 700 }, ...now.slice(1)], 4_000)).toEqual([[2, 0]])
})

it("is what was said last, and nothing once nobody says it any more", () => {
  const loads = new LoadsHeard()
  loads.heard([[3, 12.5]], 0)
  loads.heard([[3, 7]], 2_000)
  expect([loads.of(3, 3_000), loads.of(4, 3_000), loads.of(3, 20_000)]).toEqual([7, undefined, undefined])
})
