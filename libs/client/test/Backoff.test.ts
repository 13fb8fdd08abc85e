import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Backoff, delayInReason, fullJitter, retryDelay } from "../src/Backoff.ts"
import { defaultSettings } from "../src/ClientSettings.ts"

const unit = fc.double({ min: 0, max: 0.999_999, noNaN: true })

describe("Backoff", () => {
  it("draws from zero to a bound that doubles, and never exceeds the maximum", () => {
    fc.assert(
      fc.property(fc.nat(100), unit, (attempt, random) => {
        const wait = fullJitter(attempt, 1_000, 30_000, random)
        expect(wait).toBeGreaterThanOrEqual(0)
        expect(wait).toBeLessThanOrEqual(Math.min(30_000, 1_000 * 2 ** attempt))
      })
    )
  })

  it("uses the whole range, so that a thousand clients don't come back together", () => {
    const waits = Array.from({ length: 1_000 }, (_, at) => fullJitter(3, 1_000, 30_000, at / 1_000))
    expect(Math.min(...waits)).toBeLessThan(100)
    expect(Math.max(...waits)).toBeGreaterThan(7_900)
  })

  it("obeys the server's delay, as the least it waits", () => {
    fc.assert(
      fc.property(fc.nat(200_000), unit, (delay, random) => {
        const wait = new Backoff(defaultSettings, () => random).next(delay)
        expect(wait).toBeGreaterThanOrEqual(delay)
        expect(wait).toBeLessThanOrEqual(delay + defaultSettings.backoffBaseMs)
      })
    )
  })

  it("does not believe a delay beyond its own bound", () => {
    expect(new Backoff(defaultSettings, () => 0).next(1e12)).toBe(defaultSettings.serverDelayMsMax)
  })

  it("begins anew after a reset", () => {
    const backoff = new Backoff(defaultSettings, () => 0.999)
    for (let at = 0; at < 10; at++) backoff.next()
    expect(backoff.next()).toBeGreaterThan(20_000)
    backoff.reset()
    expect(backoff.next()).toBeLessThanOrEqual(1_000)
  })

  it("reads milliseconds out of a close reason, and nothing out of prose", () => {
    expect(delayInReason("1500")).toBe(1_500)
    expect(delayInReason(" 20 ms")).toBe(20)
    expect(delayInReason("")).toBeUndefined()
    expect(delayInReason("later")).toBeUndefined()
    expect(delayInReason("-5")).toBeUndefined()
  })

  it("never repeats a refused request before the server said", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 120_000 }),
        unit,
        (attempt, asked, random) => {
          const wait = retryDelay(attempt, asked, 30_000, random)
          expect(wait).toBeGreaterThanOrEqual(asked)
          expect(wait).toBeLessThanOrEqual(Math.max(asked, 30_000) * 1.5)
        }
      )
    )
  })
})
