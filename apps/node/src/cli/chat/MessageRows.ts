/**
 * Messages as rows of the main pane: time, author, text wrapped beside a bar, marks for what was edited, deleted, is on
 * its way or failed, a rule for each day and one above what is new. Pure; rows are made from the end, as far as needed.
 */
import type { ChannelSnapshot } from "@parley/client/ChannelSnapshot"
import { readersOf } from "@parley/client/Receipts"
import type { ViewMessage } from "@parley/client/ShownMessages"
import { harmless, harmlessLine, wrap, clip, cellsOf } from "./CellText.ts"
import { alarm, bold, colourOf, dim, green, highlight, italicDim, type Span } from "./Line.ts"

export interface RowsOptions {
  readonly me: string
  readonly width: number
  /** Messages above this seq get a rule before the first of them; null: no rule. */
  readonly newAfter: number | null
  /** What is said under one message. */
  readonly note?: { readonly key: string; readonly text: string } | null
}

export type Row = ReadonlyArray<Span>

const authorCells = 10
const timeCells = 5
/** Below this there is no gutter for time and author. */
const narrowBelow = 40
const readersNamed = 5
/** Consecutive messages of one author within this show his name once. */
const groupMs = 180_000

/** The last `count` rows, and whether there are rows above them. */
export const lastRows = (
  messages: ReadonlyArray<ViewMessage>,
  options: RowsOptions,
  count: number
): { readonly rows: ReadonlyArray<Row>; readonly above: boolean } => {
  const newestFirst: Array<ReadonlyArray<Row>> = []
  let made = 0
  let at = messages.length - 1
  for (; at >= 0 && made < count; at--) {
    const rows = rowsOf(messages, at, options)
    newestFirst.push(rows)
    made += rows.length
  }
  return { rows: newestFirst.toReversed().flat().slice(-count), above: at >= 0 || made > count }
}

/** Rows of the messages after the one with this key, for a reader who has scrolled back and shall not be moved. */
export const rowsAfter = (messages: ReadonlyArray<ViewMessage>, key: string, options: RowsOptions): number => {
  const last = messages.findLastIndex((message) => message.key === key)
  if (last === -1) return 0
  let rows = 0
  for (let at = last + 1; at < messages.length; at++) rows += rowsOf(messages, at, options).length
  return rows
}

const rowsOf = (messages: ReadonlyArray<ViewMessage>, at: number, options: RowsOptions): Array<Row> => {
  const message = messages[at]
  if (message === undefined) return []
  const before = messages[at - 1]
  const rows: Array<Row> = []
  const newDay = before === undefined || !sameDay(before.at, message.at)
  if (newDay) rows.push(rule(dayOf(message.at), options.width, dim))
  const isFirstNew = isNew(message, options) && (before === undefined || !isNew(before, options))
  if (isFirstNew) rows.push(rule("new", options.width, highlight))
  const grouped = !newDay && !isFirstNew && before.by === message.by && message.at - before.at < groupMs
  rows.push(...textRows(message, grouped, options))
  if (options.note?.key === message.key) rows.push(noteRow(options.note.text, options.width))
  return rows
}

const gutterOfWidth = (width: number): number => (width < narrowBelow ? 2 : timeCells + 1 + authorCells + 3)

const noteRow = (text: string, width: number): Row => [{ text: " ".repeat(gutterOfWidth(width)) }, { text, style: dim }]

/** Who of several has read the newest own message; when it is all of them, the mark says so. */
export const readNote = ({ messages, receipts }: Pick<ChannelSnapshot, "messages" | "receipts">, me: string) => {
  const newest = messages.findLast(({ by, deleted, seq }) => by === me && seq !== null && !deleted)
  if (newest === undefined || newest.seq === null || newest.receipt === null) return null
  const { others, readBy } = newest.receipt
  if (others < 2 || readBy === 0 || readBy >= others) return null
  const readers = readersOf(receipts, newest.seq)
  const more = readers.length > readersNamed ? ` and ${readers.length - readersNamed} more` : ""
  const names = readers.slice(0, readersNamed).map(harmlessLine).join(", ")
  return { key: newest.key, text: `read by ${names}${more}` }
}

