/**
 * Pages of history: rows of the store in current form, the owner's tail above them, and the overlay of edits and
 * deletes that the store does not have yet. The floor is read before the rows; where the tail was cut above it
 * meanwhile, the page is read again (†31). Pages are full: blocks of events without messages are looked over.
 */
import { toWire, fromWire } from "@parley/protocol/WireText"
import { deletedMessage } from "@parley/storage/CurrentForm"
import type { StoredMessage } from "@parley/storage/MessageStore"
import type { ChannelState } from "../channel/ChannelState.ts"
import { withStay } from "./ChannelSync.ts"
import type { ChannelRequest } from "./OwnerProtocol.ts"
import type { Reply, ShardOwner } from "./ShardOwner.ts"
import { whenStoreReady } from "./StoreLookups.ts"

/** How often a page is read again because the floor moved under it. */
const readAgainMax = 8

type HistoryRequest = ChannelRequest & { readonly _tag: "History" }

interface Range {
  /** `after < seq < before`. */
  readonly after: number
  readonly before: number
  readonly limit: number
  readonly newest: boolean
}

export const readHistory = (owner: ShardOwner, state: ChannelState, request: HistoryRequest, reply: Reply): void => {
  const unavailable = () => reply({ failure: { code: "unavailable" } })
  const read = () => {
    const low = request.admin ? 0 : state.readableAfter(request.user)
    const high = state.committedSeq
    const done = (
      rows: ReadonlyArray<StoredMessage> | undefined,
      from: number,
      to: number,
      more: { before: boolean; after: boolean }
    ) =>
      rows === undefined
        ? unavailable()
        : reply({ ok: render(state, rows, Math.max(from, low), Math.min(to, high), more) })
    if (request.around !== null) return readAround(owner, state, request.around, low, high, request.limit, done)
    if (request.after !== null) {
      const after = Math.max(request.after, low)
      return rowsOf(owner, state, { after, before: high + 1, limit: request.limit + 1, newest: false }, 0, (rows) => {
        const more = rows !== undefined && rows.length > request.limit
        const kept = rows?.slice(0, request.limit)
        done(kept, after, more ? (kept?.at(-1)?.seq ?? high) : high, { before: after > low, after: more })
      })
    }
    const before = Math.min(request.before ?? high + 1, high + 1)
    rowsOf(owner, state, { after: low, before, limit: request.limit + 1, newest: true }, 0, (rows) => {
      const more = rows !== undefined && rows.length > request.limit
      const kept = more ? rows.slice(1) : rows
      done(kept, more ? (kept?.[0]?.seq ?? 1) - 1 : low, before - 1, { before: more, after: before <= high })
    })
  }
  if (request.admin) return state.exists ? read() : reply({ failure: { code: "not_found" } })
  withStay(owner, state, request.user, (stay) => {
    if (stay === undefined) unavailable()
    else if (stay === null || stay.to !== null) reply({ failure: { code: "not_found" } })
    else read()
  })
}

const readAround = (
  owner: ShardOwner,
  state: ChannelState,
  around: number,
  low: number,
  high: number,
  limit: number,
  done: (
    rows: ReadonlyArray<StoredMessage> | undefined,
    from: number,
    to: number,
    more: { before: boolean; after: boolean }
  ) => void
): void => {
  const half = Math.max(1, Math.floor(limit / 2))
  rowsOf(
    owner,
    state,
    { after: low, before: Math.min(around, high) + 1, limit: half + 1, newest: true },
    0,
    (older) => {
      if (older === undefined) return done(undefined, 0, 0, { before: false, after: false })
      const moreBefore = older.length > half
      const head = moreBefore ? older.slice(1) : older
      const left = Math.max(1, limit - head.length)
      rowsOf(
        owner,
        state,
        { after: Math.max(Math.min(around, high), low), before: high + 1, limit: left + 1, newest: false },
        0,
        (newer) => {
          if (newer === undefined) return done(undefined, 0, 0, { before: false, after: false })
          const moreAfter = newer.length > left
          const tail = moreAfter ? newer.slice(0, left) : newer
          const rows = [...head, ...tail]
          done(rows, moreBefore ? (head[0]?.seq ?? 1) - 1 : low, moreAfter ? (tail.at(-1)?.seq ?? high) : high, {
            before: moreBefore,
            after: moreAfter
          })
        }
      )
    }
  )
}

/** Rows of a range, ascending, in current form. */
const rowsOf = (
  owner: ShardOwner,
  state: ChannelState,
  range: Range,
  tries: number,
  done: (rows: ReadonlyArray<StoredMessage> | undefined) => void
): void => {
  const tailFrom = state.tailFrom
  const floor = Math.min(state.floor, tailFrom)
  const inTail = () => state.tailMessages({ ...range, after: Math.max(range.after, tailFrom) })
  if (range.after >= tailFrom) return done(inTail())
  if (range.newest) {
    const rows = inTail()
    if (rows.length >= range.limit) return done(rows)
  }
  whenStoreReady(
    owner,
    (ready) => {
      if (!ready) return done(undefined)
      // While it was waited for, the tail was put back to what the store does not have (`ChannelState.uncut`).
      if (state.tailFrom < tailFrom) return rowsOf(owner, state, range, tries, done)
      const recent = range.newest ? inTail().length : 0
      const asked = { ...range, before: Math.min(range.before, tailFrom + 1), limit: range.limit - recent }
      owner.context.run(owner.context.stores.messages.messages(state.channel, asked), (result) => {
        if (!("ok" in result)) return done(undefined)
        if (state.tailFrom > tailFrom || state.tailFrom > Math.max(floor, tailFrom)) {
          return tries >= readAgainMax ? done(undefined) : rowsOf(owner, state, range, tries + 1, done)
        }
        const changed = state.changedAbove(floor)
        const old = result.ok.map((row) => (changed.has(row.seq) ? overlay(state, floor, row) : row))
        const rows = range.newest || old.length < range.limit ? [...old, ...inTail()] : old
        done(range.newest ? rows.slice(-range.limit) : rows.slice(0, range.limit))
      })
    },
    state
  )
}

/** Applies what changed a row above the floor: the store may not have it yet. */
const overlay = (state: ChannelState, floor: number, row: StoredMessage): StoredMessage => {
  const change = state.changeOf(row.seq, floor)
  if (change === undefined || row.deleted) return row
  // A MessageEvent of our own encoding.
  const { mentions: _, ...event } = JSON.parse(fromWire(row.body)) as Record<string, unknown>
  if (change.deleted !== undefined) {
    return { ...row, deleted: true, body: deletedMessage(row.body, change.deleted) }
  }
  const mentions = change.mentions.length === 0 ? {} : { mentions: change.mentions }
  return { ...row, body: toWire(JSON.stringify({ ...event, text: change.text, ...mentions, edited: change.edited })) }
}

const render = (
  state: ChannelState,
  rows: ReadonlyArray<StoredMessage>,
  from: number,
  to: number,
  more: { readonly before: boolean; readonly after: boolean }
): string =>
  `{"channel":"${state.channel}","generation":${state.generation},"from":${from},"to":${Math.max(from, to)},"before":${more.before},"after":${more.after},"events":[${rows
    .map((row) => row.body)
    .join(",")}]}`
