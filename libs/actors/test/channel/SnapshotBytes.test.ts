import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ByteReader, ByteWriter } from "../../src/channel/SnapshotBytes.ts"

type Value =
  | { readonly kind: "number"; readonly value: number }
  | { readonly kind: "text" | "wire"; readonly value: string }

const latin1 = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 60
})
const whole = fc.oneof(fc.maxSafeNat(), fc.nat(300), fc.nat())
const anyValue: fc.Arbitrary<Value> = fc.oneof(
  fc.record({ kind: fc.constant("number" as const), value: whole }),
  fc.record({
    kind: fc.constant("text" as const),
    value: fc.string({ unit: fc.oneof(fc.constantFrom("\ud800", "\udfff", "\u{1f600}"), latin1) })
  }),
  fc.record({ kind: fc.constant("wire" as const), value: latin1 })
)

const write = (writer: ByteWriter, values: ReadonlyArray<Value>): Uint8Array => {
  for (const { kind, value } of values) {
    if (kind === "number") writer.number(value)
    else writer[kind](value)
  }
  return new Uint8Array(writer.finish())
}

describe("bytes of a state at rest", () => {
  it("give back in order what was written, of one writer again and again", () => {
    const writer = new ByteWriter()
    fc.assert(
      fc.property(fc.array(anyValue, { maxLength: 60 }), (values) => {
        const reader = new ByteReader(write(writer, values))
        expect(values.map(({ kind }) => reader[kind]())).toEqual(values.map(({ value }) => value))
        expect(() => reader.number()).toThrow(RangeError)
      })
    )
  })

  it("hold numbers at every length, the largest included", () => {
    const writer = new ByteWriter()
    const values = Array.from({ length: 54 }, (_, bits) => [
      2 ** bits - 1,
      Math.min(2 ** bits, Number.MAX_SAFE_INTEGER)
    ])
    for (const value of values.flat()) writer.number(value)
    const reader = new ByteReader(writer.finish())
    for (const value of values.flat()) expect(reader.number()).toBe(value)
  })

  it("have room for a giant, and are refused where they are cut", () => {
    const writer = new ByteWriter()
    const giant = "ü".repeat(5_000_000)
    const bytes = write(writer, [
      { kind: "text", value: giant },
      { kind: "wire", value: giant }
    ])
    const reader = new ByteReader(bytes)
    expect(reader.text() === giant && reader.wire() === giant).toBe(true)
    expect(() => new ByteReader(bytes.subarray(0, 1_000)).text()).toThrow(RangeError)
    expect(new ByteReader(write(writer, [{ kind: "number", value: 5 }])).number()).toBe(5)
  })
})
