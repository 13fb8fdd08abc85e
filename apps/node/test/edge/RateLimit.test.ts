/** Token buckets: the same as counting tokens, exact about the wait, bounded. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { ratePerSecond, RateTable, takeToken } from "../../src/edge/RateLimit.ts"

describe("rates", () => {
  it("pass and refuse as a bucket of counted tokens does", () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 200 })
    fc.assert(
      fc.property(gaps, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 40 }), (waits, perSecond, burst) => {
        // A whole number of microseconds a token, so that the reference counts without rounding.
        const tokenMicros = Math.floor(1_000_000 / perSecond)
        const rate = { intervalMs: tokenMicros / 1_000, burstMs: (tokenMicros / 1_000) * (burst - 1) }
        let micros = burst * tokenMicros
        let now = 0
        let nextAt = 0
        for (const wait of waits) {
          now += wait
          micros = Math.min(burst * tokenMicros, micros + wait * 1_000)
          const next = takeToken(nextAt, now, rate)
          // Half a microsecond of doubt for the fractions of the arrival time.
          if (Math.abs(micros - tokenMicros) < 0.5) return
          expect(next > 0).toBe(micros >= tokenMicros)
          if (next > 0) {
            nextAt = next
            micros -= tokenMicros
          }
        }
      })
    )
  })

  it("say exactly when the next request passes", () => {
    const table = new RateTable(10)
    const rate = ratePerSecond(4, 2)
    expect([table.take("a", 0, rate), table.take("a", 0, rate)]).toEqual([0, 0])
    const waitMs = table.take("a", 0, rate)
    expect(waitMs).toBe(250)
    expect(table.take("a", waitMs - 1, rate)).toBe(1)
    expect(table.take("a", waitMs, rate)).toBe(0)
  })

  it("keep a bounded table, and never forget an empty bucket while full ones are there", () => {
    const table = new RateTable(100)
    const rate = ratePerSecond(1, 1)
    for (let i = 0; i < 99; i++) table.take(`full/${i}`, 0, rate)
    table.take("empty", 5_000, rate)
    for (let i = 0; i < 95; i++) table.take(`new/${i}`, 5_000, rate)
    expect(table.size).toBeLessThanOrEqual(100)
    expect(table.take("empty", 5_000, rate)).toBeGreaterThan(0)
  })
})
