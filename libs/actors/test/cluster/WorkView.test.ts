/** Who works on what, as one process has seen the lease bucket. */
import { assert, describe, it } from "@effect/vitest"
import { LeaseView } from "@parley/actors/cluster/LeaseView"
import { WorkView } from "@parley/actors/cluster/WorkView"

const timings = { leaseMs: 3_000, marginMs: 100 }
const shardCount = 4

const world = () => {
  const view = new LeaseView()
  const work = new WorkView({ view, timings, shardCount })
  let revision = 0
  let changes = 0
  work.onChange(() => changes++)
  const put = (key: string, entry: object | undefined, now: number) =>
    view.apply(key, entry === undefined ? undefined : JSON.stringify(entry), ++revision, now)
  return {
    view,
    work,
    changes: () => changes,
    runner: (name: string, now: number, works?: boolean) =>
      put(`runner.${name}`, { state: "active", weight: 1, beat: now, ...(works === undefined ? {} : { works }) }, now),
    worker: (name: string, now: number, state = "active") => put(`worker.${name}`, { state, beat: now }, now),
    shard: (shard: number, runner: string, now: number) => put(`shard.${shard}`, { runner, epoch: 1 }, now),
    seen: () => {
      view.setPending(0)
      work.look()
      return Array.from({ length: shardCount }, (_, index) => work.workerOf(index + 1))
    }
  }
}

describe("the view of who works", () => {
  it("knows nothing before the bucket was seen whole, not even that nobody works", () => {
    const { runner, seen, shard, view, work } = world()
    view.setPending(7)
    runner("r1", 0, false)
    shard(1, "r1", 0)
    work.look()
    assert.isFalse(work.seen)
    assert.isUndefined(work.workerOf(1))
    seen()
    assert.isTrue(work.seen)
    assert.strictEqual(work.workerOf(1), "r1")
  })

  it("has a runner of an older release, which says nothing of its role, work on what it holds", () => {
    const { runner, seen, shard, worker } = world()
    runner("r1", 0)
    runner("r2", 0, false)
    worker("w.1", 0)
    for (const each of [1, 2]) shard(each, "r1", 0)
    for (const each of [3, 4]) shard(each, "r2", 0)
    assert.deepStrictEqual(seen(), ["r1", "r1", "w.1", "w.1"])
  })

  it("gives a worker's shards to another when it is silent for longer than others, or says that it goes", () => {
    const { changes, runner, seen, shard, worker } = world()
    runner("r1", 0, false)
    for (let each = 1; each <= shardCount; each++) shard(each, "r1", 0)
    for (const name of ["w.1", "w.2", "w.3"]) worker(name, 0)
    assert.deepStrictEqual(new Set(seen()), new Set(["w.1", "w.2", "w.3"]))
    runner("r1", 3_050, false)
    for (const name of ["w.2", "w.3"]) worker(name, 3_050)
    const before = changes()
    seen()
    assert.strictEqual(changes(), before)
    runner("r1", 3_101, false)
    assert.deepStrictEqual(new Set(seen()), new Set(["w.2", "w.3"]))
    worker("w.3", 3_102, "gone")
    assert.deepStrictEqual(new Set(seen()), new Set(["w.2"]))
  })

  it("changes nothing while it hears of nobody: its own watch may be cut off", () => {
    const { changes, runner, seen, shard, view, work, worker } = world()
    runner("r1", 0, false)
    worker("w.1", 10)
    shard(1, "r1", 0)
    seen()
    const before = changes()
    view.caughtUp = false
    runner("r1", 9_000, false)
    work.look()
    assert.strictEqual(work.workerOf(1), "w.1")
    worker("w.1", 9_001)
    assert.strictEqual(seen()[0], "w.1")
    assert.strictEqual(changes(), before)
  })

  it("has runners work on their own shards while no worker lives, and a lost runner's shards nobody", () => {
    const { runner, seen, shard, worker } = world()
    runner("r1", 0, false)
    runner("r2", 0, false)
    shard(1, "r1", 0)
    shard(2, "r2", 0)
    worker("w.1", 0)
    assert.deepStrictEqual(seen(), ["w.1", "w.1", "w.1", "w.1"])
    runner("r1", 5_000, false)
    assert.deepStrictEqual(seen(), ["r1", undefined, undefined, undefined])
  })
})
