import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Key, Keys } from "../../../src/cli/chat/Keys.ts"

const names = (keys: ReadonlyArray<Key>) =>
  keys.map((key) => (key._tag === "Key" ? key.name : `${key._tag}:${key.text}`))

describe("Keys", () => {
  it("knows the keys of common terminals", () => {
    const input = "hi\x1b[A\x1bOB\x1b[5~\x1b[1;5D\x1bb\x1b[3~\x17\x15\x01\x05\x7f\t\r\x1b\r\x1b[Z"
    expect(names(new Keys().take(input))).toEqual([
      "Text:hi",
      "up",
      "down",
      "pageup",
      "word-left",
      "word-left",
      "delete",
      "ctrl-w",
      "ctrl-u",
      "ctrl-a",
      "ctrl-e",
      "backspace",
      "tab",
      "enter",
      "newline",
      "shift-tab"
    ])
  })

  it("takes a paste as text, its line ends and escapes included", () => {
    expect(names(new Keys().take("\x1b[200~one\r\ntwo \x1b[A\x1b[201~x"))).toEqual(["Paste:one\ntwo \x1b[A", "Text:x"])
  })

  it("says the same however the input is cut into chunks", () => {
    const input = "aß👍\x1b[A\x1b[200~pasted\nlines\x1b[201~\x1b[1;5C\x1bf\x17\r漢"
    const whole = names(new Keys().take(input))
    fc.assert(
      fc.property(fc.array(fc.nat(input.length), { maxLength: 20 }), (cuts) => {
        const keys = new Keys()
        const at = [0, ...cuts.toSorted((a, b) => a - b), input.length]
        const all = at.slice(1).flatMap((end, index) => keys.take(input.slice(at[index], end)))
        // Text may come in pieces.
        const joined = (list: ReadonlyArray<string>) => list.join("|").replaceAll("|Text:", "").replaceAll("Text:", "")
        expect(joined(names(all))).toBe(joined(whole))
      })
    )
  })

  it("takes an escape as the key when nothing follows, and never ends a paste that way", () => {
    const keys = new Keys()
    expect(keys.take("\x1b")).toEqual([])
    expect(keys.waiting).toBe(true)
    expect(names(keys.idle())).toEqual(["escape"])
    keys.take("\x1b[200~half")
    expect(keys.idle()).toEqual([])
    expect(names(keys.take(" whole\x1b[201~"))).toEqual(["Paste:half whole"])
  })

  it("swallows sequences it does not know whole", () => {
    expect(names(new Keys().take("\x1b[99;7u\x1b[<0;1;2Mx"))).toEqual(["Text:x"])
  })
})
