import { describe, expect, it } from "vitest"
import { ActiveChannels } from "../../src/memory/MemoryInbox.ts"

const names = Array.from({ length: 50 }, (_, at) => `c${at}`)
const placesOf = (channels: ActiveChannels) => channels.placesOf(names.map((channel) => ({ channel, seq: 0 })))
const channelsOf = (channels: ActiveChannels) => placesOf(channels).map(({ channel }) => channel)

describe("when channels got their last messages, in memory", () => {
  it("is bounded: the places of longest ago go, and one that comes again is the latest", () => {
    const channels = new ActiveChannels(10)
    for (const [at, channel] of names.entries()) {
      channels.note({ channel, seq: 1 })
      expect(channels.size).toBeLessThanOrEqual(10)
      // Those of the last half are always there.
      const kept = channelsOf(channels)
      expect(kept).toEqual(names.slice(at + 1 - kept.length, at + 1))
      expect(kept.length).toBeGreaterThanOrEqual(Math.min(at + 1, 5))
    }
    channels.note({ channel: "c0", seq: 1 })
    expect(placesOf(channels).toSorted((a, b) => b.place - a.place)[0]?.channel).toBe("c0")
  })

  it("keeps a channel that goes on, with one place", () => {
    const channels = new ActiveChannels(10)
    for (const [at, channel] of names.entries()) {
      channels.note({ channel: "busy", seq: at + 1 })
      channels.note({ channel, seq: 1 })
      expect(channels.placesOf([{ channel: "busy", seq: at }])).toHaveLength(1)
    }
  })

  it("†10 has places that are later than those of an earlier process", () => {
    let now = 1_000
    const before = new ActiveChannels(100, () => now)
    for (const channel of names) before.note({ channel, seq: 1 })
    now++
    const after = new ActiveChannels(100, () => now)
    after.note({ channel: "c0", seq: 1 })
    expect(placesOf(after)[0]?.place).toBeGreaterThan(Math.max(...placesOf(before).map(({ place }) => place)))
  })
})
