import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import { clientIdPattern } from "@parley/protocol/Ids"
import { ClientIds } from "../src/ClientIds.ts"
import { Clock } from "../src/Clock.ts"

const bytes = (count: number) => crypto.getRandomValues(new Uint8Array(count))

describe("ClientIds", () => {
  it("are UUIDs of version 7, each larger than the one before, however the clock behaves", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 300 }), (steps) => {
        let now = 1_750_000_000_000
        const ids = new ClientIds(() => now, bytes)
        let last = ""
        for (const step of steps) {
          now += step
          const id = ids.next()
          expect(id).toMatch(clientIdPattern)
          expect(id > last).toBe(true)
          last = id
        }
      })
    )
  })

  it("carry the server's time, also when five thousand are made in a millisecond", () => {
    const ids = new ClientIds(() => 1_750_000_000_000, bytes)
    const made = Array.from({ length: 5_000 }, () => ids.next())
    expect(new Set(made).size).toBe(5_000)
    expect(clientIdTime(made[0]!)).toBe(1_750_000_000_000)
    expect(clientIdTime(made.at(-1)!)).toBeLessThan(1_750_000_000_005)
  })

  it("go back after the server corrected the clock", () => {
    let now = 2_000_000_000_000
    const ids = new ClientIds(() => now, bytes)
    ids.next()
    now = 1_750_000_000_000
    ids.restart()
    expect(clientIdTime(ids.next())).toBe(now)
  })
})

describe("Clock", () => {
  it("takes the measurement with the shortest round trip", () => {
    const clock = new Clock(() => 1_000)
    clock.measured(5_000, 800)
    clock.measured(5_020, 20)
    clock.measured(5_400, 900)
    expect(clock.serverNow()).toBe(5_030)
  })

  it("follows a clock that was set while it ran", () => {
    let now = 1_000_000
    const clock = new Clock(() => now)
    clock.measured(1_000_000, 10)
    now += 3_600_000
    clock.measured(1_000_500, 50)
    expect(Math.abs(clock.serverNow() - 1_000_525)).toBeLessThan(50)
  })

  it("believes a server that refused an id as ahead", () => {
    const clock = new Clock(() => 9_000_000)
    clock.measured(9_000_000, 1)
    clock.correct(1_000)
    expect(clock.serverNow()).toBe(1_000)
  })
})
