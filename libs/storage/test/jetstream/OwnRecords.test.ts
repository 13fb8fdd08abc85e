/** What a node's consumers read from its memory is what the log has. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { OwnRecord } from "../../src/EventLog.ts"
import { freshMsMax, ownBytesMax, OwnRecords } from "../../src/jetstream/OwnRecords.ts"

const record = (position: number, size = 10): OwnRecord => ({ position, size, content: `${position}` })
const positions = (found: ReadonlyArray<OwnRecord> | undefined) => found?.map(({ position }) => position)

describe("a node's own records", () => {
  it("are what follows a place, if nothing before them is unknown", () => {
    const own = new OwnRecords()
    expect(own.readAfter(1, 0, 1_000)).toBeUndefined()
    own.appended(1, 5, record(8))
    own.appended(1, 8, record(9))
    expect(own.readAfter(1, 4, 1_000)).toBeUndefined()
    expect(positions(own.readAfter(1, 5, 1_000))).toEqual([8, 9])
    expect(positions(own.readAfter(1, 8, 1_000))).toEqual([9])
    expect(positions(own.readAfter(1, 5, 1))).toEqual([8])
    expect(own.readAfter(2, 5, 1_000)).toBeUndefined()
  })

  it("are not all there is once the shard rests: the log is asked", () => {
    let now = 0
    const own = new OwnRecords(() => now)
    own.appended(1, 0, record(1))
    expect(own.readAfter(1, 1, 1_000)).toEqual([])
    now = freshMsMax + 1
    expect(own.readAfter(1, 1, 1_000)).toBeUndefined()
    expect(positions(own.readAfter(1, 0, 1_000))).toEqual([1])
  })

  it("are forgotten where somebody else appended, or may have", () => {
    const own = new OwnRecords()
    own.appended(1, 0, record(1))
    own.appended(1, 7, record(8))
    expect(own.readAfter(1, 0, 1_000)).toBeUndefined()
    expect(positions(own.readAfter(1, 7, 1_000))).toEqual([8])
    own.forget(1)
    expect(own.readAfter(1, 7, 1_000)).toBeUndefined()
    expect(own.bytes).toBe(0)
  })

  it("are bounded by bytes: those of the shard that rests the longest go first", () => {
    const own = new OwnRecords()
    own.appended(1, 0, record(1, ownBytesMax / 4))
    for (let at = 1; at <= 8; at++) {
      own.appended(2, at - 1, record(at, ownBytesMax / 4))
      expect(own.bytes).toBeLessThanOrEqual(ownBytesMax)
    }
    expect(own.readAfter(1, 0, 1_000)).toBeUndefined()
    expect(own.readAfter(2, 0, 1_000)).toBeUndefined()
    expect(positions(own.readAfter(2, 5, ownBytesMax))).toEqual([6, 7, 8])
  })

  it("go when every consumer that moved here has done with them", () => {
    const own = new OwnRecords()
    own.consumed("a", 1, 5)
    for (let at = 1; at <= 5; at++) own.appended(1, at - 1, record(at))
    const { bytes } = own
    own.consumed("a", 1, 2)
    expect(own.bytes).toBe((bytes / 5) * 3)
    own.consumed("b", 1, 1)
    own.consumed("a", 1, 5)
    expect(own.readAfter(1, 1, 1_000)).toBeUndefined()
    expect(positions(own.readAfter(1, 2, 1_000))).toEqual([3, 4, 5])
    own.consumed("b", 1, 5)
    expect(own.bytes).toBe(0)
    expect(own.readAfter(1, 5, 1_000)).toEqual([])
    own.appended(1, 5, record(6))
    expect(positions(own.readAfter(1, 5, 1_000))).toEqual([6])
  })

  it("give what the log would give, whatever was cut, taken over, or in doubt", () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ do: fc.constant("append" as const), shard: fc.nat(2), bytes: fc.nat(40) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("purge" as const), shard: fc.nat(2), upTo: fc.nat(60) }) },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant("consume" as const),
          shard: fc.nat(2),
          upTo: fc.nat(60),
          who: fc.constantFrom("a", "b")
        })
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("other" as const, "doubt" as const), shard: fc.nat(2) }) }
    )
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.nat(60),
        fc.integer({ min: 1, max: 200 }),
        (steps, after, most) => {
          const own = new OwnRecords()
          const log = new Map<number, Array<OwnRecord>>()
          let position = 0
          for (const next of steps) {
            const there = log.get(next.shard) ?? []
            log.set(next.shard, there)
            if (next.do === "append" || next.do === "other") {
              const follows = there.at(-1)?.position ?? 0
              const made = record(++position, "bytes" in next ? next.bytes : 1)
              there.push(made)
              if (next.do === "append") own.appended(next.shard, follows, made)
              // Its own next append says so.
              else own.forget(next.shard)
            } else if (next.do === "purge") {
              const upTo = Math.min(next.upTo, (there.at(-1)?.position ?? 1) - 1)
              own.purged(next.shard, upTo)
              log.set(
                next.shard,
                there.filter((one) => one.position > upTo)
              )
            } else if (next.do === "consume") {
              own.consumed(next.who, next.shard, Math.min(next.upTo, there.at(-1)?.position ?? 0))
            } else own.forget(next.shard)
          }
          for (const [shard, there] of log) {
            const found = own.readAfter(shard, after, most)
            if (found === undefined) continue
            const all = there.filter((one) => one.position > after)
            expect(found).toEqual(all.slice(0, found.length))
            expect(found.length > 0 || all.length === 0).toBe(true)
          }
        }
      )
    )
  })
})
