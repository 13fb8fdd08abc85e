import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { ChannelSnapshot } from "@parley/client/ChannelSnapshot"
import type { ViewMessage } from "@parley/client/ShownMessages"
import { cellsOf } from "../../../src/cli/chat/CellText.ts"
import { withoutStyles } from "../../../src/cli/chat/Line.ts"
import { rowsAfter } from "../../../src/cli/chat/MessageRows.ts"
import { layoutOf, paint, paneRows, type ScreenState } from "../../../src/cli/chat/Screen.ts"

const noon = new Date(2026, 4, 4, 12, 0).getTime()

const message = (seq: number, more: Partial<ViewMessage> = {}): ViewMessage => ({
  key: `k${seq}`,
  seq,
  at: noon + seq * 1_000,
  by: "ben",
  text: `text ${seq}`,
  mentions: [],
  edited: false,
  deleted: false,
  state: "sent",
  error: null,
  receipt: null,
  ...more
})

const channel = (more: Partial<ChannelSnapshot> = {}): ChannelSnapshot => ({
  channel: "public:lobby",
  status: "member",
  name: "Lobby",
  topic: "",
  members: 2,
  role: "member",
  fanout: "write",
  messages: [],
  more: false,
  loading: false,
  typing: [],
  receipts: null,
  unread: 0,
  mentions: 0,
  cursor: 0,
  position: 0,
  head: 0,
  last: null,
  ...more
})

const item = (name: string, unread = 0, mentions = 0) => ({
  channel: `public:${name}`,
  name,
  topic: "",
  members: 2,
  fanout: "write" as const,
  unread,
  mentions,
  last: null,
  head: 0
})

const state = (more: Partial<ScreenState> = {}): ScreenState => ({
  me: "ana",
  status: { state: "online" },
  now: noon,
  channels: [item("lobby"), item("team", 3, 1)],
  current: channel(),
  online: [],
  newAfter: null,
  scroll: 0,
  input: { text: "", cursor: 0 },
  notice: null,
  overlay: null,
  ...more
})

const size = { columns: 80, rows: 12 }
const shown = (more: Partial<ScreenState>, of = size) => paint(state(more), of).lines.map(withoutStyles)

