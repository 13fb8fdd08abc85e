import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ColumnsReader, ColumnsWriter } from "../../src/sqlite/Columns.ts"

type Value =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "text" | "wire"; readonly value: string }

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) })
const anyValue: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ kind: fc.constant("number" as const), value: fc.integer() }),
  fc.record({ kind: fc.constant("text" as const), value: fc.string({ unit: "grapheme" }) }),
  fc.record({ kind: fc.constant("wire" as const), value: latin1 })
)

describe("Columns", () => {
  it("give back in order what was written, also after the clone between threads", () => {
    fc.assert(
      fc.property(fc.array(anyValue, { maxLength: 40 }), (values) => {
        const writer = new ColumnsWriter()
        for (const { kind, value } of values) {
          if (kind === "number") writer.number(value)
          else if (kind === "text") writer.text(value)
          else writer.wire(Buffer.from(value, "latin1"))
        }
        const reader = new ColumnsReader(structuredClone(writer.finish()))
        expect(values.map(({ kind }) => reader[kind]())).toEqual(values.map(({ value }) => value))
        expect(() => reader.number()).toThrow(RangeError)
      })
    )
  })
})
