import { assert, describe, it } from "@effect/vitest"
import { linkRingBytesMax, linkRingMax, OwnerLinks } from "../../src/fanout/OwnerLink.ts"
import type { LinkItem, LinkMessage } from "../../src/owner/OwnerProtocol.ts"

const event = (seq: number, bytes: number): LinkItem => ({
  _tag: "Event",
  topic: "c/group:a",
  from: seq - 1,
  to: seq,
  body: "x".repeat(bytes),
  kind: "message",
  originEdge: "",
  originConnection: 0,
  members: [],
  readFanout: false
})

/** Sends `count` messages of one event each, then asks for all of them again; answers the numbers that came again. */
const resent = (count: number, bytes: number): ReadonlyArray<number> => {
  let sent: Array<LinkMessage> = []
  const links = new OwnerLinks({ owner: "o", start: 1, publish: (message) => sent.push(message) })
  for (let seq = 1; seq <= count; seq++) {
    links.push("e", event(seq, bytes))
    links.flush()
  }
  assert.lengthOf(sent, count)
  sent = []
  links.resend("e", 1)
  return sent.map(({ number }) => number)
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

describe("the link's ring", () => {
  it("answers again what an edge missed, up to its bound in messages", () => {
    assert.deepStrictEqual(resent(10, 10), range(1, 10))
    assert.deepStrictEqual(resent(linkRingMax + 7, 10), range(8, linkRingMax + 7))
  })

  it("is bounded in bytes too: large messages leave it earlier, the newest never", () => {
    const again = resent(100, linkRingBytesMax / 10)
    assert.deepStrictEqual(again, range(100 - again.length + 1, 100))
    assert.isAtLeast(again.length, 8)
    assert.isAtMost(again.length, 10)
    assert.deepStrictEqual(resent(3, linkRingBytesMax * 2), [3])
  })
})
