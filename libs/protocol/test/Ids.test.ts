/** Ids become subjects, CQL values and file names: what could mean anything there is refused. */
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { clientIdTime } from "../src/ClientIdTime.ts"
import { ChannelId, ClientId, DeviceId, Position, Seq, UserId } from "../src/Ids.ts"

const accepts = (schema: Schema.Codec<unknown, unknown>, value: unknown) => Schema.is(schema)(value)

/** What must not get into a subject, a path or a statement, at any place of an id. */
const bad = [
  ".",
  "*",
  ">",
  "/",
  "\\",
  "\0",
  " ",
  "\t",
  "\n",
  "\r",
  ":",
  "'",
  '"',
  "%",
  "$",
  "\u00e9",
  "\u0430",
  "\u{1f389}",
  "\ud800"
]

describe("UserId and DeviceId", () => {
  for (const schema of [UserId, DeviceId]) {
    it("take letters, digits, _ and -", () => {
      for (const id of ["a", "Z", "0", "ada", "a_b-C9", "a".repeat(64)]) assert.isTrue(accepts(schema, id), id)
    })
    it("refuse the empty, the too long and what begins with _ or -", () => {
      for (const id of ["", "a".repeat(65), "_a", "-a", "..", "../ada"]) assert.isFalse(accepts(schema, id), id)
    })
    it("refuse what has a meaning elsewhere, at any place", () => {
      for (const char of bad) {
        for (const id of [char, `${char}a`, `a${char}`, `a${char}a`])
          assert.isFalse(accepts(schema, id), JSON.stringify(id))
      }
    })
    it("refuse what is no string", () => {
      for (const id of [1, null, undefined, {}, ["ada"]]) assert.isFalse(accepts(schema, id))
    })
  }
})

describe("ChannelId", () => {
  it("is a type and an id", () => {
    for (const id of ["dm:x", "group:general", "t_1:A-b_C", `${"t".repeat(32)}:${"a".repeat(64)}`]) {
      assert.isTrue(accepts(ChannelId, id), id)
    }
  })
  it("is nothing with a part missing, too long, or of another grammar", () => {
    const ids = ["", ":", "a:", ":a", "general", "A:b", "1a:b", "_a:b", "a-b:c", "a:_b", "a:-b", "a::b", "a:b:c"]
    for (const id of [...ids, `${"t".repeat(33)}:a`, `a:${"a".repeat(65)}`]) assert.isFalse(accepts(ChannelId, id), id)
  })
  it("refuses what has a meaning elsewhere, at any place", () => {
    for (const char of bad) {
      for (const id of [`${char}group:x`, `gr${char}oup:x`, `group:${char}x`, `group:x${char}`, `group:x${char}y`]) {
        assert.isFalse(accepts(ChannelId, id), JSON.stringify(id))
      }
    }
  })
})

describe("ClientId", () => {
  it("is a UUIDv7 in lower case and tells its time", () => {
    const id = "01a20ddb-3700-7a31-8f1e-5b2f6c1d9e01"
    assert.isTrue(accepts(ClientId, id))
    assert.strictEqual(clientIdTime(id), Date.UTC(2026, 10, 24, 14))
    assert.strictEqual(clientIdTime("ffffffff-ffff-7fff-bfff-ffffffffffff"), 2 ** 48 - 1)
  })
  it("is no UUID of another version, variant, case or notation", () => {
    for (const id of [
      "",
      "01A20DDB-3700-7A31-8F1E-5B2F6C1D9E01",
      "01a20ddb-3700-4a31-8f1e-5b2f6c1d9e01",
      "01a20ddb-3700-1a31-8f1e-5b2f6c1d9e01",
      "01a20ddb-3700-7a31-0f1e-5b2f6c1d9e01",
      "01a20ddb-3700-7a31-cf1e-5b2f6c1d9e01",
      "01a20ddb37007a318f1e5b2f6c1d9e01",
      "{01a20ddb-3700-7a31-8f1e-5b2f6c1d9e01}",
      "01a20ddb-3700-7a31-8f1e-5b2f6c1d9e01\n",
      "01a20ddb-3700-7a31-8f1e-5b2f6c1d9e0",
      "01a20ddb-3700-7a31-8f1e-5b2f6c1d9e011",
      "00000000-0000-0000-0000-000000000000"
    ])
      assert.isFalse(accepts(ClientId, id), id)
  })
})

describe("Seq", () => {
  it("is a whole number from 0 to 2^53 - 1", () => {
    for (const seq of [0, 1, 2 ** 53 - 1]) assert.isTrue(accepts(Seq, seq))
    for (const seq of [-1, 0.5, 2 ** 53, 2 ** 60, 1e300, NaN, Infinity, "1", null, 1n])
      assert.isFalse(accepts(Seq, seq))
  })
  it("is refused where JSON.parse has rounded a number beyond 2^53", () => {
    const read = (seq: string) => accepts(Position, JSON.parse(`{"generation":0,"seq":${seq}}`))
    assert.isTrue(read("9007199254740991"))
    assert.isFalse(read("9007199254740993"))
    assert.isFalse(read("18446744073709551615"))
  })
})
