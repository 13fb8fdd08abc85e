/**
 * The input line as a value: text, cursor, history and what was cut. Each key gives the next value. Pure. The cursor
 * stands between characters as a reader sees them, never inside one.
 */
import { Limits } from "@parley/protocol/Limits"
import { clustersOf } from "./CellText.ts"

export interface LineEditor {
  readonly text: string
  /** Index into the text. */
  readonly cursor: number
  /** Oldest first. */
  readonly history: ReadonlyArray<string>
  /** Steps back in the history; 0: the line that is being written. */
  readonly back: number
  /** The line that was being written when the history was looked into. */
  readonly draft: string
  /** What was cut last. */
  readonly cut: string
}

const historyMax = 200

export const emptyLine: LineEditor = { text: "", cursor: 0, history: [], back: 0, draft: "", cut: "" }

const at = (line: LineEditor, text: string, cursor: number): LineEditor => ({ ...line, text, cursor, back: 0 })

const before = ({ cursor, text }: LineEditor): string => text.slice(0, cursor)
const after = ({ cursor, text }: LineEditor): string => text.slice(cursor)

/** Typed or pasted; what would make the message longer than the server takes is not taken. */
export const insert = (line: LineEditor, added: string): LineEditor => {
  const text = before(line) + added + after(line)
  if (Buffer.byteLength(text) > Limits.textBytesMax) return line
  return at(line, text, line.cursor + added.length)
}

const lastCluster = (text: string): number => clustersOf(text).at(-1)?.length ?? 0
const firstCluster = (text: string): number => clustersOf(text)[0]?.length ?? 0
/** Blanks, then the word before them. */
const lastWord = (text: string): number => /\S*\s*$/u.exec(text)?.[0].length ?? 0
const firstWord = (text: string): number => /^\s*\S*/u.exec(text)?.[0].length ?? 0

const moved = (line: LineEditor, cursor: number): LineEditor => ({ ...line, cursor })
export const left = (line: LineEditor): LineEditor => moved(line, line.cursor - lastCluster(before(line)))
export const right = (line: LineEditor): LineEditor => moved(line, line.cursor + firstCluster(after(line)))
export const wordLeft = (line: LineEditor): LineEditor => moved(line, line.cursor - lastWord(before(line)))
export const wordRight = (line: LineEditor): LineEditor => moved(line, line.cursor + firstWord(after(line)))
export const home = (line: LineEditor): LineEditor => moved(line, 0)
export const end = (line: LineEditor): LineEditor => moved(line, line.text.length)

export const backspace = (line: LineEditor): LineEditor => {
  const kept = before(line).slice(0, line.cursor - lastCluster(before(line)))
  return at(line, kept + after(line), kept.length)
}

export const remove = (line: LineEditor): LineEditor =>
  at(line, before(line) + after(line).slice(firstCluster(after(line))), line.cursor)

const cutBefore = (line: LineEditor, units: number): LineEditor => {
  const from = line.cursor - units
  return {
    ...at(line, line.text.slice(0, from) + after(line), from),
    cut: line.text.slice(from, line.cursor) || line.cut
  }
}

export const cutWord = (line: LineEditor): LineEditor => cutBefore(line, lastWord(before(line)))
export const cutToStart = (line: LineEditor): LineEditor => cutBefore(line, line.cursor)
export const cutToEnd = (line: LineEditor): LineEditor => ({
  ...at(line, before(line), line.cursor),
  cut: after(line) || line.cut
})
export const paste = (line: LineEditor): LineEditor => insert(line, line.cut)

/** `steps` back into the history (1), or towards the line that is being written (-1). */
export const recall = (line: LineEditor, steps: 1 | -1): LineEditor => {
  const back = Math.min(Math.max(line.back + steps, 0), line.history.length)
  if (back === line.back) return line
  const draft = line.back === 0 ? line.text : line.draft
  const text = back === 0 ? draft : (line.history.at(-back) ?? "")
  return { ...line, text, cursor: text.length, back, draft }
}

/** The line was sent: it goes to the history. */
export const taken = (line: LineEditor): LineEditor => {
  const repeated = line.text === "" || line.history.at(-1) === line.text
  const history = repeated ? line.history : [...line.history, line.text].slice(-historyMax)
  return { ...emptyLine, history, cut: line.cut }
}

export const replaced = (line: LineEditor, text: string): LineEditor => at(line, text, text.length)

/** The `@name` or `/command` that ends at the cursor is completed as far as the candidates agree; null: nothing to complete. */
export const complete = (line: LineEditor, candidates: ReadonlyArray<string>): LineEditor | null => {
  const word = /\S*$/u.exec(before(line))?.[0] ?? ""
  if (word.length < 2 || !/^[@/]/.test(word)) return null
  const matching = candidates.filter((candidate) => candidate.toLowerCase().startsWith(word.toLowerCase()))
  const [first] = matching
  if (first === undefined) return null
  let common = first.length
  for (const candidate of matching) while (!candidate.startsWith(first.slice(0, common))) common--
  const only = matching.length === 1
  if (!only && common <= word.length) return null
  const start = line.cursor - word.length
  const put = first.slice(0, common) + (only ? " " : "")
  return at(line, line.text.slice(0, start) + put + after(line), start + put.length)
}
