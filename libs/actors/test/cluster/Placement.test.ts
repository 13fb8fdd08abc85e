/** Placement: everything somewhere, even, and nothing moved that need not be. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { BalanceMove } from "@parley/actors/cluster/LeaseEntries"
import { balancingMovesMax, place, type PlaceableRunner } from "@parley/actors/cluster/Placement"
import { runner } from "./Placeable.ts"

type Holders = ReadonlyArray<string | undefined>

const placed = (
  runners: ReadonlyArray<PlaceableRunner>,
  holders: Holders,
  wishes: ReadonlyMap<number, string> = new Map(),
  balance: ReadonlyArray<BalanceMove> = []
) => place({ shardCount: holders.length, runners, holderOf: (shard) => holders[shard - 1], wishes, balance }).slice(1)

/** As keepers do: what is placed is held, and placed again, until nothing changes. */
const settled = (runners: ReadonlyArray<PlaceableRunner>, holders: Holders, wishes?: ReadonlyMap<number, string>) => {
  let now = holders
  for (let rounds = 0; rounds < 200; rounds++) {
    const next = placed(runners, now, wishes)
    if (next.every((name, i) => name === now[i])) return now
    now = next
  }
  throw new Error("never settles")
}

const countsOf = (names: ReadonlyArray<string>, holders: Holders) =>
  names.map((name) => holders.filter((holder) => holder === name).length)

const spread = (counts: ReadonlyArray<number>) => Math.max(...counts) - Math.min(...counts)

const names = ["a", "b", "c", "d", "e"]
const world = fc.record({
  count: fc.integer({ min: 1, max: 5 }),
  holders: fc.array(fc.option(fc.constantFrom(...names, "dead"), { nil: undefined }), { minLength: 1, maxLength: 80 })
})

describe("placement", () => {
  it("gives every shard to a living runner, and in the end evenly", () => {
    fc.assert(
      fc.property(world, ({ count, holders }) => {
        const living = names.slice(0, count)
        const runners = living.map((name) => runner(name))
        assert.isTrue(placed(runners, holders).every((name) => name !== undefined && living.includes(name)))
        assert.isAtMost(spread(countsOf(living, settled(runners, holders))), 1)
      })
    )
  })

  it("moves of what living runners hold only what evenness takes, a few at a time", () => {
    fc.assert(
      fc.property(world, ({ count, holders }) => {
        const living = names.slice(0, count)
        const before = countsOf(living, holders)
        const runners = living.map((name) => runner(name))
        const moved = (after: Holders) =>
          holders.filter((holder, i) => holder !== undefined && living.includes(holder) && after[i] !== holder).length
        assert.isAtMost(moved(placed(runners, holders)), balancingMovesMax)
        const fair = Math.floor(holders.length / count)
        const excess = before.reduce((sum, held) => sum + Math.max(0, held - fair), 0)
        assert.isAtMost(moved(settled(runners, holders)), excess)
      })
    )
  })

  it("says the same whatever order runners are listed in", () => {
    fc.assert(
      fc.property(world, ({ count, holders }) => {
        const runners = names.slice(0, count).map((name) => runner(name))
        assert.deepStrictEqual(placed([...runners].reverse(), holders), placed(runners, holders))
      })
    )
  })

  it("leaves survivors' shards alone when a runner dies or leaves", () => {
    const three = settled(
      [runner("a"), runner("b"), runner("c")],
      Array.from({ length: 30 }, () => undefined)
    )
    for (const rest of [
      [runner("a"), runner("b")],
      [runner("a"), runner("b"), runner("c", { takes: false, leaves: true })]
    ]) {
      const after = settled(rest, three)
      three.forEach((holder, i) => {
        if (holder !== "c") assert.strictEqual(after[i], holder)
      })
      assert.isFalse(after.includes("c"))
    }
  })

  it("gives a cordoned runner nothing and takes nothing from it, unless nobody else is there", () => {
    const cordoned = runner("a", { takes: false })
    const held = ["a", "a", "b", "b", "dead", undefined]
    const after = settled([cordoned, runner("b")], held)
    assert.deepStrictEqual(countsOf(["a", "b"], after), [2, 4])
    assert.deepStrictEqual(placed([cordoned], ["a", "dead"]), ["a", "a"])
  })

  it("gives by weight", () => {
    const after = settled(
      [runner("a"), runner("big", { weight: 3 })],
      Array.from({ length: 40 }, () => undefined)
    )
    assert.deepStrictEqual(countsOf(["a", "big"], after), [10, 30])
  })

  it("puts a shard where it is wished, for as long as that runner lives and stays", () => {
    const wishes = new Map([[1, "b"]])
    const runners = [runner("a"), runner("b")]
    const after = settled(runners, ["a", "a", "b", "b"], wishes)
    assert.strictEqual(after[0], "b")
    assert.isAtMost(spread(countsOf(["a", "b"], after)), 1)
    assert.strictEqual(placed([runner("a")], ["a", "a", "a"], wishes)[0], "a")
    assert.strictEqual(placed([runner("a"), runner("b", { takes: false, leaves: true })], ["a"], wishes)[0], "a")
  })

  it("carries a step out that is made because of loads, all of it or nothing", () => {
    const held = ["a", "a", "b", "b", "c", "c"]
    const three = [runner("a"), runner("b"), runner("c")]
    const exchange = [
      { shard: 1, from: "a", to: "b" },
      { shard: 3, from: "b", to: "a" }
    ]
    const done = ["b", "a", "a", "b", "c", "c"]
    const step = (runners: ReadonlyArray<PlaceableRunner>, holders: Holders = held, wishes?: Map<number, string>) =>
      placed(runners, holders, wishes, exchange)
    assert.deepStrictEqual(step(three), done)
    // Half of it is done, or all: it stays.
    assert.deepStrictEqual(step(three, ["b", "a", "b", "b", "c", "c"]), done)
    assert.deepStrictEqual(step(three, done), done)
    // An operator's wish goes first.
    assert.deepStrictEqual(step(three, held, new Map([[1, "a"]])), held)
    // One of the cluster would not do it, or takes no shards, or another has come by one of them.
    assert.deepStrictEqual(step([runner("a"), runner("b"), runner("c", { balances: false })]), held)
    assert.deepStrictEqual(step([runner("a"), runner("b", { takes: false }), runner("c")]), held)
    const elsewhere = ["c", "a", "b", "b", "a", "c"]
    assert.deepStrictEqual(step(three, elsewhere), elsewhere)
    assert.isFalse(step([runner("a"), runner("c")]).includes("b"))
  })

  it("gives every shard to a living runner, whatever step there is, and ends", () => {
    const moves = fc.array(
      fc.record({
        shard: fc.integer({ min: 1, max: 80 }),
        from: fc.constantFrom(...names),
        to: fc.constantFrom(...names)
      }),
      { maxLength: 2 }
    )
    fc.assert(
      fc.property(world, moves, ({ count, holders }, balance) => {
        const living = names.slice(0, count)
        const runners = living.map((name) => runner(name))
        let now: Holders = holders
        for (let rounds = 0; rounds < 200; rounds++) {
          const next = placed(runners, now, new Map(), balance)
          assert.isTrue(next.every((name) => name !== undefined && living.includes(name)))
          if (next.every((name, i) => name === now[i])) return
          now = next
        }
        throw new Error("never settles")
      })
    )
  })

  it("places nothing where nobody lives", () => {
    assert.deepStrictEqual(placed([], ["dead", undefined]), [undefined, undefined])
  })
})
