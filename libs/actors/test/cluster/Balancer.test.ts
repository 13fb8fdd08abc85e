/** Runners even out by themselves what their shards have to do, over a bucket that is slow and loses answers. */
import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Balancer } from "@parley/actors/cluster/Balancer"
import { LeaseView } from "@parley/actors/cluster/LeaseView"
import { ModelBucket, ModelNode, type Random, seeded } from "./LeaseModel.ts"

const shardCount = 12
const stepMs = 100
const longMs = 300_000

/** The first four have something to do, two of them much. */
const loadOf = (shard: number): number => [0, 300, 300, 200, 200][shard] ?? 1

/** Nothing is lost or late. */
const calm: Random = () => 0.5

const clusterOf = (random: Random) => {
  const bucket = new ModelBucket()
  const nodes: Array<ModelNode> = []
  const start = (name: string, balances = true): ModelNode => {
    const node = new ModelNode({ name, shardCount, bucket, random, loadOf, balances, onOpen: () => {} })
    nodes.push(node)
    return node
  }
  const die = (node: ModelNode) => {
    node.die()
    nodes.splice(nodes.indexOf(node), 1)
  }
  const end = () => {
    for (let node = nodes[0]; node !== undefined; node = nodes[0]) die(node)
  }
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
  const until = async (what: string, done: () => boolean) => {
    for (let at = 0; !done(); at += stepMs) {
      assert.isBelow(at, longMs, `${what}: ${JSON.stringify(held())}`)
      await pass(stepMs)
    }
  }
  const served = (node: ModelNode) => [...node.open.keys()].filter((shard) => node.serves(shard))
  const held = () => nodes.map((node) => [node.name, served(node)])
  const allServed = () => nodes.flatMap(served).length === shardCount
  const peak = () => Math.max(...nodes.map((node) => served(node).reduce((sum, shard) => sum + loadOf(shard), 0)))
  const write = (key: string, value: unknown) => void bucket.write(key, JSON.stringify(value))
  /** The busy ones to one node, as an operator would; then they are anybody's again. */
  const gather = async (node: ModelNode) => {
    for (let shard = 1; shard <= 4; shard++) write(`move.${shard}`, { runner: node.name })
    await until("the busy shards are together", () => allServed() && [1, 2, 3, 4].every((shard) => node.serves(shard)))
    for (let shard = 1; shard <= 4; shard++) bucket.write(`move.${shard}`, undefined)
  }
  const underWay = () => nodes.flatMap(({ view }) => view.balance.moves)
  const begun = () => nodes.reduce((sum, { balancer }) => sum + balancer.counts.begun, 0)
  return { nodes, start, die, end, pass, until, allServed, peak, write, gather, underWay, begun }
}

const refused = () => Promise.reject(new Error("not asked for"))
const write = (bucket: ModelBucket, key: string, value: unknown, at: number) =>
  bucket.write(key, JSON.stringify(value), at)

const started = async (random: Random, names: ReadonlyArray<string> = ["a", "b", "c"]) => {
  const cluster = clusterOf(random)
  for (const name of names) cluster.start(name)
  await cluster.until("all is served", () => cluster.allServed())
  return cluster
}

