/** What waits for an answer: taken once, in order, and not kept by V8 afterwards. */
import { assert, describe, it } from "@effect/vitest"
import { Pending } from "../src/Pending.ts"
import { collectYoung, oldSince } from "./OldObjects.ts"

const carriedBytes = 8_000
const carry = (n: number) => ({ carried: Array.from({ length: carriedBytes / 8 }, (_, i) => i + n * 0.5) })

describe("What waits for an answer", () => {
  it("is taken once, and the first is the one that came first", () => {
    const pending = new Pending<number, { readonly name: string }>()
    for (const [key, name] of ["a", "b", "c"].entries()) pending.add(key, { name })
    assert.deepStrictEqual(pending.take(0), { name: "a" })
    assert.isUndefined(pending.take(0))
    assert.deepStrictEqual(pending.first(), [1, { name: "b" }])
    assert.strictEqual(pending.size, 2)
    assert.deepStrictEqual(
      pending.takeAll().map(({ name }) => name),
      ["b", "c"]
    )
    assert.isUndefined(pending.first())
    assert.strictEqual(pending.size, 0)
  })

  it("leaves nothing among V8's old objects when it was taken", () => {
    const pending = new Pending<number, object>()
    const old = oldSince()
    const values = 2_000
    const atOnce = 4
    for (let n = 0; n < values; n++) {
      pending.add(n, carry(n))
      pending.take(n - atOnce)
      if (n % 10 === 0) collectYoung()
    }
    // A Map alone keeps all of it; what a collection finds in use is kept by both.
    assert.isBelow(old(), (values * carriedBytes) / 2)
  })
})
