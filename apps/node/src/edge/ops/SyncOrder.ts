/**
 * The order of a sync's channels: those of the user's inbox first, newest first, so that a device that is far behind
 * gets what is alive before what is merely there; then the others by id. An inbox changes while pages are asked for, so
 * a page begins at a place in it as it was when the sync began: what came in later is among the others, what was read
 * meanwhile is, too. So each channel comes, most of them once (the inbox orders work, heads decide what is new, †10).
 * It rests on this: as of where a sync began a channel may leave its place, but none ever takes one that was passed.
 * Places only grow, and so do cursors but for those marked unread, which the session leaves out.
 */
import type { Position } from "@parley/protocol/Ids"
import { channelIdPattern } from "@parley/protocol/Ids"

/** Where a page begins, of a sync that saw the session at this position. */
export interface PageToken {
  readonly session: Position
  /** The newest place of the inbox when the sync began; 0: it goes by ids alone. */
  readonly top: number
  /** The place in the inbox of the last channel that was sent; 0: those are through. */
  readonly place: number
  /** The last channel that was sent of the others. */
  readonly after: string
}

export interface InboxPlace {
  readonly channel: string
  readonly place: number
}

/** Channels in the order of the pages from `token` on (undefined: from the beginning). */
export const inOrder = <Channel extends { readonly channel: string }>(
  channels: ReadonlyArray<Channel>,
  inbox: ReadonlyArray<InboxPlace>,
  token: PageToken | undefined
): ReadonlyArray<Channel> => {
  const places = placesOf(inbox, token)
  const placed: Array<{ readonly one: Channel; readonly place: number }> = []
  const others: Array<Channel> = []
  for (const one of channels) {
    const place = places.get(one.channel)
    if (place === undefined) {
      if (one.channel > (token?.after ?? "")) others.push(one)
    } else if (token === undefined || place < token.place) placed.push({ one, place })
  }
  placed.sort((a, b) => b.place - a.place)
  others.sort((a, b) => (a.channel < b.channel ? -1 : 1))
  return [...placed.map(({ one }) => one), ...others]
}

/** The token of the page after the one that ends with `last`. Once without an inbox, it goes by ids to the end. */
export const tokenAfter = (
  last: string,
  inbox: ReadonlyArray<InboxPlace>,
  token: PageToken | undefined,
  session: Position
): PageToken => {
  const top = inbox.length === 0 ? 0 : (token?.top ?? inbox.reduce((newest, { place }) => Math.max(newest, place), 0))
  const place = placesOf(inbox, token).get(last)
  return place === undefined ? { session, top, place: 0, after: last } : { session, top, place, after: "" }
}

const placesOf = (inbox: ReadonlyArray<InboxPlace>, token: PageToken | undefined): ReadonlyMap<string, number> =>
  new Map(inbox.flatMap(({ channel, place }) => (token === undefined || place <= token.top ? [[channel, place]] : [])))

export const writeToken = ({ after, place, session, top }: PageToken): string =>
  Buffer.from(`${session.generation} ${session.seq} ${top} ${place} ${after}`, "latin1").toString("base64url")

export const readToken = (text: string): PageToken | undefined => {
  const [generation, seq, top, place, after, ...rest] = Buffer.from(text, "base64url").toString("latin1").split(" ")
  if (after === undefined || rest.length > 0) return undefined
  const numbers = [generation, seq, top, place].map((part) => (/^\d{1,16}$/.test(part ?? "") ? Number(part) : -1))
  const [g = -1, s = -1, t = -1, p = -1] = numbers
  if (Math.min(g, s, t, p) < 0 || !(after === "" ? p > 0 : channelIdPattern.test(after))) return undefined
  return { session: { generation: g, seq: s }, top: t, place: p, after }
}
