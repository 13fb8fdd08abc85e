/** A node is emptied at a pace, by wishes that can be said again, and whoever can't be relieved is told so first. */
import { describe, expect, it } from "vitest"
import { drainNode, nodeCalled, relief, undrainNode } from "../../../src/cli/cluster/Drain.ts"
import { TooLong } from "../../../src/cli/cluster/Pace.ts"
import { movesAtOnceMax } from "../../../src/cli/cluster/ShardMoves.ts"
import { FakeCluster } from "./FakeCluster.ts"

const [a, b, c] = ["a-0123456789aa", "b-0123456789bb", "c-0123456789cc"] as const

const drained = async (cluster: FakeCluster, name: string): Promise<ReadonlyArray<string>> => {
  const said: Array<string> = []
  await drainNode(cluster, name, cluster, (line) => said.push(line))
  return said
}

describe("parley cluster drain", () => {
  it("empties a node a few shards at a time, evenly, and says when it may be stopped", async () => {
    const cluster = new FakeCluster([a, b, c, a, b, c, a, b, c, a, b, c])
    const said = await drained(cluster, "b")
    expect(said[0]).toBe(`${b} takes no more shards and no more clients`)
    expect(said.at(-1)).toBe(`${b} is empty: it may be stopped now`)
    const count = (name: string) => cluster.holders.filter((holder) => holder === name).length
    expect([count(a), count(b), count(c)]).toEqual([6, 0, 6])
    expect(cluster.mostMoving).toBe(movesAtOnceMax)
    expect(cluster.nodes.get(b)).toEqual({ cordoned: true, leaving: true, connections: 0 })
    // Nothing is pinned to where it went.
    expect(cluster.moves.size).toBe(0)
  })

  it("goes on where it was ended, past nodes that can't say now, and is taken back", async () => {
    const cluster = new FakeCluster([a, b, b, b])
    await cluster.wish("PUT", `/v1/cluster/runners/${b}/cordon`)
    cluster.holders[1] = a
    const said: Array<string> = []
    await drainNode(cluster, b, cluster, (line) => {
      said.push(line)
      if (line.startsWith("shard")) cluster.failing = 2
    })
    expect(cluster.holders).toEqual([a, a, a, a])
    await undrainNode(cluster, "b")
    expect(cluster.nodes.get(b)).toEqual({ cordoned: false, leaving: false, connections: 0 })
  })

  it("refuses where nobody else takes shards, before it touches anything", async () => {
    const cluster = new FakeCluster([a, b])
    await cluster.wish("PUT", `/v1/cluster/runners/${a}/cordon`)
    await expect(drained(cluster, "b")).rejects.toThrow("nobody else takes its shards")
    expect(cluster.wishes.length).toBe(1)
  })

  it("ends with an error when a shard does not move", async () => {
    const cluster = new FakeCluster([a, b])
    cluster.moves.set = () => cluster.moves
    await expect(drained(cluster, "b")).rejects.toThrow(TooLong)
  })

  it("knows a node by its name, or by all of it where there are several", async () => {
    const status = await new FakeCluster([a, b, "b-ffffffffffff"]).status()
    expect(nodeCalled(status, "a")).toEqual({ runner: a, edge: a })
    expect(nodeCalled(status, b)).toEqual({ runner: b, edge: b })
    expect(() => nodeCalled(status, "b")).toThrow(`say which of ${b}, ${b}, b-ffffffffffff, b-ffffffffffff`)
    expect(() => nodeCalled(status, "x")).toThrow("no node is called x")
    const killed = {
      ...status,
      runners: status.runners.map((it) => (it.runner === b ? { ...it, state: "silent" as const } : it)),
      edges: status.edges.filter(({ edge }) => edge !== b)
    }
    expect(nodeCalled(killed, "b")).toEqual({ runner: "b-ffffffffffff", edge: "b-ffffffffffff" })
    const edgeOnly = { ...status, runners: [] }
    expect(nodeCalled(edgeOnly, "a")).toEqual({ runner: "", edge: a })
  })

  it("gives the heaviest to those who have the fewest", async () => {
    const cluster = new FakeCluster([a, b, b, b, c, c], [1, 9, 5, 1, 2, 2])
    expect(relief(await cluster.status(), b).map(({ shard, to }) => [shard, to])).toEqual([
      [2, a],
      [3, c],
      [4, a]
    ])
  })
})
