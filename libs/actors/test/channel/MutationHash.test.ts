import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { mutationHash } from "../../src/channel/ChannelState.ts"
import type { ChannelMutation } from "../../src/owner/OwnerProtocol.ts"

const text = fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom("", "a", "b", "ab"))
const list = fc.array(text, { maxLength: 3 })
const target = fc.nat({ max: 3 })
const body = fc.oneof(
  fc.record({ op: fc.constant("send" as const), text, mentions: list }),
  fc.record({ op: fc.constant("edit" as const), target, text, mentions: list }),
  fc.record({ op: fc.constant("delete" as const), target }),
  fc.record({ op: fc.constant("create" as const), name: text, topic: text, members: list }),
  fc.record({ op: fc.constant("update" as const), name: text, topic: text }, { requiredKeys: ["op"] }),
  fc.record({ op: fc.constantFrom("join" as const, "leave" as const) }),
  fc.record({ op: fc.constantFrom("add_members" as const, "remove_members" as const), members: list })
)
const hash = (body: object, cid = "1"): string =>
  mutationHash({ channel: "group:room", cid, ...body } as ChannelMutation) // as: made by this test

describe("a mutation's hash", () => {
  it("is the same for the same body, whatever the client id", () => {
    fc.assert(
      fc.property(body, (body) => {
        expect(hash(body, "1")).toBe(hash(structuredClone(body), "2"))
      })
    )
  })

  it("differs when anything else does", () => {
    fc.assert(
      fc.property(body, body, (one, other) => {
        const same = JSON.stringify(one, Object.keys(one).sort()) === JSON.stringify(other, Object.keys(other).sort())
        expect(hash(one) === hash(other)).toBe(same)
      }),
      { numRuns: 5_000 }
    )
  })

  it("does not change with a release: it stands in logs and stores", () => {
    expect(hash({ op: "send", text: "hi", mentions: ["ann"] })).toBe("1vwjm303ru4")
  })
})
