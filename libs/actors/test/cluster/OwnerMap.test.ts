import { assert, describe, it } from "@effect/vitest"
import { MemoryOwnerDirectory } from "@parley/actors/cluster/MemoryOwnerDirectory"
import { OwnerMap } from "@parley/actors/cluster/OwnerMap"
import { FakeRunner, shardCount } from "./Nats.ts"

const mapOf = () => {
  const directory = new MemoryOwnerDirectory()
  const changed: Array<number> = []
  const owners = new OwnerMap({ shardCount, directory: directory.service, onRoute: (shard) => changed.push(shard) })
  const at = () => {
    const route = owners.routeOf(3)
    return route === undefined ? undefined : [route.runner, route.epoch]
  }
  /** The owner that is believed in says "not mine". */
  const refuse = (epochThere = 0) => {
    const route = owners.routeOf(3)
    if (route !== undefined) owners.refused(3, route, epochThere)
  }
  return { at, changed, directory, owners, refuse }
}

describe("whom a process holds for a shard's owner", () => {
  it("is what the directory says while nobody has said anything", () => {
    const { at, directory } = mapOf()
    assert.isUndefined(at())
    directory.set(3, { runner: "one", epoch: 5 })
    assert.deepStrictEqual(at(), ["one", 5])
  })

  it("is nobody after a refusal, until the directory or the owner says something new", () => {
    const { at, directory, owners, refuse } = mapOf()
    directory.set(3, { runner: "one", epoch: 5 })
    refuse()
    assert.isUndefined(at())
    assert.deepStrictEqual(directory.refreshed, [3])
    directory.set(3, { runner: "one", epoch: 5 })
    assert.isUndefined(at(), "the same again says nothing")
    owners.announced("one", 3, 5)
    assert.deepStrictEqual(at(), ["one", 5])
    refuse()
    directory.set(3, { runner: "two", epoch: 6 })
    assert.deepStrictEqual(at(), ["two", 6])
  })

  it("goes by the owner's own epoch where that is above its lease's", () => {
    const { at, directory, refuse } = mapOf()
    directory.set(3, { runner: "one", epoch: 5 })
    refuse(9)
    assert.deepStrictEqual(at(), ["one", 9])
    // What the directory says again is about the same lease.
    directory.set(3, { runner: "one", epoch: 5 })
    assert.deepStrictEqual(at(), ["one", 9])
    // The next lease may have a lower epoch than the owner had.
    directory.set(3, { runner: "two", epoch: 7 })
    assert.deepStrictEqual(at(), ["two", 7])
  })

  it("is not set back by an announcement that was long on its way", () => {
    const { at, owners } = mapOf()
    owners.announced("two", 3, 8)
    owners.announced("one", 3, 7)
    assert.deepStrictEqual(at(), ["two", 8])
    owners.announced("three", 3, 9)
    assert.deepStrictEqual(at(), ["three", 9])
  })

  it("is the runner of this process as soon as it serves, and not any longer", () => {
    const { at, changed, directory, owners } = mapOf()
    const runner = new FakeRunner("here")
    runner.epochs.set(3, 9)
    owners.own(3, runner)
    directory.set(3, { runner: runner.name, epoch: 6 })
    assert.strictEqual(owners.routeOf(3)?.local, runner)
    owners.disown(3, runner)
    assert.isUndefined(at())
    assert.deepStrictEqual(changed, [3])
  })

  it("is another one when the lease of this process's runner is another's", () => {
    const { at, directory, owners } = mapOf()
    const runner = new FakeRunner("here")
    runner.epochs.set(3, 9)
    owners.own(3, runner)
    directory.set(3, { runner: "two", epoch: 10 })
    assert.deepStrictEqual(at(), ["two", 10])
  })
})
