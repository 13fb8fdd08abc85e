import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as fc from "fast-check"
import { OpenBatch } from "../../src/log/OpenBatch.ts"
import { entriesOfRecord } from "../../src/log/SealedEntries.ts"
import { anyEntry, entry, eventsHeader as header } from "./Entries.ts"

const ownRecord = (content: unknown) => ({ position: 1, size: 100, content })

describe("entries of a record sealed here", () => {
  it("are those that decoding the same bytes gives", () => {
    fc.assert(
      fc.property(fc.array(anyEntry, { minLength: 1, maxLength: 12 }), (entries) => {
        const batch = new OpenBatch(1_048_576)
        for (const one of entries) batch.add({ entry: one }, 0)
        const { bytes } = batch.seal(header)
        const decoded = entriesOfRecord({ position: 1, bytes })
        assert.deepStrictEqual(entriesOfRecord(ownRecord(batch.content())), decoded)
        assert.deepStrictEqual(Result.getOrThrow(decoded), entries)
      })
    )
  })

  it("stay those of the record when the batch gathers the next ones", () => {
    const batch = new OpenBatch(1_048_576)
    batch.add({ entry: entry(1) }, 0)
    batch.seal(header)
    const content = batch.content()
    batch.reset()
    batch.add({ entry: entry(2) }, 0)
    assert.deepStrictEqual(
      Result.getOrThrow(entriesOfRecord(ownRecord(content))).map(({ seq }) => seq),
      [1]
    )
  })

  it("are not believed of other bytes: what is damaged is said", () => {
    const batch = new OpenBatch(1_048_576)
    batch.add({ entry: entry(1) }, 0)
    const copy = Uint8Array.from(batch.seal(header).bytes)
    copy[copy.length - 20]! ^= 1
    assert.isTrue(Result.isFailure(entriesOfRecord({ position: 1, bytes: copy })))
  })
})
