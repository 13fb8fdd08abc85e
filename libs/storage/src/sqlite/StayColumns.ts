/**
 * The stays of one channel as one text: where they are few, the channel's row has them, so that a channel wakes without
 * a look at another table; and so those of many channels go between threads in one message.
 */
import type { Membership } from "../Directory.ts"

/** A stay as it is read of its table; `to` is 0 while it lasts, for seqs begin at 1. */
export type StayTuple = readonly [user: string, from: number, to: number, owner: number, seq: number]

/** The columns of a StayTuple. */
export const stayTuple = "user, first, ifnull(last, 0), role = 'owner', seq"

/**
 * Stays, and chars of their text, that a channel's row has; it has all of them or none. A row of more than 488 bytes
 * would take another page anyway, and make the tree of all rows deeper.
 */
export const rowStaysMax = 32
const rowStaysCharsMax = 320

export const packStays = (stays: ReadonlyArray<StayTuple>): string => JSON.stringify(stays)

/** What the channel's row has of these, which are all or more than `rowStaysMax`; null: too much. */
export const rowStays = (stays: ReadonlyArray<StayTuple>): string | null => {
  if (stays.length > rowStaysMax) return null
  const text = packStays(stays)
  return text.length > rowStaysCharsMax ? null : text
}

export const unpackStays = (text: string, channel: string): ReadonlyArray<Membership> =>
  // as: packStays made the text
  (JSON.parse(text) as ReadonlyArray<StayTuple>).map(([user, from, to, owner, seq]) => ({
    channel,
    user,
    role: owner === 1 ? "owner" : "member",
    from,
    to: to === 0 ? null : to,
    seq
  }))
