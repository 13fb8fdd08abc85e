import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Floor, purgeUpTo } from "../../src/log/Floor.ts"

describe("Floor", () => {
  it("†25 is the end of the contiguous prefix that is done, whatever the order and the positions", () => {
    const steps = fc.uniqueArray(fc.integer({ min: 6, max: 1_000 }), { minLength: 1, maxLength: 40 })
    fc.assert(
      fc.property(steps, fc.infiniteStream(fc.nat()), (unordered, random) => {
        const positions = [...unordered].sort((a, b) => a - b)
        const order = [...positions].sort(() => ((random.next().value ?? 0) % 3) - 1)
        const floor = new Floor(5)
        for (const position of positions) floor.started(position)
        const done = new Set<number>()
        for (const position of order) {
          const before = floor.position
          done.add(position)
          const moved = floor.done(position)
          const first = positions.findIndex((one) => !done.has(one))
          const expected = first === -1 ? positions.at(-1) : first === 0 ? 5 : positions[first - 1]
          assert.strictEqual(floor.position, expected)
          assert.strictEqual(moved, floor.position > before)
        }
        assert.strictEqual(floor.underWay, 0)
      })
    )
  })

  it("takes records in the order of the log only, and does not mind hearing twice that one is done", () => {
    const floor = new Floor(0)
    floor.started(7)
    assert.throws(() => floor.started(7), RangeError)
    assert.isTrue(floor.done(7))
    assert.isFalse(floor.done(7))
    assert.isFalse(floor.done(3))
    assert.strictEqual(floor.position, 7)
  })

  it("†27 lets a purge go below every consumer and below the last full checkpoint only", () => {
    assert.strictEqual(purgeUpTo([40, 30], 50), 30)
    assert.strictEqual(purgeUpTo([40, 60], 35), 34)
    assert.strictEqual(purgeUpTo([40, 60], 0), 0)
  })
})
