import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { cellsOf, clip, clustersOf, harmless, harmlessLine, pad, wrap } from "../../../src/cli/chat/CellText.ts"

// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const dangerous = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/

const anyText = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
  fc.string({
    unit: fc.constantFrom("\x1b", "[", "2", "J", "漢", "👩‍👩‍👧", "e\u0301", " ", "a", "\n", "\t", "\x9b", "\u202e")
  })
)

describe("text for a terminal", () => {
  it("leaves no control character that a terminal would obey, whatever somebody wrote", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(harmless(text)).not.toMatch(dangerous)
        expect(harmlessLine(text)).not.toMatch(/[\n\r]/)
        expect(harmless(text).isWellFormed()).toBe(true)
      })
    )
  })

  it("shows an attempt to escape as what it is", () => {
    expect(harmless("\x1b]0;owned\x07\x1b[2J")).toBe("␛]0;owned␇␛[2J")
    expect(harmless("a\u202eb")).toBe("a\ufffdb")
    expect(harmless("one\r\ntwo\rthree\tfour")).toBe("one\ntwo\nthree    four")
  })

  it("counts cells as terminals do", () => {
    expect(cellsOf("plain")).toBe(5)
    expect(cellsOf("漢字")).toBe(4)
    expect(cellsOf("👍🏽")).toBe(2)
    expect(cellsOf("👩‍👩‍👧‍👦")).toBe(2)
    expect(cellsOf("🇩🇪")).toBe(2)
    expect(cellsOf("e\u0301")).toBe(1)
    expect(cellsOf("ｆｕｌｌ")).toBe(8)
    expect(cellsOf("Привет")).toBe(6)
  })

  it("wraps to lines that fit, and loses nothing but blanks at line ends", () => {
    fc.assert(
      fc.property(anyText, fc.integer({ min: 2, max: 30 }), (raw, cells) => {
        const text = harmless(raw)
        const lines = wrap(text, cells)
        expect(lines.length).toBeGreaterThan(0)
        for (const line of lines) expect(cellsOf(line)).toBeLessThanOrEqual(cells)
        const solid = (parts: string) => clustersOf(parts.replace(/\s/g, "")).join("")
        if (clustersOf(text).every((cluster) => cluster.length <= 24)) expect(solid(lines.join(""))).toBe(solid(text))
      })
    )
  })

  it("keeps words whole where they fit", () => {
    expect(wrap("the quick brown fox", 10)).toEqual(["the quick", "brown fox"])
    expect(wrap("a verylongwordthatdoesnotfit b", 8)).toEqual(["a", "verylong", "wordthat", "doesnotf", "it b"])
    expect(wrap("one\n\ntwo", 10)).toEqual(["one", "", "two"])
  })

  it("clips and pads to an exact width, also through a wide character", () => {
    expect(clip("漢字漢字", 5)).toBe("漢字…")
    expect(pad("漢字漢字", 4)).toBe("漢… ")
    fc.assert(
      fc.property(
        anyText,
        fc.nat(40),
        (text, cells) => void expect(cellsOf(pad(harmlessLine(text), cells))).toBe(cells)
      )
    )
  })
})
