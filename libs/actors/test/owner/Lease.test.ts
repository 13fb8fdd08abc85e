import { describe, expect, it } from "@effect/vitest"
import { clockBackPart, Lease } from "@parley/actors/owner/Lease"

const clocks = () => {
  const time = { monotonic: 1_000, wall: 1_700_000_000_000 }
  return { time, read: { monotonic: () => time.monotonic, wall: () => time.wall } }
}

const leaseMs = 3_000

describe("†17 a lease as its holder judges it", () => {
  it("ends at its deadline on the monotonic clock", () => {
    const { read, time } = clocks()
    const lease = new Lease(1_000 + leaseMs, read)
    time.monotonic += leaseMs - 1
    time.wall += leaseMs - 1
    expect(lease.held).toBe(true)
    time.monotonic += 1
    time.wall += 1
    expect(lease.held).toBe(false)
  })

  it("ends by the wall clock where the monotonic one stood still in a suspended machine", () => {
    const { read, time } = clocks()
    const lease = new Lease(1_000 + leaseMs, read)
    time.monotonic += 1_000
    time.wall += leaseMs - 1
    expect(lease.held).toBe(true)
    time.wall += 1
    expect(lease.held).toBe(false)
  })

  it("is over when the wall clock was set back by more than others wait beyond it", () => {
    const { read, time } = clocks()
    const lease = new Lease(1_000 + leaseMs, read)
    time.wall -= leaseMs * clockBackPart
    expect(lease.held).toBe(true)
    time.wall -= 1
    expect(lease.held).toBe(false)
  })
})
