import { it } from "@effect/vitest"
import * as fc from "fast-check"
import { describe, expect } from "vitest"
import type { StoredEvent } from "../../src/MessageStore.ts"
import { packEvents, unpackEvents } from "../../src/sqlite/EventColumns.ts"

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) })
const count = fc.maxSafeNat()
const anyEvent: fc.Arbitrary<StoredEvent> = fc.record({
  channel: latin1,
  generation: count,
  seq: count,
  kind: latin1,
  at: count,
  by: latin1,
  cid: latin1,
  bodyHash: latin1,
  n: count,
  target: count,
  body: latin1
})

describe("EventColumns", () => {
  it("gives back every event as it was, also after the clone between threads", () => {
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 20 }), (events) => {
        expect(unpackEvents(structuredClone(packEvents(events)))).toEqual(events)
      })
    )
  })
})
