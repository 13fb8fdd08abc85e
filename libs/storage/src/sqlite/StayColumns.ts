/** Stays of one channel as columns: those of many channels go between threads in one message. */
import type { Membership } from "../Directory.ts"
import type { ColumnsReader, ColumnsWriter } from "./Columns.ts"

/** A stay as it is read of its table; `to` is 0 while it lasts, for seqs begin at 1. */
export type StayTuple = readonly [user: string, from: number, to: number, owner: number, seq: number]

/** Undefined: there are too many. */
export const writeStays = (columns: ColumnsWriter, stays: ReadonlyArray<StayTuple> | undefined): void => {
  columns.number(stays === undefined ? -1 : stays.length)
  for (const [user, from, to, owner, seq] of stays ?? []) {
    columns.text(user)
    columns.number(from)
    columns.number(to)
    columns.number(owner)
    columns.number(seq)
  }
}

export const readStays = (columns: ColumnsReader, channel: string): ReadonlyArray<Membership> | undefined => {
  const count = columns.number()
  if (count < 0) return undefined
  const stays: Array<Membership> = []
  for (let i = 0; i < count; i++) {
    const user = columns.text()
    const from = columns.number()
    const to = columns.number()
    const role = columns.number() === 1 ? "owner" : "member"
    stays.push({ channel, user, role, from, to: to === 0 ? null : to, seq: columns.number() })
  }
  return stays
}
