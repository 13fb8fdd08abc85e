/**
 * What a terminal sends for keys, as names. Sequences may be split between chunks, so this keeps what is incomplete; a
 * lone escape is only one when nothing follows, which the caller's timer says (`idle`).
 */
export type Key =
  | { readonly _tag: "Text"; readonly text: string }
  /** Pasted: line ends in it are text. */
  | { readonly _tag: "Paste"; readonly text: string }
  | { readonly _tag: "Key"; readonly name: string }

const sequences: ReadonlyMap<string, string> = new Map([
  ["[A", "up"],
  ["[B", "down"],
  ["[C", "right"],
  ["[D", "left"],
  ["OA", "up"],
  ["OB", "down"],
  ["OC", "right"],
  ["OD", "left"],
  ["[H", "home"],
  ["[F", "end"],
  ["OH", "home"],
  ["OF", "end"],
  ["[1~", "home"],
  ["[7~", "home"],
  ["[4~", "end"],
  ["[8~", "end"],
  ["[3~", "delete"],
  ["[5~", "pageup"],
  ["[6~", "pagedown"],
  ["[Z", "shift-tab"],
  ["[1;5C", "word-right"],
  ["[1;5D", "word-left"],
  ["[1;3C", "word-right"],
  ["[1;3D", "word-left"],
  ["[1;5A", "pageup"],
  ["[1;5B", "pagedown"],
  ["b", "word-left"],
  ["f", "word-right"],
  ["\x7f", "ctrl-w"],
  ["\r", "newline"]
])

const pasteStart = "[200~"
const pasteEnd = "\x1b[201~"
/** A paste that never ends is taken as it is past this. */
const pendingUnitsMax = 1_000_000

// oxlint-disable-next-line no-control-regex -- keys are control characters
const plainText = /^[^\x00-\x1f\x7f]+/
const csi = /^(?:\[[0-9;?<]*[A-Za-z~^$@]|O[A-Za-z]|[^[O])/u

export class Keys {
  #pending = ""

  /** Something incomplete waits for the rest. */
  get waiting(): boolean {
    return this.#pending !== ""
  }

  take(chunk: string): ReadonlyArray<Key> {
    let text = this.#pending + chunk
    this.#pending = ""
    const keys: Array<Key> = []
    while (text !== "") {
      const used = this.#one(text, keys)
      if (used === 0) {
        this.#pending = text.length > pendingUnitsMax ? "" : text
        break
      }
      text = text.slice(used)
    }
    return keys
  }

  /** Nothing more came for a while: what waits is complete. */
  idle(): ReadonlyArray<Key> {
    const pending = this.#pending
    if (pending.startsWith(`\x1b${pasteStart}`)) return []
    this.#pending = ""
    return pending === "" ? [] : [{ _tag: "Key", name: "escape" }]
  }

  /** Takes one key from the front; the number of units used, 0 if it is incomplete. */
  #one(text: string, keys: Array<Key>): number {
    const plain = plainText.exec(text)
    if (plain !== null) {
      keys.push({ _tag: "Text", text: plain[0] })
      return plain[0].length
    }
    if (!text.startsWith("\x1b")) {
      keys.push({ _tag: "Key", name: controlName(text.charCodeAt(0)) })
      return 1
    }
    const rest = text.slice(1)
    if (rest.startsWith(pasteStart)) return this.#paste(text, keys)
    const sequence = csi.exec(rest)?.[0]
    if (sequence === undefined) return rest.startsWith("\x1b") ? 1 : 0
    const name = sequences.get(sequence)
    // An unknown sequence is swallowed whole: half of it as text would be worse.
    if (name !== undefined) keys.push({ _tag: "Key", name })
    return 1 + sequence.length
  }

  #paste(text: string, keys: Array<Key>): number {
    const from = 1 + pasteStart.length
    const to = text.indexOf(pasteEnd, from)
    if (to === -1) return 0
    keys.push({ _tag: "Paste", text: text.slice(from, to).replace(/\r\n?/g, "\n") })
    return to + pasteEnd.length
  }
}

const controlName = (code: number): string => {
  switch (code) {
    case 0x0d:
      return "enter"
    case 0x0a:
      return "newline"
    case 0x09:
      return "tab"
    case 0x08:
    case 0x7f:
      return "backspace"
    default:
      return `ctrl-${String.fromCharCode(code + 0x60)}`
  }
}
