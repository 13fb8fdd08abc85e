import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { fragmentedMax, Fragments, splitMessage } from "@parley/actors/cluster/Fragments"

const message = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7) % 251)
const joined = (fragments: Fragments, parts: ReadonlyArray<Uint8Array>) =>
  parts.map((part) => fragments.join(part)).filter((whole) => whole !== undefined)

describe("fragments", () => {
  it("of any message come together as it was, between those of other messages", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5_000 }), fc.integer({ min: 300, max: 1_000 }), (length, payload) => {
        const bytes = message(length)
        const one = splitMessage(bytes, payload, "one", 1)
        const two = splitMessage(bytes, payload, "two", 1)
        for (const part of one) assert.isAtMost(part.length, payload)
        const fragments = new Fragments()
        const wholes = joined(
          fragments,
          one.flatMap((part, i) => [part, two[i] ?? part])
        )
        assert.strictEqual(wholes.length, 2)
        for (const whole of wholes) assert.deepStrictEqual(Uint8Array.from(whole), bytes)
        assert.strictEqual(fragments.size, 0)
      })
    )
  })

  it("of which one is missing are no message, and what comes whole after them is", () => {
    const fragments = new Fragments()
    const parts = splitMessage(message(3_000), 600, "one", 1)
    const again = splitMessage(message(3_000), 600, "one", 2)
    const lossy = parts.filter((_, place) => place !== 2)
    assert.strictEqual(joined(fragments, lossy).length, 0)
    assert.strictEqual(joined(fragments, again).length, 1)
  })

  it("that come in another order, or twice, are no message: a wrong one would be worse than none", () => {
    const [one, two, three] = splitMessage(message(900), 600, "one", 1).map((part) => [part])
    assert.isDefined(three)
    for (const order of [
      [one, three, two],
      [one, two, two],
      [two, three]
    ]) {
      assert.strictEqual(
        joined(
          new Fragments(),
          order.flatMap((part) => part ?? [])
        ).length,
        0
      )
    }
  })

  it("that never become whole are bounded", () => {
    const fragments = new Fragments()
    for (let serial = 0; serial < fragmentedMax * 3; serial++) {
      const [first] = splitMessage(message(3_000), 600, "one", serial)
      assert.isUndefined(fragments.join(first ?? new Uint8Array()))
    }
    assert.strictEqual(fragments.size, fragmentedMax)
  })

  it("may be garbage, and nothing is thrown", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (garbage) => {
        const fragments = new Fragments()
        fragments.join(garbage)
        fragments.join(Uint8Array.from([1, 6, ...garbage]))
      })
    )
  })
})
