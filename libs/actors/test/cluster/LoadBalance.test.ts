/** Shards move because of their load: few at a time, for a gain, only in a cluster at rest, and it comes to an end. */
import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { type BalanceEntry, type BalanceMove, noBalance } from "@parley/actors/cluster/LeaseEntries"
import {
  begun,
  type BalanceDecision,
  ended,
  LoadBalance,
  lookMs,
  restMs,
  shardRestMs,
  stepMovesMax,
  stepMsMax,
  windowMovesMax,
  windowMs
} from "@parley/actors/cluster/LoadBalance"
import { place, type PlaceableRunner, type PlacementState } from "@parley/actors/cluster/Placement"
import { seeded } from "./LeaseModel.ts"
import { runner } from "./Placeable.ts"

/** A cluster that does what is placed one look later, and what is decided at once. */
class World {
  readonly runners: Array<PlaceableRunner>
  readonly holders: Array<string | undefined>
  readonly wishes = new Map<number, string>()
  readonly begun: Array<{ readonly at: number; readonly move: BalanceMove }> = []
  readonly balance = new LoadBalance()
  loadOf: (shard: number) => number | undefined
  entry: BalanceEntry = noBalance
  /** Runners carry the step out. */
  obeys = true
  now = 0

  constructor(runners: ReadonlyArray<PlaceableRunner>, holders: ReadonlyArray<string>, loads: ReadonlyArray<number>) {
    this.runners = [...runners]
    this.holders = [...holders]
    this.loadOf = (shard) => loads[shard - 1]
    // What is made by hand need not be even.
    for (let round = 0; round < 100; round++) this.#carryOut()
  }

  get state(): PlacementState {
    const { entry, holders, runners, wishes } = this
    const holderOf = (shard: number) => holders[shard - 1]
    return { shardCount: holders.length, runners, holderOf, wishes, balance: entry.moves }
  }

  peak(): number {
    return Math.max(
      ...this.runners.map(({ name, weight }) => {
        const held = this.holders.map((holder, at) => (holder === name ? (this.loadOf(at + 1) ?? 0) : 0))
        return held.reduce((sum, load) => sum + load, 0) / weight
      })
    )
  }

  look(): BalanceDecision {
    this.now += lookMs
    if (this.obeys) this.#carryOut()
    const { entry, now, state } = this
    const decision = this.balance.look({ now, state, loadOf: this.loadOf, entry })
    if (decision._tag === "Begin") {
      assert.isAtMost(decision.moves.length, stepMovesMax)
      assert.strictEqual(entry.moves.length, 0)
      for (const move of decision.moves) this.begun.push({ at: now, move })
      this.entry = begun(entry, decision.moves)
    } else if (decision._tag === "End") {
      this.entry = ended(entry)
      // It is nothing that placement would take back.
      if (decision.done) assert.deepStrictEqual(place(this.state).slice(1), this.holders)
    }
    return decision
  }

  looks(count: number): this {
    for (let at = 0; at < count; at++) this.look()
    return this
  }

  /** Looks for so long that whatever is left alone for a while is not any more. */
  untilQuiet(): this {
    const quiet = (Math.max(shardRestMs, windowMs) + restMs) / lookMs + 2
    for (let at = 0, since = 0; since < quiet; at++) {
      assert.isBelow(at, 20_000, "it never ends")
      since = this.look()._tag === "Rest" ? since + 1 : 0
    }
    return this
  }

  #carryOut(): void {
    place(this.state).forEach((name, shard) => {
      if (shard > 0) this.holders[shard - 1] = name
    })
  }
}

const names = ["a", "b", "c", "d"]
const loads = fc.array(fc.oneof(fc.nat({ max: 50 }), fc.nat({ max: 1_000 })), { minLength: 1, maxLength: 32 })
const worlds = fc
  .record({
    loads,
    weights: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 4 }),
    cordoned: fc.option(fc.constantFrom(...names), { nil: undefined }),
    pinned: fc.array(fc.nat({ max: 31 }), { maxLength: 4 })
  })
  .map(({ cordoned, loads, pinned, weights }) => {
    const runners = weights.map((weight, at) => runner(names[at] ?? "a", { weight, takes: names[at] !== cordoned }))
    const world = new World(
      runners,
      loads.map((_, at) => runners[at % runners.length]?.name ?? "a"),
      loads
    )
    for (const at of pinned) if (at < loads.length) world.wishes.set(at + 1, world.holders[at] ?? "a")
    return { world, cordoned }
  })

