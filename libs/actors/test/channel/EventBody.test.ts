import { ChannelEvent } from "@parley/protocol/Event"
import { fromWire } from "@parley/protocol/WireText"
import { Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { deletedMessage } from "@parley/storage/CurrentForm"
import { changedMessage, editBody, messageBody, messageFieldsOf } from "../../src/channel/EventBody.ts"
import { history, run, tightLimits } from "./ChannelHarness.ts"

const decode = Schema.decodeUnknownSync(ChannelEvent)
const encode = Schema.encodeSync(ChannelEvent)
/** The body as the Schema would write it. */
const bySchema = (body: string): string => JSON.stringify(encode(decode(JSON.parse(fromWire(body)))))

const fields = fc.record({
  seq: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  at: fc.integer({ min: 0, max: 2 ** 45 }),
  by: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/),
  cid: fc.uuid({ version: 7 }),
  n: fc.nat()
})
const text = fc.string({ unit: "binary", maxLength: 60 })
const mentions = fc.array(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/), { maxLength: 3 })
const seq = fc.oneof(fc.constant(0), fc.nat())

describe("bodies of channel events", () => {
  it("are what the Schema encodes, byte for byte: messages", () => {
    fc.assert(
      fc.property(fields, text, mentions, seq, seq, (fields, text, mentions, edited, deleted) => {
        const body = messageBody(fields, text, mentions, edited, deleted)
        expect(fromWire(body)).toBe(bySchema(body))
        expect(decode(JSON.parse(fromWire(body)))).toEqual({
          ...fields,
          kind: "message",
          text,
          ...(mentions.length === 0 ? {} : { mentions }),
          ...(edited === 0 ? {} : { edited }),
          ...(deleted === 0 ? {} : { deleted })
        })
      })
    )
  })

  it("are what the Schema encodes, byte for byte: edits", () => {
    fc.assert(
      fc.property(fields, text, mentions, fc.nat(), fc.boolean(), (fields, text, mentions, target, blank) => {
        const body = editBody(fields, target, text, mentions, blank)
        expect(fromWire(body)).toBe(bySchema(body))
      })
    )
  })

  it("are what the Schema encodes, byte for byte: every event of a channel's life", () => {
    fc.assert(
      fc.property(history, ({ channel, steps }) => {
        const { log, state } = run(channel, tightLimits, steps)
        for (const entry of log) {
          expect(fromWire(entry.body)).toBe(bySchema(entry.body))
          expect(JSON.parse(fromWire(entry.body))).toMatchObject({
            seq: entry.seq,
            at: entry.at,
            by: entry.by,
            kind: entry.kind
          })
        }
        for (const { body } of state.tailEvents(0, state.seq, 1_000)) expect(fromWire(body)).toBe(bySchema(body))
      })
    )
  })

  it("of messages say what is not text without being parsed, whatever the text looks like; others don't", () => {
    const sly = fc.oneof(
      text,
      fc.constantFrom(',"deleted":7}', '","n":9,', '{"seq":1,"at":2,"by":"x","kind":"message"')
    )
    fc.assert(
      fc.property(fields, sly, mentions, seq, seq, (fields, text, mentions, edited, deleted) => {
        const body = messageBody(fields, text, mentions, edited, deleted)
        expect(messageFieldsOf(body)).toEqual({ ...fields, deleted })
        // Also as a store or a tail makes them anew.
        const changed = changedMessage(body, { text, mentions, edited: deleted === 0 ? 9 : 0, deleted })
        expect(messageFieldsOf(changed)).toEqual({ ...fields, deleted })
        expect(messageFieldsOf(deletedMessage(body, 8))).toEqual({ ...fields, deleted: 8 })
        expect(messageFieldsOf(editBody(fields, 3, text, mentions, false))).toBeUndefined()
      })
    )
  })

  it("are one-byte strings", () => {
    fc.assert(
      fc.property(fields, text, (fields, text) => {
        // oxlint-disable-next-line no-control-regex
        expect(messageBody(fields, text, [], 0, 0)).toMatch(/^[\x00-\xff]*$/)
      })
    )
  })

  it("lose text, mentions and the mark of an edit with a delete", () => {
    const body = messageBody({ seq: 3, at: 5, by: "ann", cid: "c", n: 1 }, "secret", ["ben"], 4, 0)
    const deleted = changedMessage(body, { text: "", mentions: [], edited: 0, deleted: 6 })
    expect(JSON.parse(deleted)).toEqual({
      seq: 3,
      at: 5,
      by: "ann",
      kind: "message",
      cid: "c",
      n: 1,
      text: "",
      deleted: 6
    })
  })
})
