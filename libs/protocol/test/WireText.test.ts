/** Wire text is UTF-8, byte for byte. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { fromWire, toWire } from "../src/WireText.ts"

const WellFormed = Schema.String.check(Schema.makeFilter((text: string) => text.isWellFormed()))

describe("WireText", () => {
  it.effect.prop("comes back as the string it stands for, and holds its UTF-8 bytes", [WellFormed], ([text]) =>
    Effect.sync(() => {
      const wire = toWire(text)
      assert.deepStrictEqual(Buffer.from(wire, "latin1"), Buffer.from(text, "utf8"))
      assert.strictEqual(fromWire(wire), text)
    })
  )
  it("keeps every plane of Unicode", () => {
    for (const text of ["", "ascii\0\u007f", "\u0080\u00ff", "\u0430\u4e2d", "\u{1f389}\u{10ffff}"]) {
      assert.strictEqual(fromWire(toWire(text)), text)
      assert.strictEqual(toWire(text).length, Buffer.byteLength(text))
    }
  })
})
