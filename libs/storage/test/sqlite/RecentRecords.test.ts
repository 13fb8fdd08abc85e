import { it } from "@effect/vitest"
import * as fc from "fast-check"
import { describe, expect } from "vitest"
import { RecentRecords } from "../../src/sqlite/RecentRecords.ts"

const record = (position: number, size: number) => ({ position, size, content: position })
const positions = (records: ReadonlyArray<{ readonly position: number }> | undefined) =>
  records?.map(({ position }) => position)

describe("RecentRecords", () => {
  it("gives what follows a position, at least one record and no more bytes than asked for", () => {
    const recent = new RecentRecords()
    for (let position = 5; position <= 9; position++) recent.committed(1, record(position, 10))
    expect(positions(recent.readAfter(1, 4, 1_000))).toEqual([5, 6, 7, 8, 9])
    expect(positions(recent.readAfter(1, 6, 25))).toEqual([7, 8])
    expect(positions(recent.readAfter(1, 6, 1))).toEqual([7])
    expect(positions(recent.readAfter(1, 9, 1_000))).toEqual([])
  })

  it("does not answer for what it does not have", () => {
    const recent = new RecentRecords()
    expect(recent.readAfter(1, 0, 1_000)).toBeUndefined()
    recent.committed(1, record(5, 10))
    expect(recent.readAfter(1, 3, 1_000)).toBeUndefined()
  })

  it("after an append in doubt it answers nothing until the next commit, and then only from there on", () => {
    const recent = new RecentRecords()
    recent.committed(1, record(5, 10))
    recent.forget(1)
    expect(recent.readAfter(1, 5, 1_000)).toBeUndefined()
    // 6 was written after all.
    recent.committed(1, record(7, 10))
    expect(recent.readAfter(1, 5, 1_000)).toBeUndefined()
    expect(positions(recent.readAfter(1, 6, 1_000))).toEqual([7])
  })

  it("a hole that nobody announced makes it forget what lies before", () => {
    const recent = new RecentRecords()
    recent.committed(1, record(5, 10))
    recent.committed(1, record(7, 10))
    expect(recent.readAfter(1, 4, 1_000)).toBeUndefined()
    expect(positions(recent.readAfter(1, 6, 1_000))).toEqual([7])
  })

  it("stays under its bound, and what it says is always a dense run up to the last commit", () => {
    const step = fc.record({
      shard: fc.integer({ min: 1, max: 3 }),
      size: fc.integer({ min: 0, max: 400 }),
      drop: fc.nat(4)
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const recent = new RecentRecords(4_000)
        const last = [0, 0, 0, 0]
        for (const { drop, shard, size } of steps) {
          const position = (last[shard] ?? 0) + 1
          last[shard] = position
          recent.committed(shard, record(position, size))
          if (drop === 0) recent.drop(shard, position - 1)
          expect(recent.bytes).toBeLessThanOrEqual(4_000)
          for (let after = 0; after <= position; after++) {
            const found = recent.readAfter(shard, after, 1e9)
            if (found === undefined) continue
            expect(positions(found)).toEqual(Array.from({ length: position - after }, (_, i) => after + 1 + i))
          }
        }
      }),
      { numRuns: 50 }
    )
  })
})
