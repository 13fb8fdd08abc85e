/**
 * The whole screen as a function of what is to be seen and of the size: channels on the left, messages, who types, the
 * status, the input. Pure, so that it can be tested without a terminal.
 */
import type { ChannelListItem } from "@parley/client/ChannelList"
import type { ChannelSnapshot } from "@parley/client/ChannelSnapshot"
import type { ConnectionStatus } from "@parley/client/Connection"
import { cellsOf, clustersOf, harmlessLine } from "./CellText.ts"
import type { LineEditor } from "./LineEditor.ts"
import { alarm, bold, dim, fit, highlight, reverse, type Span } from "./Line.ts"
import { lastRows, readNote } from "./MessageRows.ts"

export interface ScreenState {
  readonly me: string
  readonly status: ConnectionStatus
  readonly now: number
  readonly channels: ReadonlyArray<ChannelListItem>
  readonly current: ChannelSnapshot
  /** Users known to be online, without oneself. */
  readonly online: ReadonlyArray<string>
  readonly newAfter: number | null
  /** Rows between the end of the messages and the bottom of the pane. */
  readonly scroll: number
  readonly input: Pick<LineEditor, "text" | "cursor">
  /** The answer to the last command, or what went wrong. */
  readonly notice: { readonly text: string; readonly alarm: boolean } | null
  /** Shown in place of the messages: help. */
  readonly overlay: ReadonlyArray<string> | null
}

export interface Size {
  readonly columns: number
  readonly rows: number
}

export interface Painting {
  /** Exactly `rows` lines, each exactly `columns` cells wide. */
  readonly lines: ReadonlyArray<string>
  readonly cursor: { readonly row: number; readonly column: number }
  /** The scroll that was possible. */
  readonly scroll: number
  /** The oldest message held is in sight. */
  readonly atTop: boolean
}

/** Below this there is no room for a list beside the messages. */
const columnsForList = 60
const sizeMin: Size = { columns: 10, rows: 5 }

/** Columns of the list, and of the messages. */
export const layoutOf = ({ columns }: Size): { readonly list: number; readonly main: number } => {
  const list = columns < columnsForList ? 0 : Math.min(28, Math.max(16, Math.floor(columns / 4)))
  return { list, main: list === 0 ? columns : columns - list - 1 }
}

export const paneRows = ({ rows }: Size): number => Math.max(1, rows - 4)

export const paint = (state: ScreenState, asked: Size): Painting => {
  const size = { columns: Math.max(asked.columns, sizeMin.columns), rows: Math.max(asked.rows, sizeMin.rows) }
  const { list, main } = layoutOf(size)
  const height = paneRows(size)
  const pane = messagePane(state, main, height)
  const body = [headerOf(state, main), ...pane.lines, talkOf(state, main)]
  const listLines = list === 0 ? [] : listOf(state, list, body.length)
  const upper = body.map((line, row) =>
    list === 0 ? line : `${listLines[row] ?? ""}${fit([{ text: "│", style: dim }], 1)}${line}`
  )
  const input = inputOf(state, size.columns)
  return {
    lines: [...upper, statusOf(state, size.columns), input.line],
    cursor: { row: size.rows - 1, column: input.column },
    scroll: pane.scroll,
    atTop: pane.atTop
  }
}

const headerOf = ({ current }: ScreenState, width: number): string => {
  const { channel, members, name, status, topic } = current
  const spans: Array<Span> = [{ text: harmlessLine(name === "" ? channel : name), style: bold }]
  if (name !== "" && name !== channel) spans.push({ text: `  ${harmlessLine(channel)}`, style: dim })
  if (status === "member") spans.push({ text: `  ${members} ${members === 1 ? "member" : "members"}`, style: dim })
  if (topic !== "") spans.push({ text: `  ${harmlessLine(topic)}` })
  return fit(spans, width)
}

const messagePane = (state: ScreenState, width: number, height: number) => {
  const blank = fit([], width)
  if (state.overlay !== null) {
    const lines = state.overlay.slice(0, height).map((text) => fit([{ text }], width))
    return { lines: [...lines, ...Array<string>(height - lines.length).fill(blank)], scroll: 0, atTop: false }
  }
  const { current, me, newAfter } = state
  const asked = Math.max(0, state.scroll)
  // It comes and goes below: whoever reads further up is not moved by it.
  const note = asked > 0 ? null : readNote(current, me)
  const { above, rows } = lastRows(current.messages, { me, newAfter, note, width }, height + asked)
  const scroll = Math.max(0, Math.min(asked, rows.length - height))
  const shown = rows
    .slice(Math.max(0, rows.length - scroll - height), rows.length - scroll)
    .map((row) => fit(row, width))
  const head = !above && shown.length < height ? [fit([{ text: beginningOf(current), style: dim }], width)] : []
  const lines = [...Array<string>(height - shown.length - head.length).fill(blank), ...head, ...shown]
  return { lines, scroll, atTop: !above && rows.length - scroll <= height }
}