describe("the screen", () => {
  it("shows channels with what is unread, messages, status and input", () => {
    const messages = [
      message(1, { by: "ana", text: "hello" }),
      message(2, { text: "hi @ana" }),
      message(3, { by: "ana", text: "half", state: "sending", seq: null })
    ]
    const lines = shown({
      current: channel({ messages, topic: "all and nothing" }),
      online: ["ben"],
      input: { text: "typed", cursor: 5 }
    })
    const all = lines.join("\n")
    expect(lines[0]).toMatch(/› lobby +│Lobby {2}public:lobby {2}2 members {2}all and nothing/)
    expect(lines[1]).toMatch(/^ {2}team +@3│/)
    expect(all).toMatch(/12:00 {8}ana │ hello ✓/)
    expect(all).toMatch(/12:00 {8}ben │ hi @ana/)
    expect(all).toMatch(/ana │ half ⋯/)
    expect(lines.at(-2)).toMatch(/^ ana · connected · online: ben · 3 unread elsewhere/)
    expect(lines.at(-1)).toMatch(/^> typed/)
  })

  it("is exactly as large as the terminal, whatever is to be seen", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: "grapheme" }),
      fc.string({ unit: fc.constantFrom("漢", "👩‍👩‍👧", "\x1b[2J", "\n", "long word ", "e\u0301") })
    )
    const messages = fc.array(
      fc.record({
        text,
        by: fc.constantFrom("ana", "ben", "a-very-long-user-name-indeed"),
        deleted: fc.boolean(),
        edited: fc.boolean(),
        state: fc.constantFrom("sent" as const, "sending" as const, "failed" as const),
        gap: fc.nat(90_000_000)
      }),
      { maxLength: 12 }
    )
    fc.assert(
      fc.property(
        messages,
        fc.integer({ min: 10, max: 140 }),
        fc.integer({ min: 5, max: 40 }),
        fc.nat(100),
        text,
        text,
        (list, columns, rows, scroll, name, input) => {
          let at = noon
          const made = list.map(({ gap, ...more }, index) => message(index + 1, { ...more, at: (at += gap) }))
          const current = channel({ messages: made, name, topic: input, typing: [name.slice(0, 5)] })
          const { cursor, lines } = paint(
            state({ current, scroll, newAfter: 3, input: { text: input, cursor: input.length } }),
            { columns, rows }
          )
          expect(lines.length).toBe(rows)
          for (const line of lines) expect(cellsOf(withoutStyles(line))).toBe(columns)
          expect(cursor.row).toBe(rows - 1)
          expect(cursor.column).toBeLessThan(columns)
        }
      ),
      { numRuns: 300 }
    )
  })

  it("neutralises what others wrote: no escape but its own styles", () => {
    const evil = "\x1b[2J\x1b]0;owned\x07\x9b1m"
    const { lines } = paint(
      state({
        current: channel({ name: evil, topic: evil, typing: [evil], messages: [message(1, { text: evil, by: evil })] }),
        channels: [item(evil)],
        notice: null,
        online: [evil]
      }),
      size
    )
    // oxlint-disable-next-line no-control-regex -- control characters are what this is about
    for (const line of lines) expect(withoutStyles(line)).not.toMatch(/[\x00-\x1f\x7f-\x9f]/)
    expect(lines.map(withoutStyles).join("")).toContain("␛[2J")
  })

  it("marks what is edited, deleted and failed, with the reason", () => {
    const failed = message(3, {
      by: "ana",
      seq: null,
      state: "failed",
      error: { code: "forbidden", message: "not here" }
    })
    const all = shown({
      current: channel({ messages: [message(1, { edited: true }), message(2, { deleted: true, text: "" }), failed] })
    }).join("\n")
    expect(all).toMatch(/text 1 \(edited\)/)
    expect(all).toMatch(/message deleted/)
    expect(all).toMatch(/text 3 ! not here \/retry \/discard/)
  })

  it("marks own messages as sent, delivered and read, and says by whom where it is not by all", () => {
    const own = (seq: number, deliveredTo: number, readBy: number) =>
      message(seq, { by: "ana", receipt: { deliveredTo, readBy, others: 2 } })
    const receipts = [
      { user: "ben", delivered: 4, read: 4 },
      { user: "cem", delivered: 4, read: 1 }
    ]
    const messages = [own(1, 2, 2), own(2, 2, 1), own(3, 1, 0), own(4, 2, 1)]
    const current = channel({ members: 3, messages, receipts })
    const painted = paint(state({ current }), size).lines.join("\n")
    const styled = (seq: number) => /text \d(.*?✓+)/.exec(painted.slice(painted.indexOf(`text ${seq}`)))?.[1]
    expect(styled(1)).toBe("\x1b[32m ✓✓")
    expect(styled(2)).toBe(" ✓")
    expect(styled(3)).toBe("\x1b[2m ✓")
    const lines = shown({ current })
    const newest = lines.findIndex((line) => line.includes("text 4"))
    expect(lines[newest + 1]).toMatch(/│ +read by ben +$/)
    expect(lines.join("\n").match(/read by/g)?.length).toBe(1)
    expect(shown({ current, scroll: 1 }).join("\n")).not.toContain("read by")
    const byAll = channel({ ...current, messages: [own(4, 2, 2)] })
    expect(shown({ current: byAll }).join("\n")).not.toContain("read by")
  })

  it("draws one rule above what is new, and one for each day", () => {
    const messages = [
      message(1),
      message(2, { by: "ana" }),
      message(3),
      message(4),
      message(5, { at: noon + 86_400_000 })
    ]
    const all = shown({ current: channel({ messages }), newAfter: 2 }, { columns: 80, rows: 20 }).join("\n")
    expect(all.match(/─ new ─/g)?.length).toBe(1)
    expect(all).toMatch(/new[\s\S]*text 3[\s\S]*text 4/)
    expect(all).toContain("Monday, 4 May 2026")
    expect(all).toContain("Tuesday, 5 May 2026")
  })

  it("scrolls back as far as there is something, and says when the top is in sight", () => {
    const messages = Array.from({ length: 30 }, (_, at) => message(at + 1))
    const end = paint(state({ current: channel({ messages }) }), size)
    expect(end.lines.join("\n")).toContain("text 30")
    expect(end.atTop).toBe(false)
    const top = paint(state({ current: channel({ messages }), scroll: 1_000 }), size)
    expect(top.lines.join("\n")).toContain("text 1")
    expect(top.atTop).toBe(true)
    expect(top.scroll).toBe(31 - paneRows(size))
  })

  it("does not move a reader who has scrolled back when new messages come", () => {
    const messages = Array.from({ length: 30 }, (_, at) => message(at + 1))
    const before = paint(state({ current: channel({ messages }), scroll: 10 }), size)
    const more = [...messages, message(31, { text: "long ".repeat(40) }), message(32, { at: noon + 90_000_000 })]
    const added = rowsAfter(more, "k30", { me: "ana", width: layoutOf(size).main, newAfter: null })
    const after = paint(state({ current: channel({ messages: more }), scroll: 10 + added }), size)
    expect(after.lines.slice(0, -3)).toEqual(before.lines.slice(0, -3))
  })

  it("counts down to the next attempt, and says why it stopped", () => {
    expect(shown({ status: { state: "waiting", until: noon + 2_500, reason: "x" } }).at(-2)).toContain(
      "reconnecting in 3 s"
    )
    expect(shown({ status: { state: "stopped", code: 4_305, reason: "not from here" } }).at(-2)).toContain(
      "disconnected: not from here"
    )
  })

  it("keeps the cursor in sight in a line that is longer than the screen", () => {
    const text = "x".repeat(200)
    const { cursor, lines } = paint(state({ input: { text, cursor: 200 } }), size)
    expect(withoutStyles(lines.at(-1)!)).toMatch(/^> …x+ $/)
    expect(cursor.column).toBe(79)
  })

  it("names who types, and drops the channel list where there is no room for it", () => {
    expect(shown({ current: channel({ typing: ["ben"] }) }).at(-3)).toContain("ben is typing…")
    expect(shown({ current: channel({ typing: ["a", "b", "c", "d"] }) }).at(-3)).toContain(
      "a, b, c and 1 more are typing…"
    )
    expect(shown({}, { columns: 50, rows: 10 })[0]).toMatch(/^Lobby/)
  })
})
