import { expect, test } from "vitest"
import { Gaps, summary } from "../src/cluster/Gaps.ts"

test("a channel's gap reaches from its last ack before the watch to the next one, and one without an ack lasts until now", () => {
  const gaps = new Gaps(3)
  for (const channel of [0, 1, 2]) gaps.acked(channel, 100)
  gaps.begin(150)
  gaps.acked(0, 400)
  gaps.acked(0, 450)
  gaps.acked(1, 160)
  expect(gaps.gaps([0, 1, 2], 500)).toEqual([300, 340, 400])
  expect(gaps.firsts([0, 1, 2])).toEqual([250, 10])
})

test("a channel without an ack before the watch is counted from its beginning", () => {
  const gaps = new Gaps(1)
  gaps.begin(1_000)
  gaps.acked(0, 1_250)
  expect(gaps.gaps([0], 1_300)).toEqual([250])
})

test("a summary's p99 is of the sorted values", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index)
  expect(summary(values)).toEqual({ channels: 100, p50_ms: 51, p99_ms: 100, max_ms: 100 })
})
