/** Which partitions the same nodes keep, by what the driver knows of the ring. */
import { assert, describe, it } from "@effect/vitest"
import { Upsert } from "../../src/cassandra/Cql.ts"
import { replicaSets, type Ring } from "../../src/cassandra/ReplicaSets.ts"

const put = new Upsert({ table: "t", key: ["id", "row"], set: ["value"] })
const at = (id: string) => put.at(1n, "value", id, "row")

/** As many nodes; a key's first char says which one is the first that keeps it. */
const ring = (localNodes: number, copies: number): Ring => ({
  localNodes,
  replicas: (key) =>
    Array.from({ length: Math.min(copies, localNodes) }, (_, next) => `node-${((key[0] ?? 0) + next) % localNodes}`)
})

describe("Sets of replicas", () => {
  it("where each node keeps everything, there is one", () => {
    for (const [nodes, copies] of [
      [1, 1],
      [3, 3],
      [2, 3]
    ] as const) {
      const set = replicaSets(ring(nodes, copies))
      assert.strictEqual(set(at("a")), set(at("b")))
      assert.isDefined(set(at("a")))
    }
  })

  it("else partitions are of one set if the same nodes keep them, whichever comes first", () => {
    const set = replicaSets(ring(6, 3))
    const sets = new Set("abcdefghijkl".split("").map((id) => set(at(id))))
    assert.strictEqual(sets.size, 6)
    assert.strictEqual(set(at("a")), set(at("g")))
    assert.notStrictEqual(set(at("a")), set(at("b")))
    const turned = replicaSets({ localNodes: 3, replicas: (key) => (key[0] === 97 ? ["x", "y"] : ["y", "x"]) })
    assert.strictEqual(turned(at("a")), turned(at("b")))
  })

  it("it is not known as long as the driver has not read the ring", () => {
    assert.isUndefined(replicaSets({ localNodes: 3, replicas: () => undefined })(at("a")))
  })
})
