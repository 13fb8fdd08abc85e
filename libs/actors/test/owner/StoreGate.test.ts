import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { expect } from "vitest"
import { StoreGate, storeQuestionsAtOnce, storeQuestionsWaitingMax } from "../../src/owner/StoreGate.ts"

/** A question that is answered when the test says so. */
const held = () => {
  const { promise, resolve } = Promise.withResolvers<number>()
  return { effect: Effect.promise(() => promise), resolve }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe("StoreGate", () => {
  it("asks so many questions at once and the others in the order in which they came", async () => {
    const gate = new StoreGate()
    const first = Array.from({ length: storeQuestionsAtOnce }, held)
    const asked: Array<number> = []
    const answered: Array<unknown> = []
    first.forEach(({ effect }) => gate.run(effect, () => answered.push("first")))
    for (let i = 0; i < 3; i++)
      gate.run(
        Effect.sync(() => asked.push(i)),
        (result) => answered.push(result)
      )
    await settled()
    expect(asked).toEqual([])
    expect(gate.waiting).toBe(3)
    first[7]?.resolve(1)
    await settled()
    await settled()
    expect(asked).toEqual([0, 1, 2])
    expect(answered).toEqual(["first", { ok: 1 }, { ok: 2 }, { ok: 3 }])
  })

  it("answers what fails with its error, never from within, and goes on", async () => {
    const gate = new StoreGate()
    const answers: Array<unknown> = []
    gate.run(Effect.fail("away"), (result) => answers.push(result))
    gate.run(Effect.succeed(1), (result) => answers.push(result))
    expect(answers).toEqual([])
    await settled()
    expect(answers.length).toBe(2)
    expect(answers[0]).toHaveProperty("error")
    expect(answers[1]).toEqual({ ok: 1 })
  })

  it("refuses what is beyond its bound", async () => {
    const gate = new StoreGate()
    for (let i = 0; i < storeQuestionsAtOnce + storeQuestionsWaitingMax; i++) gate.run(Effect.never, () => {})
    const answers: Array<unknown> = []
    gate.run(Effect.succeed(1), (result) => answers.push(result))
    await settled()
    expect(answers[0]).toHaveProperty("error")
  })
})
