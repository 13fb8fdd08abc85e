import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { MessageWindow } from "../src/MessageWindow.ts"
import type { PlainEvent, PlainMessage } from "../src/PlainFrame.ts"

const message = (seq: number, more: Partial<PlainMessage> = {}): PlainMessage => ({
  seq,
  at: seq,
  by: "ben",
  kind: "message",
  cid: `c${seq}`,
  n: seq,
  text: `text ${seq}`,
  ...more
})
const edit = (seq: number, target: number, text = `edit ${seq}`): PlainEvent => ({
  seq,
  at: seq,
  by: "ben",
  kind: "edit",
  cid: `c${seq}`,
  target,
  text
})
const remove = (seq: number, target: number): PlainEvent => ({
  seq,
  at: seq,
  by: "ben",
  kind: "delete",
  cid: `c${seq}`,
  target
})

describe("MessageWindow", () => {
  it("applies an edit that overtook the page of history it belongs to", () => {
    const window = new MessageWindow(10, 10)
    window.pageAsked()
    window.apply(edit(11, 5))
    window.apply(remove(12, 6))
    expect(window.prepend(4, 10, [message(5), message(6)])).toBe(true)
    expect(window.messages.map(({ deleted, text }) => [text, deleted])).toEqual([
      ["edit 11", undefined],
      ["", 12]
    ])
  })

  it("forgets changes of messages it does not hold when no page is under way", () => {
    const window = new MessageWindow(10, 10)
    window.apply(edit(11, 5))
    window.pageAsked()
    // The page was asked for after the edit, so it has it.
    window.prepend(4, 10, [message(5, { text: "edit 11", edited: 11 })])
    expect(window.messages[0]?.text).toBe("edit 11")
  })

  it("refuses a page that more changes overtook than it can remember", () => {
    const window = new MessageWindow(10, 2)
    window.pageAsked()
    for (const seq of [11, 12, 13]) window.apply(edit(seq, 5))
    expect(window.prepend(4, 10, [message(5)])).toBe(false)
    window.pageAsked()
    expect(window.prepend(4, 10, [message(5, { text: "edit 13", edited: 13 })])).toBe(true)
  })

  it("refuses a page that leaves a hole below what is held", () => {
    const window = new MessageWindow(10, 10)
    window.pageAsked()
    expect(window.prepend(4, 8, [message(5)])).toBe(false)
    expect(window.floor).toBe(10)
  })

  it("†16 keeps a deleted message deleted, whatever edits come", () => {
    const window = new MessageWindow(0, 10)
    window.apply(message(1))
    window.apply(remove(3, 1))
    window.apply(edit(2, 1))
    window.apply({ ...edit(4, 1), void: true } as PlainEvent) // as a sync replays an edit of what was deleted
    expect(window.messages[0]).toMatchObject({ text: "", deleted: 3 })
  })

  it("ends the same when a change is applied twice, or before an older one", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            kind: fc.constantFrom("edit" as const, "delete" as const),
            target: fc.integer({ min: 1, max: 3 })
          })
        ),
        (changes) => {
          const start = [message(1), message(2), message(3)]
          const events = changes.map(({ kind, target }, at) =>
            kind === "edit" ? edit(at + 4, target) : remove(at + 4, target)
          )
          const once = new MessageWindow(0, 10)
          for (const event of [...start, ...events]) once.apply(event)
          const twice = new MessageWindow(0, 10)
          for (const event of [...start, ...events, ...events]) twice.apply(event)
          expect(twice.messages).toEqual(once.messages)
        }
      )
    )
  })

  it("trims the oldest, and says so by its floor", () => {
    const window = new MessageWindow(0, 10)
    for (const seq of [2, 4, 6, 8]) window.apply(message(seq))
    window.trim(2)
    expect(window.floor).toBe(4)
    expect(window.messages.map(({ seq }) => seq)).toEqual([6, 8])
    expect(window.find(4)).toBeUndefined()
  })
})
