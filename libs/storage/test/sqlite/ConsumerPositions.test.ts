import { assert, it } from "@effect/vitest"
import { ConsumerPositions } from "../../src/sqlite/ConsumerPositions.ts"

it("a consumer's position only moves forward, and is handed over once for each move", () => {
  const positions = new ConsumerPositions()
  assert.isTrue(positions.advance("persister", 1, 5))
  assert.isFalse(positions.advance("persister", 1, 5))
  assert.isFalse(positions.advance("persister", 1, 4))
  assert.deepStrictEqual(positions.handOver(), [{ consumer: "persister", shard: 1, position: 5 }])
  assert.deepStrictEqual(positions.handOver(), [])
})

it("what was not stored is handed over again, but never over a later move", () => {
  const positions = new ConsumerPositions()
  positions.advance("persister", 1, 5)
  positions.advance("persister", 2, 1)
  const given = positions.handOver()
  positions.advance("persister", 1, 9)
  positions.again(given)
  assert.sameDeepMembers(
    [...positions.handOver()],
    [
      { consumer: "persister", shard: 1, position: 9 },
      { consumer: "persister", shard: 2, position: 1 }
    ]
  )
})

it("after a lost worker everything is handed over again, and what the file has never moves a position back", () => {
  const positions = new ConsumerPositions()
  positions.loaded([{ consumer: "fanout", shard: 1, position: 7 }])
  positions.advance("persister", 1, 5)
  positions.handOver()
  positions.allAgain()
  positions.loaded([{ consumer: "persister", shard: 1, position: 3 }])
  assert.strictEqual(positions.get("persister", 1), 5)
  assert.sameDeepMembers(
    [...positions.handOver()],
    [
      { consumer: "fanout", shard: 1, position: 7 },
      { consumer: "persister", shard: 1, position: 5 }
    ]
  )
})
