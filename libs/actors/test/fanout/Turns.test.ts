import { describe, expect, it } from "vitest"
import {
  busyEntriesPerSecond,
  consumerGatherBusyMs,
  consumerGatherMs,
  gatherDefault
} from "../../src/fanout/LogConsumer.ts"
import { Turns } from "../../src/fanout/Turns.ts"

const shardCount = 256
const spread = { fewMs: 250, busyMs: 4_000, busyPerSecond: 64, sliceMs: 100 }

/** Of a consumer that has had so many entries a second for a while. */
const after = (perSecond: number): Turns => {
  const turns = new Turns(spread)
  for (let round = 0; round < 200; round++) turns.pauseMs(perSecond / 10, 100)
  return turns
}
const shards = Array.from({ length: shardCount }, (_, index) => index + 1)

describe("a consumer's turns", () => {
  it("are as far apart as those of a busy log at the same rate of entries, whichever it was before", () => {
    for (const sinceMs of [consumerGatherMs, consumerGatherBusyMs]) {
      const many = Math.ceil((busyEntriesPerSecond * sinceMs) / 1_000)
      const turns = new Turns(gatherDefault)
      expect(turns.pauseMs(many, sinceMs)).toBe(consumerGatherBusyMs)
      expect(turns.pauseMs(many - 1, sinceMs)).toBe(consumerGatherMs)
      expect(turns.pauseMs(1, 60_000)).toBe(consumerGatherMs)
      for (const shard of shards) expect(turns.has(shard, 0)).toBe(true)
    }
  })

  it("are spread over the gathering time while events are many: each shard has one in it, a few at a time", () => {
    const turns = after(1_000)
    const had = new Map<number, number>()
    const rounds = spread.busyMs / spread.sliceMs
    for (const shard of shards) turns.taken(shard, 0)
    for (let round = 1; round <= rounds; round++) {
      const now = round * spread.sliceMs
      const taken = shards.filter((shard) => turns.has(shard, now))
      expect(taken.length).toBeLessThanOrEqual(Math.ceil(shardCount / rounds) + 1)
      for (const shard of taken) {
        turns.taken(shard, now)
        had.set(shard, (had.get(shard) ?? 0) + 1)
      }
    }
    expect(shards.filter((shard) => had.get(shard) !== 1)).toEqual([])
  })

  it("are spread whichever shards a node has: a few of those in a row at a time, too", () => {
    const turns = after(1_000)
    const own = shards.slice(0, shardCount / 3)
    const rounds = spread.busyMs / spread.sliceMs
    for (const shard of own) turns.taken(shard, 0)
    for (let round = 1; round <= rounds; round++) {
      const now = round * spread.sliceMs
      const taken = own.filter((shard) => turns.has(shard, now))
      expect(taken.length).toBeLessThanOrEqual(Math.ceil(own.length / rounds) + 1)
      for (const shard of taken) turns.taken(shard, now)
    }
  })

  it("come again for a shard that was not taken to its end, and for one that is new here", () => {
    const turns = after(1_000)
    turns.taken(7, 50)
    expect([turns.has(7, 60), turns.has(8, 60)]).toEqual([false, true])
    turns.again(7)
    expect(turns.has(7, 60)).toBe(true)
  })

  it("are everybody's at once while events are few, and a round without any is not yet that", () => {
    const turns = after(1_000)
    turns.taken(7, 50)
    expect(turns.pauseMs(0, 100)).toBe(spread.sliceMs)
    expect(turns.has(7, 150)).toBe(false)
    expect(after(10).pauseMs(1, 100)).toBe(spread.fewMs)
    const few = after(10)
    few.taken(7, 50)
    expect(few.has(7, 60)).toBe(true)
  })
})