describe("runners that balance by load", () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "setImmediate", "performance"]
    })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it("spread the busy shards, and then leave all where it is", { timeout: 60_000 }, async () => {
    const cluster = await started(calm)
    const [a, b] = cluster.nodes
    assert(a !== undefined && b !== undefined)
    await cluster.gather(b)
    assert.isAtLeast(cluster.peak(), 1_000)
    await cluster.until("the load is even", () => cluster.allServed() && cluster.peak() <= 410)
    await cluster.until("nothing is under way", () => cluster.underWay().length === 0)
    const moved = cluster.begun()
    await cluster.pass(longMs)
    assert.strictEqual(cluster.begun(), moved)
    assert.isTrue(cluster.allServed())
    // One of them acts.
    assert.deepStrictEqual(a.balancer.counts, { begun: moved, done: moved, givenUp: 0 })
    cluster.end()
  })

  it("are refused where two of them act at once", async () => {
    const bucket = new ModelBucket()
    const twins = ["a", "b"].map((name) => {
      const view = new LeaseView()
      const balancer = new Balancer({
        name,
        bucket: { put: refused, remove: refused, swap: async (key, value, at) => write(bucket, key, value, at) },
        view,
        // It does not see the other.
        state: () => ({
          shardCount: 4,
          runners: [name, "x"].map((it) => ({ name: it, weight: 1, takes: true, leaves: false, balances: true })),
          holderOf: (shard) => (shard <= 2 ? name : "x"),
          wishes: new Map(),
          balance: view.balance.moves
        }),
        loadOf: (shard) => (shard <= 2 ? 100 : 1),
        now: () => performance.now(),
        log: () => {}
      })
      balancer.start()
      return balancer
    })
    for (let at = 0; bucket.entries.size === 0; at++) {
      assert.isBelow(at, longMs / stepMs)
      await vi.advanceTimersByTimeAsync(stepMs)
    }
    await vi.advanceTimersByTimeAsync(longMs)
    assert.deepStrictEqual(
      twins.map(({ counts }) => counts.begun),
      [2, 0]
    )
    for (const twin of twins) twin.stop()
  })

  it("go on when the one that acts dies in the midst of a step", { timeout: 60_000 }, async () => {
    for (const seed of [11, 12, 13]) {
      const cluster = await started(seeded(seed))
      const [a, b] = cluster.nodes
      assert(a !== undefined && b !== undefined)
      await cluster.gather(b)
      await cluster.until("a step is under way", () => cluster.underWay().length > 0)
      assert.isAbove(a.balancer.counts.begun, 0)
      cluster.die(a)
      await cluster.until("the other two are even", () => cluster.allServed() && cluster.peak() <= 510)
      await cluster.until("nothing is under way", () => cluster.underWay().length === 0)
      cluster.end()
    }
  })

  it("give a step up when the runner dies that was to have the shard", { timeout: 60_000 }, async () => {
    for (const seed of [21, 22, 23]) {
      const cluster = await started(seeded(seed))
      const [a, b] = cluster.nodes
      assert(a !== undefined && b !== undefined)
      await cluster.gather(a)
      await cluster.until("a step is under way", () => cluster.underWay().length > 0)
      const target = cluster.nodes.find(({ name }) => cluster.underWay().some(({ to }) => to === name && to !== "a"))
      assert(target !== undefined)
      cluster.die(target)
      await cluster.until("nothing is under way", () => cluster.underWay().length === 0)
      await cluster.until("the other two are even", () => cluster.allServed() && cluster.peak() <= 510)
      cluster.end()
    }
  })

  it("leave alone what an operator pinned, and runners that are cordoned", { timeout: 60_000 }, async () => {
    const cluster = await started(calm)
    const [a, b, c] = cluster.nodes
    assert(a !== undefined && b !== undefined && c !== undefined)
    await cluster.gather(b)
    cluster.write("cordon.c", { runner: "c" })
    cluster.write("move.1", { runner: "b" })
    cluster.write("move.2", { runner: "b" })
    const ofC = [...c.open.keys()]
    await cluster.until("the others have gone", () => cluster.allServed() && a.serves(3) && a.serves(4))
    await cluster.pass(longMs)
    assert.isTrue(b.serves(1) && b.serves(2))
    assert.deepStrictEqual([...c.open.keys()], ofC)
    cluster.end()
  })

  it(
    "move nothing while one of them does not take part, an older one or one where it is off",
    { timeout: 60_000 },
    async () => {
      const cluster = await started(calm, ["a", "b"])
      const [, b] = cluster.nodes
      assert(b !== undefined)
      const old = cluster.start("old", false)
      await cluster.until("it has shards", () => cluster.allServed() && old.open.size > 0)
      await cluster.gather(b)
      await cluster.pass(longMs)
      assert.strictEqual(cluster.begun(), 0)
      cluster.die(old)
      await cluster.until("the load is even", () => cluster.allServed() && cluster.peak() <= 510)
      cluster.end()
    }
  )
})
