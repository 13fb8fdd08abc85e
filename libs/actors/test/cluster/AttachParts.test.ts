import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  AttachParts,
  attachPartBytesMax,
  attachPartsInFlightMax,
  splitAttach
} from "@parley/actors/cluster/AttachParts"
import type { Attach, Attached, OwnerReply } from "@parley/actors/owner/OwnerProtocol"

const attachOf = (users: number): Attach => ({
  shard: 3,
  edge: "e1",
  topics: [{ topic: "c/group:one", users: Array.from({ length: users }, (_, i) => `user-${i}`) }]
})
const answerOf = (epoch: number, interestVersion: number, head: number): OwnerReply<Attached> => ({
  ok: { shard: 3, epoch, interestVersion, topics: [{ topic: "c/group:one", head, generation: 0, denied: [] }] }
})

/** Parts under way, which the test answers. */
const heldUp = () => {
  const sent: Array<{ readonly part: Attach; readonly reply: (reply: OwnerReply<Attached>) => void }> = []
  const parts = new AttachParts((part, reply) => void sent.push({ part, reply }))
  return { parts, sent }
}

describe("an attach in parts", () => {
  it("has every topic and user once, in order, and no part above the bound but for one long name", () => {
    const topics = fc.array(
      fc.record({
        topic: fc.string({ maxLength: 40 }),
        users: fc.array(fc.string({ maxLength: 40 }), { maxLength: 60 })
      })
    )
    fc.assert(
      fc.property(topics, fc.integer({ min: 200, max: 2_000 }), (topics, bytesMax) => {
        const parts = splitAttach({ shard: 3, edge: "e1", topics }, bytesMax)
        const pairs = (of: ReadonlyArray<Attach>) =>
          of.flatMap((part) => part.topics.flatMap(({ topic, users }) => users.map((user) => [topic, user])))
        assert.deepStrictEqual(pairs(parts), pairs([{ shard: 3, edge: "e1", topics }]))
        assert.sameMembers(
          [...new Set(parts.flatMap((part) => part.topics.map(({ topic }) => topic)))],
          [...new Set(topics.map(({ topic }) => topic))]
        )
        for (const part of parts) assert.isAtMost(JSON.stringify(part.topics).length, bytesMax * 8)
        const small = splitAttach({ shard: 3, edge: "e1", topics }, 1_000_000)
        assert.deepStrictEqual(small, [{ shard: 3, edge: "e1", topics }])
      })
    )
  })

  it("is paced: so many parts are under way, and the next one goes when one is answered", () => {
    const { parts, sent } = heldUp()
    const replies: Array<OwnerReply<Attached>> = []
    parts.attach(attachOf(100_000), (reply) => replies.push(reply))
    const count = splitAttach(attachOf(100_000), attachPartBytesMax).length
    assert.isAbove(count, attachPartsInFlightMax)
    assert.strictEqual(sent.length, attachPartsInFlightMax)
    for (let i = 0; i < count; i++) {
      sent[i]?.reply(answerOf(7, i + 1, 100 + i))
      assert.strictEqual(sent.length, Math.min(count, attachPartsInFlightMax + i + 1))
    }
    assert.deepStrictEqual(replies, [answerOf(7, count, 99 + count)])
    assert.strictEqual(parts.inFlight, 0)
  })

  it("is asked again as a whole when another owner answered some of it, for the first one's interest is gone", () => {
    const { parts, sent } = heldUp()
    const replies: Array<OwnerReply<Attached>> = []
    parts.attach(attachOf(6_000), (reply) => replies.push(reply))
    const count = sent.length
    assert.isAbove(count, 1)
    sent.forEach(({ reply }, i) => reply(answerOf(i === 0 ? 7 : 8, i + 1, 100)))
    assert.deepStrictEqual(replies, [])
    assert.strictEqual(sent.length, count * 2)
    for (const { reply } of sent.slice(count)) reply(answerOf(8, 9, 100))
    assert.deepStrictEqual(replies, [answerOf(8, 9, 100)])
  })

  it("of which a part failed has failed, once", () => {
    const { parts, sent } = heldUp()
    const replies: Array<OwnerReply<Attached>> = []
    parts.attach(attachOf(6_000), (reply) => replies.push(reply))
    sent.forEach(({ reply }, i) => reply(i === 0 ? { failure: { code: "unavailable" } } : answerOf(7, 1, 1)))
    assert.deepStrictEqual(replies, [{ failure: { code: "unavailable" } }])
  })
})
