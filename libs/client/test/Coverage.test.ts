import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Coverage } from "../src/Coverage.ts"

interface Range {
  readonly from: number
  readonly to: number
  readonly events: ReadonlyArray<{ readonly seq: number }>
}

/** A sequence with things to show at some seqs, cut into ranges that overlap, repeat and come in any order. */
const delivery = fc
  .record({
    head: fc.integer({ min: 1, max: 40 }),
    shown: fc.array(fc.integer({ min: 1, max: 40 })),
    cuts: fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 40 })
  })
  .chain(({ cuts, head, shown }) => {
    const seqs = [...new Set(shown)].filter((seq) => seq <= head).toSorted((a, b) => a - b)
    const range = (from: number, to: number): Range => ({
      from,
      to,
      events: seqs.filter((seq) => seq > from && seq <= to).map((seq) => ({ seq }))
    })
    const single = Array.from({ length: head }, (_, at) => range(at, at + 1))
    const other = cuts.map(([a, b]) => range(Math.min(a, b, head), Math.min(Math.max(a, b), head)))
    return fc.record({
      head: fc.constant(head),
      seqs: fc.constant(seqs),
      ranges: fc.shuffledSubarray([...single, ...other], { minLength: single.length + other.length })
    })
  })

describe("Coverage", () => {
  it("†14 gives each event once, in order, whatever order ranges come in", () => {
    fc.assert(
      fc.property(delivery, ({ head, ranges, seqs }) => {
        const coverage = new Coverage(0, 1_000)
        const seen: Array<number> = []
        for (const { events, from, to } of ranges) {
          for (const { seq } of coverage.offer(from, to, events)) {
            expect(seq).toBeLessThanOrEqual(coverage.position)
            seen.push(seq)
          }
        }
        expect(seen).toEqual(seqs)
        expect(coverage.position).toBe(head)
        expect(coverage.hole).toBe(false)
      })
    )
  })

  it("never moves past what is not covered", () => {
    fc.assert(
      fc.property(delivery, fc.nat(39), ({ head, ranges }, missing) => {
        const lost = (missing % head) + 1
        const coverage = new Coverage(0, 1_000)
        for (const { events, from, to } of ranges) if (!(from < lost && lost <= to)) coverage.offer(from, to, events)
        expect(coverage.position).toBeLessThan(lost)
        expect(coverage.hole).toBe(coverage.known > coverage.position)
      })
    )
  })

  it("knows of a hole from a range that covers nothing but names a later seq", () => {
    const coverage = new Coverage(5, 10)
    coverage.offer(7, 7, [])
    expect(coverage.hole).toBe(true)
    expect(coverage.known).toBe(7)
    coverage.offer(5, 7, [{ seq: 6 }])
    expect(coverage.hole).toBe(false)
  })

  it("holds back no more than its bound, the nearest ranges", () => {
    const coverage = new Coverage(0, 3)
    for (const at of [9, 5, 7, 3]) coverage.offer(at, at + 1, [{ seq: at + 1 }])
    expect(coverage.known).toBe(8)
    expect(coverage.offer(0, 7, []).map(({ seq }) => seq)).toEqual([8])
  })
})