const isNew = (message: ViewMessage, { me, newAfter }: RowsOptions): boolean =>
  newAfter !== null && message.seq !== null && message.seq > newAfter && message.by !== me

const textRows = (message: ViewMessage, grouped: boolean, { me, width }: RowsOptions): Array<Row> => {
  const narrow = width < narrowBelow
  const gutter = gutterOfWidth(width)
  const author = clip(harmlessLine(message.by), authorCells)
  const lines = wrap(message.deleted ? "message deleted" : harmless(message.text), width - gutter - 2)
  const rows: Array<Row> = lines.map((line, index) => [
    ...(narrow ? [{ text: "  " }] : gutterOf(message, author, grouped, index)),
    ...(message.deleted ? [{ text: line, style: italicDim }] : textSpans(line, me))
  ])
  if (narrow && !grouped)
    rows.unshift([
      { text: `${author} `, style: `1;${colourOf(message.by)}` },
      { text: timeOf(message.at), style: dim }
    ])
  const marks = marksOf(message, me)
  const last = rows.at(-1) ?? []
  return marks.length === 0 ? rows : [...rows.slice(0, -1), [...last, ...marks]]
}

const gutterOf = (message: ViewMessage, author: string, grouped: boolean, index: number): Row => {
  const name = grouped || index > 0 ? "" : author
  return [
    { text: index === 0 ? timeOf(message.at) : " ".repeat(timeCells), style: dim },
    { text: " ".repeat(1 + authorCells - cellsOf(name)) },
    { text: name, style: `1;${colourOf(message.by)}` },
    { text: " │ ", style: dim }
  ]
}

const textSpans = (line: string, me: string): ReadonlyArray<Span> =>
  line
    .split(/(@[A-Za-z0-9][A-Za-z0-9_-]*)/)
    .map((part) =>
      part === `@${me}`
        ? { text: part, style: highlight }
        : part.startsWith("@")
          ? { text: part, style: bold }
          : { text: part }
    )

const marksOf = (message: ViewMessage, me: string): Row => {
  const marks: Array<Span> = []
  if (message.edited) marks.push({ text: " (edited)", style: dim })
  if (message.state === "failed")
    marks.push({ text: ` ! ${harmlessLine(message.error?.message ?? "not sent")} /retry /discard`, style: alarm })
  else if (message.state === "sending") marks.push({ text: " ⋯", style: dim })
  else if (message.by === me && !message.deleted) marks.push(receiptMark(message))
  return marks
}

/** Sent, dim; delivered to all others, plain; read by all others, twice and in colour. */
const receiptMark = ({ receipt }: ViewMessage): Span => {
  if (receipt === null || receipt.others === 0 || receipt.deliveredTo < receipt.others)
    return { text: " ✓", style: dim }
  return receipt.readBy < receipt.others ? { text: " ✓" } : { text: " ✓✓", style: green }
}

const rule = (label: string, width: number, style: string): Row => {
  const text = ` ${label} `
  const side = Math.max(1, Math.floor((width - cellsOf(text)) / 2))
  return [{ text: "─".repeat(side) + text + "─".repeat(Math.max(1, width - side - cellsOf(text))), style }]
}

const two = (number: number): string => String(number).padStart(2, "0")

export const timeOf = (at: number): string => {
  const date = new Date(at)
  return `${two(date.getHours())}:${two(date.getMinutes())}`
}

const days = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" })

const dayOf = (at: number): string => days.format(at)

const sameDay = (one: number, other: number): boolean => {
  const [a, b] = [new Date(one), new Date(other)]
  return a.getDate() === b.getDate() && a.getMonth() === b.getMonth() && a.getFullYear() === b.getFullYear()
}