const beginningOf = ({ loading, messages, more, status }: ChannelSnapshot): string => {
  if (status === "left") return "You are not in this channel any more."
  if (status === "unknown") return "You are not in this channel; /join it, or wait for the connection."
  if (loading) return "Fetching older messages…"
  if (more) return "PgUp fetches older messages."
  return messages.length === 0 ? "Nothing was said here yet." : "This is where it begins."
}

/** Who types; or what the last command has to say; or that newer messages are below. */
const talkOf = ({ current, notice, scroll }: ScreenState, width: number): string => {
  if (notice !== null) return fit([{ text: harmlessLine(notice.text), style: notice.alarm ? alarm : highlight }], width)
  if (scroll > 0) return fit([{ text: "↓ PgDn for newer messages", style: dim }], width)
  const { typing } = current
  if (typing.length === 0) return fit([], width)
  const names = typing.slice(0, 3).map(harmlessLine).join(", ")
  const others = typing.length > 3 ? ` and ${typing.length - 3} more` : ""
  return fit([{ text: `${names}${others} ${typing.length === 1 ? "is" : "are"} typing…`, style: dim }], width)
}

const listOf = ({ channels, current }: ScreenState, width: number, height: number): ReadonlyArray<string> => {
  const at = Math.max(
    0,
    channels.findIndex(({ channel }) => channel === current.channel)
  )
  // The current channel stays in sight in a list that is longer than the screen.
  const first = Math.max(0, Math.min(at - Math.floor(height / 2), channels.length - height))
  const lines = channels.slice(first, first + height).map((item) => {
    const here = item.channel === current.channel
    const badge = item.mentions > 0 ? `@${countOf(item.unread)}` : item.unread > 0 ? countOf(item.unread) : ""
    const name = harmlessLine(item.name === "" ? item.channel : item.name)
    const room = width - 2 - (badge === "" ? 0 : badge.length + 1)
    const style = here ? reverse : item.unread > 0 ? bold : undefined
    const named = fit([{ text: `${here ? "›" : " "} ${name}` }], room + 2, style)
    return badge === ""
      ? named
      : named + fit([{ text: ` ${badge}`, style: item.mentions > 0 ? alarm : highlight }], badge.length + 1)
  })
  return [...lines, ...Array<string>(height - lines.length).fill(fit([], width))]
}

const countOf = (unread: number): string => (unread > 999 ? "999+" : String(unread))

const statusOf = (state: ScreenState, width: number): string => {
  const { channels, current, me, online } = state
  const elsewhere = channels.reduce((sum, item) => sum + (item.channel === current.channel ? 0 : item.unread), 0)
  const parts = [` ${harmlessLine(me)}`, connectionOf(state)]
  if (state.status.state === "online" && online.length > 0) parts.push(`online: ${online.map(harmlessLine).join(", ")}`)
  if (elsewhere > 0) parts.push(`${elsewhere} unread elsewhere`)
  return fit([{ text: parts.join(" · ") }], width, state.status.state === "online" ? reverse : "7;31")
}

const connectionOf = ({ now, status }: ScreenState): string => {
  switch (status.state) {
    case "online":
      return "connected"
    case "waiting":
      return `reconnecting in ${Math.max(0, Math.ceil((status.until - now) / 1_000))} s`
    case "stopped":
      return `disconnected: ${harmlessLine(status.reason)}`
    default:
      return "connecting…"
  }
}

/** The input, moved so that the cursor is in sight. */
const inputOf = ({ input }: ScreenState, width: number): { readonly line: string; readonly column: number } => {
  const prompt = "> "
  const room = width - prompt.length - 1
  let before = harmlessLine(input.text.slice(0, input.cursor))
  const after = harmlessLine(input.text.slice(input.cursor))
  if (cellsOf(before) > room) {
    const clusters = clustersOf(before)
    let cells = 1
    let from = clusters.length
    while (from > 0 && cells + cellsOf(clusters[from - 1] ?? "") <= room) cells += cellsOf(clusters[--from] ?? "")
    before = `…${clusters.slice(from).join("")}`
  }
  return {
    line: fit([{ text: prompt, style: dim }, { text: before + after }], width),
    column: prompt.length + cellsOf(before)
  }
}
