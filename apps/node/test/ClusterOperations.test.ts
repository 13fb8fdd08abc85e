/** What an operator is shown of shards: who has them, what they have to do, and what the cluster moved by itself. */
import { Effect } from "effect"
import { expect, it } from "vitest"
import { balanceKey } from "@parley/actors/cluster/LeaseEntries"
import { leaseTimings } from "@parley/actors/cluster/LeaseTimings"
import { LeaseView } from "@parley/actors/cluster/LeaseView"
import { WorkView } from "@parley/actors/cluster/WorkView"
import { operationsOf } from "../src/ClusterOperations.ts"
import { statusText } from "../src/cli/cluster/StatusText.ts"

const loads = [400, 30, 0, undefined, 20, 25]

const cluster = () => {
  const view = new LeaseView()
  let revision = 0
  const write = (key: string, value: unknown) => view.apply(key, JSON.stringify(value), ++revision, performance.now())
  for (const name of ["a", "b"]) write(`runner.${name}`, { state: "active", weight: 1, beat: 1, balances: true })
  for (let shard = 1; shard <= loads.length; shard++)
    write(`shard.${shard}`, { runner: shard % 2 ? "a" : "b", epoch: 1 })
  const operations = operationsOf(
    "chat",
    {
      view,
      shardCount: loads.length,
      timings: leaseTimings,
      cordon: () => Effect.void,
      uncordon: () => Effect.void,
      move: () => Effect.void,
      forgetMove: () => Effect.void
    },
    new WorkView({ view, timings: leaseTimings, shardCount: loads.length }),
    { of: (shard) => loads[shard - 1] },
    { all: () => [], leave: () => Effect.succeed(false) }
  )
  return { write, status: operations.status }
}

it("shows a shard that is too much for a runner as hot, and one that nobody speaks of as idle", () => {
  const { status } = cluster()
  const { runners, shards } = status()
  expect(shards.filter(({ hot }) => hot).map(({ shard }) => shard)).toEqual([1])
  expect(shards[3]?.load).toBe(0)
  expect(runners.map(({ load, runner, shards }) => [runner, shards, load])).toEqual([
    ["a", 3, 420],
    ["b", 3, 55]
  ])
})

it("tells what the cluster moved because of its load, or has on its way, from what an operator wants", () => {
  const { status, write } = cluster()
  const balanced = () => status().shards.flatMap(({ balanced, shard }) => (balanced ? [shard] : []))
  expect(balanced()).toEqual([])
  const give = { shard: 5, from: "a", to: "b" }
  const take = { shard: 4, from: "b", to: "a" }
  write(balanceKey, { moves: [give, take], recent: [give, take], count: 2 })
  expect(balanced()).toEqual([4, 5])
  write("shard.5", { runner: "b", epoch: 2 })
  write(balanceKey, { moves: [], recent: [give, take], count: 2 })
  // The other one never came.
  expect(balanced()).toEqual([5])
  expect(statusText(status())).toContain("shard 5  b  epoch 2  load 20/s  balanced\n")
  // An operator moved it elsewhere.
  write("move.5", { runner: "a" })
  write("shard.5", { runner: "a", epoch: 3 })
  expect(balanced()).toEqual([])
  expect(status().shards[4]?.wanted).toBe("a")
})
