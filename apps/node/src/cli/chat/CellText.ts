/**
 * Text for a terminal: made harmless, measured in cells, wrapped and clipped. What others wrote is never written to a
 * terminal without `harmless`: an escape sequence in a message could move the cursor, change the title or worse.
 */
const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" })

// oxlint-disable-next-line no-control-regex -- control characters are what this is about
const controls = /[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g

/** Marks on one character beyond which a cluster is cut: they pile up over the lines above. */
const clusterUnitsMax = 24

/** Controls become visible signs, direction overrides a replacement sign; line ends stay, tabs become blanks. */
export const harmless = (text: string): string =>
  text
    .toWellFormed()
    .replace(/\r\n?/g, "\n")
    .replace(/\t/g, "    ")
    .replace(controls, (sign) => {
      const code = sign.charCodeAt(0)
      if (sign === "\n") return sign
      return code < 0x20 ? String.fromCharCode(0x2400 + code) : code === 0x7f ? "\u2421" : "\ufffd"
    })

/** On one line: line ends show as a sign. */
export const harmlessLine = (text: string): string => harmless(text).replace(/\n/g, "⏎")

/** East Asian wide and full-width blocks, ascending; emoji are known by their property. */
const wideRanges: ReadonlyArray<readonly [first: number, last: number]> = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x17000, 0x18aff],
  [0x1b000, 0x1b2ff],
  [0x20000, 0x3fffd]
]

const plain = /^[\x20-\x7e]*$/
const emoji = /\p{Emoji_Presentation}|\ufe0f/u
const markOnly = /^(?:\p{M}|\u200d)+$/u

const clusterCells = (cluster: string): number => {
  const code = cluster.codePointAt(0) ?? 0
  if (code < 0x7f) return emoji.test(cluster) ? 2 : 1
  if (markOnly.test(cluster)) return 0
  if (emoji.test(cluster)) return 2
  return wideRanges.some(([first, last]) => code >= first && code <= last) ? 2 : 1
}

/** What a reader takes for one character each. */
export const clustersOf = (text: string): ReadonlyArray<string> =>
  plain.test(text) ? text.split("") : Array.from(graphemes.segment(text), ({ segment }) => segment)

export const cellsOf = (text: string): number =>
  plain.test(text) ? text.length : clustersOf(text).reduce((cells, cluster) => cells + clusterCells(cluster), 0)

/** At most `cells` wide; what was cut shows as `…`. */
export const clip = (text: string, cells: number): string => {
  if (cellsOf(text) <= cells) return text
  let clipped = ""
  let left = cells - 1
  for (const cluster of clustersOf(text)) {
    left -= clusterCells(cluster)
    if (left < 0) break
    clipped += cluster
  }
  return cells < 1 ? "" : `${clipped}…`
}

/** Exactly `cells` wide. */
export const pad = (text: string, cells: number): string => {
  const clipped = clip(text, cells)
  return clipped + " ".repeat(Math.max(0, cells - cellsOf(clipped)))
}

/** Lines of at most `cells`; words stay whole where they fit on a line. Never empty. */
export const wrap = (text: string, cells: number): ReadonlyArray<string> =>
  text.split("\n").flatMap((line) => wrapLine(line, Math.max(2, cells)))

const wrapLine = (line: string, cells: number): ReadonlyArray<string> => {
  if (cellsOf(line) <= cells) return [line]
  const lines: Array<string> = []
  let current = ""
  let width = 0
  const flush = () => {
    lines.push(current.trimEnd())
    current = ""
    width = 0
  }
  for (const word of line.split(/(?<= )/)) {
    const wordCells = cellsOf(word.trimEnd())
    if (width + wordCells > cells && width > 0) flush()
    if (wordCells <= cells) {
      current += word
      width += cellsOf(word)
      continue
    }
    for (const cluster of clustersOf(word)) {
      const one = clusterCells(cluster)
      if (width + one > cells) flush()
      current += cluster.slice(0, clusterUnitsMax)
      width += one
    }
  }
  if (current.trimEnd() !== "" || lines.length === 0) flush()
  return lines
}
