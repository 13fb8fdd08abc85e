import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as Edit from "../../../src/cli/chat/LineEditor.ts"

const typed = (text: string) => Edit.insert(Edit.emptyLine, text)
const marked = ({ cursor, text }: Edit.LineEditor) => `${text.slice(0, cursor)}|${text.slice(cursor)}`

describe("LineEditor", () => {
  it("moves and deletes by what a reader takes for one character", () => {
    const line = typed("a👩‍👩‍👧e\u0301")
    expect(marked(Edit.left(line))).toBe("a👩‍👩‍👧|e\u0301")
    expect(marked(Edit.backspace(Edit.left(line)))).toBe("a|e\u0301")
    expect(marked(Edit.right(Edit.home(line)))).toBe("a|👩‍👩‍👧e\u0301")
    expect(marked(Edit.remove(Edit.right(Edit.home(line))))).toBe("a|e\u0301")
  })

  it("moves by words and cuts them", () => {
    const line = typed("one two  three")
    expect(marked(Edit.wordLeft(line))).toBe("one two  |three")
    expect(marked(Edit.wordLeft(Edit.wordLeft(line)))).toBe("one |two  three")
    expect(marked(Edit.wordRight(Edit.home(line)))).toBe("one| two  three")
    expect(marked(Edit.cutWord(line))).toBe("one two  |")
    expect(marked(Edit.cutWord(Edit.cutWord(line)))).toBe("one |")
  })

  it("cuts to both ends, and pastes what was cut", () => {
    const middle = Edit.wordLeft(typed("one two"))
    expect(marked(Edit.cutToStart(middle))).toBe("|two")
    expect(marked(Edit.cutToEnd(middle))).toBe("one |")
    expect(marked(Edit.paste(Edit.end(Edit.cutToStart(middle))))).toBe("twoone |")
  })

  it("walks through what was written before, and back to the line being written", () => {
    let line = Edit.taken(typed("first"))
    line = Edit.taken(Edit.insert(line, "second"))
    line = Edit.insert(line, "draft")
    line = Edit.recall(line, 1)
    expect(line.text).toBe("second")
    line = Edit.recall(Edit.recall(line, 1), 1)
    expect(line.text).toBe("first")
    line = Edit.recall(Edit.recall(line, -1), -1)
    expect(marked(line)).toBe("draft|")
    expect(Edit.recall(line, -1)).toBe(line)
  })

  it("does not take more than a message may have", () => {
    expect(Edit.insert(typed("x"), "ж".repeat(10_000)).text).toBe("x")
  })

  it("completes a mention or a command as far as the candidates agree", () => {
    const candidates = ["@ana", "@anastasia", "@ben", "/join"]
    expect(Edit.complete(typed("hi @b"), candidates)).toMatchObject({ text: "hi @ben " })
    expect(Edit.complete(typed("hi @a"), candidates)).toMatchObject({ text: "hi @ana" })
    expect(Edit.complete(typed("hi @ana"), candidates)).toBeNull()
    expect(Edit.complete(typed("/jo"), candidates)).toMatchObject({ text: "/join " })
    expect(Edit.complete(typed("hello"), candidates)).toBeNull()
  })

  it("keeps the cursor within the text and between characters, whatever keys come", () => {
    const keys = fc.constantFrom(
      Edit.left,
      Edit.right,
      Edit.wordLeft,
      Edit.wordRight,
      Edit.home,
      Edit.end,
      Edit.backspace,
      Edit.remove,
      Edit.cutWord,
      Edit.cutToStart,
      Edit.cutToEnd,
      Edit.paste,
      Edit.taken,
      (line: Edit.LineEditor) => Edit.recall(line, 1),
      (line: Edit.LineEditor) => Edit.recall(line, -1)
    )
    const step = fc.oneof(
      keys,
      fc.string({ unit: "grapheme", maxLength: 4 }).map((text) => (line: Edit.LineEditor) => Edit.insert(line, text))
    )
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const line = steps.reduce((now, next) => next(now), Edit.emptyLine)
        expect(line.cursor).toBeGreaterThanOrEqual(0)
        expect(line.cursor).toBeLessThanOrEqual(line.text.length)
        expect(line.text.slice(0, line.cursor).isWellFormed()).toBe(true)
      })
    )
  })
})