/** Three of the busiest are together. */
const gathered = () => new World([runner("a"), runner("b")], ["a", "a", "a", "b", "b", "b"], [100, 100, 100, 1, 1, 1])

describe("moves because of loads", () => {
  it("end where loads stay the same, with the busiest no busier, and counts as placement wants them", () => {
    fc.assert(
      fc.property(worlds, ({ world }) => {
        const before = world.peak()
        const counts = () => world.runners.map(({ name }) => world.holders.filter((holder) => holder === name).length)
        const total = counts().reduce((sum, count) => sum + count)
        world.untilQuiet()
        assert.isAtMost(world.peak(), before)
        assert.strictEqual(
          counts().reduce((sum, count) => sum + count),
          total
        )
        assert.deepStrictEqual(place({ ...world.state, balance: [] }).slice(1), world.holders)
      }),
      { numRuns: 60 }
    )
  })

  it("each make the busier of the two less busy, at most so many in any window, no shard twice in a while", () => {
    fc.assert(
      fc.property(worlds, ({ world }) => {
        let peak = world.peak()
        for (let at = 0; at < 400; at++) {
          if (world.look()._tag !== "End") continue
          assert.isAtMost(world.peak(), peak)
          peak = world.peak()
        }
        for (const { at } of world.begun) {
          const within = world.begun.filter((other) => other.at >= at && other.at < at + windowMs)
          assert.isAtMost(within.length, windowMovesMax)
        }
        for (const [at, { move, at: then }] of world.begun.entries()) {
          const again = world.begun.slice(at + 1).find(({ move: { shard } }) => shard === move.shard)
          if (again !== undefined) assert.isAtLeast(again.at - then, shardRestMs)
        }
      }),
      { numRuns: 60 }
    )
  })

  it("never touch what an operator pinned, nor a runner that takes no shards", () => {
    fc.assert(
      fc.property(worlds, ({ cordoned, world }) => {
        world.untilQuiet()
        for (const { move } of world.begun) {
          assert.isFalse(world.wishes.has(move.shard))
          assert.isFalse([move.from, move.to].includes(cordoned ?? ""))
        }
      }),
      { numRuns: 60 }
    )
  })

  it("spread busy shards that are together", () => {
    const world = gathered().untilQuiet()
    assert.isAtMost(world.peak(), 202)
    assert.strictEqual(world.begun.length, 2)
  })

  it("take others away from a shard that is too much for one runner", () => {
    const world = new World([runner("a"), runner("b")], ["a", "a", "b", "b"], [500, 40, 1, 1]).untilQuiet()
    assert.strictEqual(world.peak(), 501)
    assert.strictEqual(world.holders[0], "a")
  })

  it("are as much as a runner's weight says", () => {
    const world = new World(
      [runner("a"), runner("big", { weight: 2 })],
      Array.from({ length: 30 }, (_, at) => (at < 10 ? "a" : "big")),
      Array.from({ length: 30 }, (_, at) => (at < 10 ? 30 : 5))
    ).untilQuiet()
    assert.isAtMost(world.peak(), (400 / 3) * 1.15)
  })

  it("go where counts allow it, of all runners", () => {
    // Without its only one, the first would have so few that placement gave it one of the third's.
    const world = new World(
      [runner("a", { weight: 2 }), runner("b", { weight: 3 }), runner("c", { weight: 5 })],
      ["a", "b", "c", "c", "c", "c"],
      [100, 0, 2, 2, 2, 2]
    )
    assert.deepStrictEqual(place(world.state).slice(1), world.holders)
    assert.strictEqual(world.untilQuiet().begun[0]?.move.to, "c")
  })

  it("are as many as the budget has, and the others later", () => {
    const ofA = 12
    const holders = Array.from({ length: 2 * ofA }, (_, at) => (at < ofA ? "a" : "b"))
    const loads = Array.from({ length: 2 * ofA }, (_, at) => (at < ofA ? 10 : 0))
    const world = new World([runner("a"), runner("b")], holders, loads).untilQuiet()
    const [first] = world.begun
    assert(first !== undefined)
    const within = world.begun.filter(({ at }) => at - first.at < windowMs)
    assert.strictEqual(within.length, windowMovesMax)
    assert.isAtLeast(world.begun.length, windowMovesMax + stepMovesMax)
  })

  it("are none where loads only waver, nor for little", () => {
    const random = seeded(7)
    const holders = Array.from({ length: 24 }, (_, at) => names[at % 3] ?? "a")
    const even = new World([runner("a"), runner("b"), runner("c")], holders, [])
    even.loadOf = () => 70 + 60 * random()
    assert.deepStrictEqual(even.looks(1_000).begun, [])
    const idle = new World([runner("a"), runner("b")], ["a", "a", "b", "b"], [2, 2, 0, 0])
    assert.deepStrictEqual(idle.looks(200).begun, [])
  })

  it("wait until the cluster has been at rest for a while", () => {
    const world = gathered()
    for (let at = 0; at < 200; at++) {
      // A runner comes and goes, an operator wishes, a shard is with nobody: each a while after the other.
      if (at % 3 === 0) world.runners[1] = runner("b", { takes: at % 2 === 0 })
      world.look()
    }
    world.runners[1] = runner("b")
    for (let at = 0; at < 200; at++) {
      if (at % 4 === 0) world.wishes.delete(4)
      else world.wishes.set(4, "b")
      world.look()
    }
    world.obeys = false
    world.holders[5] = undefined
    world.looks(200)
    world.holders[5] = "b"
    assert.deepStrictEqual(world.begun, [])
    world.looks(restMs / lookMs + 1)
    assert.strictEqual(world.begun.length, 2)
  })

  it("are none while a runner of the cluster would not carry them out, or has not said what its shards have to do", () => {
    const world = gathered()
    world.runners.push(runner("old", { balances: false, takes: false }))
    assert.deepStrictEqual(world.looks(200).begun, [])
    world.runners.pop()
    const known = world.loadOf
    world.loadOf = (shard) => (shard > 3 ? undefined : known(shard))
    assert.deepStrictEqual(world.looks(200).begun, [])
    world.loadOf = known
    assert.strictEqual(world.untilQuiet().begun.length, 2)
  })

  it("are given up when they do not come to their end, or can't any more", () => {
    const stuck = gathered()
    const begin = (world: World) => {
      world.obeys = false
      for (let at = 0; world.look()._tag !== "Begin"; at++) assert.isBelow(at, 100)
    }
    begin(stuck)
    const from = stuck.now
    for (let decision = stuck.look(); decision._tag === "Rest"; decision = stuck.look()) {
      assert.isAtMost(stuck.now - from, stepMsMax + lookMs)
    }
    assert.isAtLeast(stuck.now - from, stepMsMax)

    const pinned = gathered()
    begin(pinned)
    pinned.wishes.set(pinned.entry.moves[0]?.shard ?? 0, "a")
    assert.deepStrictEqual(pinned.look(), { _tag: "End", done: false })

    const gone = gathered()
    begin(gone)
    gone.runners.pop()
    assert.deepStrictEqual(gone.look(), { _tag: "End", done: false })
  })

  it("count for who comes later as if they were made just now", () => {
    const world = gathered().untilQuiet()
    assert.strictEqual(world.begun.length, 2)
    // All that may be moved were moved lately, as far as one knows who has just started.
    const next = gathered()
    next.entry = { moves: [], recent: [1, 2, 3, 4, 5, 6].map((shard) => ({ shard, from: "b", to: "a" })), count: 40 }
    next.looks(shardRestMs / lookMs)
    assert.deepStrictEqual(next.begun, [])
    assert.strictEqual(next.untilQuiet().begun.length, 2)
  })
})
