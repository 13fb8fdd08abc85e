import { describe, expect, it } from "vitest"
import { channelLimitsDefault, ChannelState } from "../../src/channel/ChannelState.ts"
import { expireTyping, typing } from "../../src/channel/Typing.ts"

const { typingIntervalMs, typingTtlMs } = channelLimitsDefault
const channel = (typistsMax = 64) => ChannelState.empty("group:room", { ...channelLimitsDefault, typistsMax })

describe("typing", () => {
  it("is shown when it begins, again once an interval, and when it ends", () => {
    const state = channel()
    expect(typing(state, "ann", true, 0)).toBe(true)
    expect(typing(state, "ann", true, typingIntervalMs - 1)).toBe(false)
    expect(typing(state, "ann", true, typingIntervalMs)).toBe(true)
    expect(typing(state, "ann", false, typingIntervalMs)).toBe(true)
    expect(typing(state, "ann", false, typingIntervalMs)).toBe(false)
  })

  it("ends by itself unless it is repeated", () => {
    const state = channel()
    typing(state, "ann", true, 0)
    typing(state, "ben", true, 0)
    typing(state, "ben", true, 1)
    expect(expireTyping(state, typingTtlMs - 1)).toEqual([])
    expect(expireTyping(state, typingTtlMs)).toEqual(["ann"])
    expect(expireTyping(state, typingTtlMs + 1)).toEqual(["ben"])
  })

  it("is bounded, and no part of the encoded state (EPHEMERAL-IS-EPHEMERAL)", () => {
    const state = channel(2)
    const before = state.encode()
    expect(["ann", "ben", "cat"].map((user) => typing(state, user, true, 0))).toEqual([true, true, false])
    expect(state.encode()).toEqual(before)
  })
})
