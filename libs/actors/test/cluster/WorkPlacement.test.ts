/** Who consumes which shard's log: everything somewhere, even, by the state alone, and most of it where it was. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type Holder, placeWork } from "@parley/actors/cluster/WorkPlacement"

const names = ["w.a", "w.b", "w.c", "w.d", "w.e", "w.f"]
const workers = fc.uniqueArray(fc.constantFrom(...names), { maxLength: names.length })
const holders = fc.array(
  fc.option(fc.record({ runner: fc.constantFrom("r1", "r2", "r3"), works: fc.boolean() }), { nil: undefined }),
  { minLength: 1, maxLength: 300 }
)

const placed = (living: ReadonlyArray<string>, held: ReadonlyArray<Holder | undefined>) =>
  placeWork({ shardCount: held.length, workers: living, holderOf: (shard) => held[shard - 1] }).slice(1)

const idle = (count: number) => Array.from({ length: count }, () => ({ runner: "r1", works: false }))

describe("the placement of shards over workers", () => {
  it("leaves a shard to the runner that holds it and has the role, whoever else lives", () => {
    fc.assert(
      fc.property(workers, holders, (living, held) => {
        const now = placed(living, held)
        for (const [at, holder] of held.entries())
          if (holder?.works === true) assert.strictEqual(now[at], holder.runner)
      })
    )
  })

  it("gives every other shard to a living worker, held or not, as many to each", () => {
    fc.assert(
      fc.property(workers, holders, (living, held) => {
        fc.pre(living.length > 0)
        const others = placed(living, held).filter((_, at) => held[at]?.works !== true)
        const counts = living.map((name) => others.filter((worker) => worker === name).length)
        assert.strictEqual(
          counts.reduce((sum, count) => sum + count, 0),
          others.length
        )
        assert.isAtMost(Math.max(...counts) - Math.min(...counts), 1)
      })
    )
  })

  it("without a worker leaves a shard to its runner all the same, and one that nobody holds to nobody", () => {
    fc.assert(
      fc.property(holders, (held) => {
        assert.deepStrictEqual(
          placed([], held),
          held.map((holder) => holder?.runner)
        )
      })
    )
  })

  it("is the same in whatever order workers were heard of", () => {
    fc.assert(
      fc.property(workers, holders, (living, held) => {
        assert.deepStrictEqual(placed(living.toReversed(), held), placed(living, held))
      })
    )
  })

  it("keeps most of what the others have where it is when a worker goes", () => {
    const shards = idle(256)
    for (const gone of names) {
      const before = placed(names, shards)
      const after = placed(
        names.filter((name) => name !== gone),
        shards
      )
      const others = before.filter((name, at) => name !== gone && after[at] !== name).length
      assert.isBelow(others, 256 / 4)
    }
  })
})
