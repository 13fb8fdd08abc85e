/** Limits that depend on each other don't contradict each other. */
import { assert, describe, it } from "@effect/vitest"
import { helloLimits, Limits, wireName } from "../src/Limits.ts"

describe("Limits", () => {
  it("let the longest text into a frame, also where every byte of it is escaped to two", () => {
    assert.isBelow(2 * Limits.textBytesMax, Limits.frameBytesMax)
    // A client that escapes all but ASCII spends six bytes on a letter of two or more.
    assert.isBelow((6 / 2) * Limits.textBytesMax, Limits.frameBytesMax)
  })
  it("notice a dead peer in under 30 s, and leave a live one 5 s beyond its latest sign of life", () => {
    // A client looks at its clock in quarters of its heartbeat.
    assert.isAtMost(1.25 * Limits.heartbeatMs + 5_000, Limits.idleTimeoutMs)
    assert.isBelow(Limits.idleTimeoutMs, 30_000)
  })
  it("keep a typing sign alive while it is repeated", () => {
    assert.isBelow(Limits.typingIntervalMs, Limits.typingTtlMs)
  })
  it("tell defaults that are allowed", () => {
    assert.isAtMost(Limits.historyLimitDefault, Limits.historyLimitMax)
    assert.isAtMost(Limits.membersLimitDefault, Limits.membersLimitMax)
    assert.isAtMost(Limits.tokenTtlSecondsDefault, Limits.tokenTtlSecondsMax)
    assert.isAtMost(Limits.syncEventsPerChannelMax, Limits.syncGapMax)
  })
  it("are told in hello by names in small letters", () => {
    assert.strictEqual(wireName("frameBytesMax"), "frame_bytes_max")
    assert.strictEqual(helloLimits["frame_bytes_max"], Limits.frameBytesMax)
    for (const [name, value] of Object.entries(helloLimits)) {
      assert.match(name, /^[a-z]+(_[a-z]+)*$/)
      assert.isTrue(Number.isSafeInteger(value))
    }
  })
})
