import { assert, describe, it } from "@effect/vitest"
import type { Topic } from "../../src/log/Entry.ts"
import { Unstored } from "../../src/owner/Unstored.ts"

const told = () => {
  const floors: Array<string> = []
  return { floors, floor: (topic: Topic, id: string, seq: number) => void floors.push(`${topic} ${id} ${seq}`) }
}

describe("what the store lacks", () => {
  it("is one item for all that a record has of an entity, and one floor when it is stored", () => {
    const unstored = new Unstored()
    for (let seq = 1; seq <= 1_000; seq++) unstored.committed(7, "channel", "group:hot", seq)
    for (let seq = 1_001; seq <= 2_000; seq++) unstored.committed(8, "channel", "group:hot", seq)
    assert.strictEqual(unstored.count, 2)
    const { floor, floors } = told()
    unstored.stored(8, floor)
    assert.deepStrictEqual(floors, ["channel group:hot 2000"])
    assert.isFalse(unstored.has("channel", "group:hot"))
  })

  it("moves each entity's floor as far as the position went, and no further", () => {
    const unstored = new Unstored()
    unstored.committed(1, "channel", "group:a", 1)
    unstored.committed(1, "user", "group:a", 5)
    unstored.committed(1, "channel", "group:b", 9)
    unstored.committed(1, "channel", "group:a", 2)
    unstored.committed(2, "channel", "group:a", 3)
    const { floor, floors } = told()
    unstored.stored(1, floor)
    assert.sameMembers(floors, ["channel group:a 2", "channel group:b 9", "user group:a 5"])
    assert.isTrue(unstored.has("channel", "group:a"))
    assert.isFalse(unstored.has("channel", "group:b"))
    unstored.stored(1, floor)
    assert.lengthOf(floors, 3)
    unstored.stored(2, floor)
    assert.strictEqual(floors.at(-1), "channel group:a 3")
  })

  it("is taken note of in slices, which lose nothing", () => {
    const unstored = new Unstored()
    for (let position = 1; position <= 5; position++)
      unstored.committed(position, "channel", "group:hot", position * 10)
    const { floor, floors } = told()
    assert.isTrue(unstored.stored(4, floor, 3))
    assert.deepStrictEqual(floors, ["channel group:hot 30"])
    assert.isFalse(unstored.stored(4, floor, 3))
    assert.deepStrictEqual(floors, ["channel group:hot 30", "channel group:hot 40"])
    assert.isTrue(unstored.has("channel", "group:hot"))
    assert.isFalse(unstored.stored(5, floor, 3))
    assert.isFalse(unstored.has("channel", "group:hot"))
  })
})
