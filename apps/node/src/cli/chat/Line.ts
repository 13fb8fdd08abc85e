/** One row of the screen as spans with a style, made to fit a number of cells exactly. Pure. */
import { cellsOf, clip } from "./CellText.ts"

export interface Span {
  readonly text: string
  /** Parameters of a terminal's SGR sequence; absent: plain. */
  readonly style?: string
}

export const bold = "1"
export const dim = "2"
export const italicDim = "2;3"
export const reverse = "7"
export const alarm = "1;31"
export const green = "32"
export const highlight = "1;33"

const colours = ["36", "32", "35", "34", "33", "31", "96", "92", "95", "94", "93", "91"]

/** The same user has the same colour everywhere. */
export const colourOf = (user: string): string => {
  let hash = 0
  for (const char of user) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) >>> 0
  return colours[hash % colours.length] ?? "36"
}

/** Clipped and filled to `cells`; `base` is the style of what has none. */
export const fit = (spans: ReadonlyArray<Span>, cells: number, base?: string): string => {
  let line = ""
  let left = cells
  for (const { style, text } of spans) {
    if (left <= 0) break
    const shown = clip(text, left)
    left -= cellsOf(shown)
    line += styled(shown, style ?? base)
  }
  return left > 0 ? line + styled(" ".repeat(left), base) : line
}

const styled = (text: string, style: string | undefined): string =>
  style === undefined || text === "" ? text : `\x1b[${style}m${text}\x1b[0m`

/** What is left when the styles are taken out. */
// oxlint-disable-next-line no-control-regex -- styles are escape sequences
export const withoutStyles = (line: string): string => line.replace(/\x1b\[[0-9;]*m/g, "")
