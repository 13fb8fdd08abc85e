/** What a process has seen of the lease bucket. */
import { assert, describe, it } from "@effect/vitest"
import { balanceKey, noBalance } from "@parley/actors/cluster/LeaseEntries"
import { LeaseView } from "@parley/actors/cluster/LeaseView"

const entry = (value: unknown) => JSON.stringify(value)

describe("the view of the lease bucket", () => {
  it("an entry that is known already is no sign of life, however it comes again", () => {
    const view = new LeaseView()
    view.apply("runner.a", entry({ state: "active", weight: 1, beat: 1 }), 5, 100)
    view.apply("runner.a", entry({ state: "active", weight: 1, beat: 1 }), 5, 9_000)
    view.apply("runner.a", entry({ state: "active", weight: 1, beat: 0 }), 4, 9_000)
    assert.strictEqual(view.runners.get("a")?.seenAt, 100)
    assert.strictEqual(view.runners.get("a")?.beat, 1)
  })

  it("tells what changed, and when everything has been seen", () => {
    const view = new LeaseView()
    const told: Array<string> = []
    const stop = view.onChange((change) => void told.push(change._tag))
    view.apply("shard.3", entry({ runner: "a", epoch: 1 }), 1, 0)
    view.setPending(1)
    view.apply("move.3", entry({ runner: "b" }), 2, 0)
    view.setPending(0)
    stop()
    view.apply("shard.3", entry({ runner: "b", epoch: 2 }), 3, 0)
    assert.deepStrictEqual(told, ["Shard", "Wish", "CaughtUp"])
    assert.deepStrictEqual(view.shards.get(3), { runner: "b", epoch: 2, revision: 3, seenAt: 0 })
  })

  it("an entry of a later version is read for what it has, and one that can't be read is none", () => {
    const view = new LeaseView()
    view.apply("runner.a", entry({ state: "active", weight: 1, beat: 1, zone: "east" }), 1, 0)
    view.apply("shard.1", "{", 2, 0)
    view.apply("whatever.1", entry({}), 3, 0)
    assert.isTrue(view.runners.has("a"))
    assert.isFalse(view.shards.has(1))
  })

  it("has the step that is made because of loads, and none where it can't be read or was never made", () => {
    const view = new LeaseView()
    assert.deepStrictEqual(view.balance, noBalance)
    const moves = [{ shard: 1, from: "a", to: "b" }]
    view.apply(balanceKey, entry({ moves, recent: moves, count: 1, why: "later" }), 1, 0)
    assert.deepStrictEqual(view.balance, { moves, recent: moves, count: 1 })
    view.apply(balanceKey, entry({ moves: "later" }), 2, 0)
    assert.deepStrictEqual(view.balance, noBalance)
    // A runner of a release that knows no such step does not say that it carries one out.
    view.apply("runner.a", entry({ state: "active", weight: 1, beat: 1 }), 3, 0)
    assert.isUndefined(view.runners.get("a")?.balances)
  })

  it("a runner that was removed may come again", () => {
    const view = new LeaseView()
    view.apply("runner.a", entry({ state: "active", weight: 1, beat: 9 }), 7, 0)
    view.apply("runner.a", undefined, 8, 0)
    assert.isFalse(view.runners.has("a"))
    view.apply("runner.a", entry({ state: "active", weight: 1, beat: 10 }), 9, 50)
    assert.strictEqual(view.runners.get("a")?.seenAt, 50)
  })
})
