import { describe, expect, it } from "@effect/vitest"
import { clockJumpMsMax, Lease } from "@parley/actors/owner/Lease"

const clocks = () => {
  const time = { monotonic: 1_000, wall: 1_700_000_000_000 }
  return { time, read: { monotonic: () => time.monotonic, wall: () => time.wall } }
}

describe("†17 a lease as its holder judges it", () => {
  it("ends at its deadline on the monotonic clock", () => {
    const { read, time } = clocks()
    const lease = new Lease(2_000, read)
    time.monotonic += 999
    time.wall += 999
    expect(lease.held).toBe(true)
    time.monotonic += 1
    time.wall += 1
    expect(lease.held).toBe(false)
  })

  it("is over when the machine was suspended: the wall clock went on and the monotonic one did not", () => {
    const { read, time } = clocks()
    const lease = new Lease(60_000, read)
    time.wall += clockJumpMsMax
    expect(lease.held).toBe(true)
    time.wall += 1
    expect(lease.held).toBe(false)
  })

  it("is over as well when the wall clock was set back", () => {
    const { read, time } = clocks()
    const lease = new Lease(60_000, read)
    time.wall -= clockJumpMsMax + 1
    expect(lease.held).toBe(false)
  })
})
