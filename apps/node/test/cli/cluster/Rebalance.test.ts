/** Shards are moved for what they have to do, within a budget, and never so that counting would take it back. */
import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { place } from "@parley/actors/cluster/Placement"
import { rebalance } from "../../../src/cli/cluster/Rebalance.ts"
import { planRebalance, type PlanShard } from "../../../src/cli/cluster/RebalancePlan.ts"
import { FakeCluster } from "./FakeCluster.ts"

const shardsOn = (loads: Readonly<Record<string, ReadonlyArray<number>>>): ReadonlyArray<PlanShard> => {
  let shard = 0
  return Object.entries(loads).flatMap(([runner, all]) => all.map((load) => ({ shard: ++shard, runner, load })))
}
const apart = (loads: ReadonlyMap<string, number>): number => Math.max(...loads.values()) - Math.min(...loads.values())
const moved = (shards: ReadonlyArray<PlanShard>, plan: ReturnType<typeof planRebalance>): Map<number, string> => {
  const at = new Map(shards.map(({ runner, shard }) => [shard, runner]))
  for (const { from, shard, to } of plan.groups.flat()) {
    expect(at.get(shard)).toBe(from)
    at.set(shard, to)
  }
  return at
}

const names = ["a", "b", "c", "d"]

/** As placement leaves them: counts that differ by one at most. */
const evenly = fc
  .record({ runners: fc.integer({ min: 1, max: 4 }), loads: fc.array(fc.nat({ max: 1_000 }), { maxLength: 40 }) })
  .map(({ loads, runners }) => ({
    runners: names.slice(0, runners),
    shards: loads.map((load, at): PlanShard => ({ shard: at + 1, runner: names[at % runners] ?? "a", load }))
  }))

describe("a plan to even loads out", () => {
  it("exchanges a busy shard for an idle one, and moves one alone where counts allow it", () => {
    const exchange = planRebalance(["a", "b"], shardsOn({ a: [50, 40, 0], b: [0, 0, 0] }), 8)
    expect(exchange.groups.flat().length).toBe(2)
    expect(apart(exchange.after)).toBe(10)
    const alone = planRebalance(["a", "b"], shardsOn({ a: [30, 30], b: [0] }), 8)
    expect(alone.groups).toEqual([[{ shard: 1, from: "a", to: "b" }]])
  })

  it("does nothing for little, nor where one shard is all there is to do", () => {
    expect(planRebalance(["a", "b"], shardsOn({ a: [51, 50], b: [50, 49] }), 8).groups).toEqual([])
    expect(planRebalance(["a", "b"], shardsOn({ a: [500, 0], b: [0, 0] }), 8).groups).toEqual([])
    expect(planRebalance(["a"], shardsOn({ a: [500, 3] }), 8).groups).toEqual([])
    expect(planRebalance([], shardsOn({ a: [500, 3] }), 8).groups).toEqual([])
  })

  it("keeps to its budget, narrows what lies between, and counting agrees with where it ends", () => {
    fc.assert(
      fc.property(evenly, fc.integer({ min: 1, max: 12 }), ({ runners, shards }, budget) => {
        const plan = planRebalance(runners, shards, budget)
        expect(plan.groups.flat().length).toBeLessThanOrEqual(budget)
        expect(apart(plan.after)).toBeLessThanOrEqual(apart(plan.before))
        const at = moved(shards, plan)
        for (const runner of runners) {
          const sum = shards.reduce((all, { load, shard }) => all + (at.get(shard) === runner ? load : 0), 0)
          expect(sum).toBe(plan.after.get(runner))
        }
        const placed = place({
          shardCount: shards.length,
          runners: runners.map((name) => ({ name, weight: 1, takes: true, leaves: false, balances: true })),
          holderOf: (shard) => at.get(shard),
          wishes: new Map(),
          balance: []
        })
        for (const [shard, runner] of at) expect(placed[shard]).toBe(runner)
      })
    )
  })
})

describe("parley cluster rebalance", () => {
  const busy = () => new FakeCluster(["a", "a", "a", "b", "b", "b"], [60, 50, 1, 1, 1, 1])
  const run = (cluster: FakeCluster, dry: boolean, moves = 8) =>
    rebalance(cluster, { pace: cluster, say: () => {}, moves, dry })

  it("moves what it planned, and pins only what was pinned before", async () => {
    const cluster = busy()
    const plan = await run(cluster, false)
    expect(apart(plan.after)).toBeLessThan(20)
    const moved = plan.groups.flat()
    expect(moved.map(({ shard, to }) => cluster.holders[shard - 1] === to)).toEqual([true, true])
    expect([...cluster.moves]).toEqual([])

    const pinned = busy()
    const first = moved[0]?.shard ?? 0
    await pinned.wish("PUT", `/v1/cluster/shards/${first}/runner/a`)
    await run(pinned, false)
    expect([...pinned.moves].map(([shard, { to }]) => [shard, to])).toEqual([[first, "b"]])
  })

  it("only says so with --dry, and leaves cordoned runners alone", async () => {
    const cluster = busy()
    expect((await run(cluster, true)).groups.length).toBe(1)
    cluster.nodes.get("b")!.cordoned = true
    expect((await run(cluster, false)).groups).toEqual([])
    expect(cluster.wishes).toEqual([])
  })
})
