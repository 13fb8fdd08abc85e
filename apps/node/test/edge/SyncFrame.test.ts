import { ops } from "@parley/protocol/Frame"
import { Limits } from "@parley/protocol/Limits"
import { Exit, Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { readSync } from "../../src/edge/SyncFrame.ts"

const decode = Schema.decodeUnknownExit(ops.sync)

const seq = fc.oneof(
  { weight: 12, arbitrary: fc.nat() },
  fc.constantFrom(0, -0, -1, 1.5, 2 ** 53 - 1, 2 ** 53, 1e300, null, "1", true, [], {})
)
const channel = fc.oneof(
  fc.constantFrom(
    "group:a",
    "a_1:B-c_9",
    "team:",
    ":a",
    "Team:a",
    "1a:b",
    "a:-b",
    "a:b c",
    "a:b\n",
    "a:é",
    "",
    7,
    null
  ),
  fc.stringMatching(/^[a-z][a-z0-9_]{0,40}:[A-Za-z0-9][A-Za-z0-9_-]{0,70}$/)
)
const place = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(channel, seq, seq) },
  fc.tuple(fc.constant("group:a"), fc.nat(), fc.nat(), fc.nat()),
  fc.array(fc.oneof(channel, seq), { maxLength: 5 }),
  fc.constantFrom(null, {}, { 0: "group:a", 1: 1, 2: 1, length: 3 }, "group:a")
)
const plain = fc.tuple(fc.constantFrom("group:a", "team:b"), fc.nat(), fc.nat())
const frame = fc.record(
  {
    id: seq,
    op: fc.constantFrom("sync", "sync", "sync", "watch", null),
    channels: fc.oneof(fc.array(plain), fc.array(place, { maxLength: 4 }), fc.constantFrom(null, {}, "x")),
    session: fc.oneof(
      fc.record({ generation: seq, seq, more: fc.nat() }, { requiredKeys: ["generation"] }),
      fc.record({ generation: fc.nat(), seq: fc.nat() }),
      fc.constantFrom(null, [], "x")
    ),
    page: fc.oneof(fc.string(), fc.constantFrom(null, 1, "x".repeat(256), "x".repeat(257))),
    unknown: fc.jsonValue()
  },
  { requiredKeys: ["id", "op", "channels", "session"] }
)

describe("a sync that is read without its schema", () => {
  it("is what the schema makes of it, or is left to the schema", () => {
    let taken = 0
    fc.assert(
      fc.property(frame, (made) => {
        // Over the wire, as clients send it.
        const value: object = JSON.parse(JSON.stringify(made))
        const read = readSync(value)
        const decoded = decode(value)
        if (read !== undefined) taken++
        expect(read).toEqual(Exit.isSuccess(decoded) ? decoded.value : undefined)
      }),
      { numRuns: 2_000 }
    )
    expect(taken).toBeGreaterThan(50)
  })

  it("may name as many channels as the schema lets it", () => {
    const named = (count: number) => ({
      id: 1,
      op: "sync",
      channels: Array.from({ length: count }, (_, i) => [`group:${i}`, 1, i]),
      session: { generation: 1, seq: 0 }
    })
    expect(readSync(named(Limits.syncChannelsMax))?.channels).toHaveLength(Limits.syncChannelsMax)
    expect(readSync(named(Limits.syncChannelsMax + 1))).toBeUndefined()
  })
})
