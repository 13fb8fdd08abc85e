/** Frames of every op with fields of every kind: each is answered exactly once, and the edge goes on. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { ops } from "@parley/protocol/Frame"
import { decodeOp, isOp, parseFrame } from "../../src/edge/Frames.ts"
import { clientId, EdgeHarness } from "./EdgeHarness.ts"

let harness: EdgeHarness
beforeAll(async () => {
  const many = 1_000_000
  harness = await EdgeHarness.start({
    framesPerSecond: many,
    sendsPerSecond: many,
    mutationsPerSecond: many,
    readsPerSecond: many,
    ephemeralPerSecond: many,
    eventLoopLagMs: 60_000
  })
  harness.owners.channel("team:a", ["ann", "bob"])
})
afterAll(() => harness.stop())

/** Values that are sometimes right, so that frames get past the schema too. */
const value = fc.oneof(
  fc.constantFrom("team:a", "team:b", "ann", "bob", "d1", "online", true, 0, 1, 2, 3, [], {}, null, -1, 1.5, 2 ** 53),
  fc.constant(["ann"]),
  fc.constant({ generation: 1, seq: 0 }),
  fc.constant([["team:a", 1, 1]]),
  fc.string({ unit: "binary", maxLength: 30 }),
  fc.jsonValue({ maxDepth: 3 })
)
const fields = fc.dictionary(
  fc.constantFrom(...new Set(Object.values(ops).flatMap((op) => Object.keys(op.fields))), "__proto__", "x"),
  value,
  { maxKeys: 8 }
)
const frame = fc.tuple(
  fc.constantFrom(...Object.keys(ops).filter((op) => op !== "leave"), "dance"),
  fields,
  fc.boolean()
)

describe("random frames", () => {
  it("are each answered exactly once by a live connection", async () => {
    const bob = await harness.join("bob")
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 20 }), async (frames) => {
        const ann = await harness.join("ann")
        const ids = frames.map(([op, values, named]) => {
          const { id: _id, op: _op, ...others } = values
          return ann.post(op, { ...others, ...(named ? { cid: clientId(), channel: "team:a" } : {}) })
        })
        for (const id of ids) await ann.answer(id)
        await ann.request("ping")
        const answered = ann.frames.filter((answer) => ids.includes(answer["re"])).map((answer) => answer["re"])
        expect(answered.sort((a, b) => a - b)).toEqual(ids)
        ann.socket.terminate()
      }),
      { numRuns: 40 }
    )
    expect((await bob.request("ping"))["ok"]).toBeDefined()
  })

  it("never make the decoder throw, whatever the bytes are", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string(),
          frame.map(([op, values]) => JSON.stringify({ ...values, id: 1, op }))
        ),
        (text) => {
          const parsed = parseFrame(text)
          if (parsed._tag === "Frame" && isOp(parsed.op)) decodeOp(parsed.op, parsed.value)
        }
      ),
      { numRuns: 2_000 }
    )
  })
})
