/** Stays of one channel as columns: those of many channels go between threads in one message. */
import type { Membership } from "../Directory.ts"
import type { ColumnsReader, ColumnsWriter } from "./Columns.ts"

/** A stay as its row has it: the channel is the question's. */
export type StayRow = Omit<Membership, "channel">

/** Undefined: there are too many. */
export const writeStays = (columns: ColumnsWriter, stays: ReadonlyArray<StayRow> | undefined): void => {
  columns.number(stays === undefined ? -1 : stays.length)
  for (const { from, role, seq, to, user } of stays ?? []) {
    columns.text(user)
    columns.number(from)
    // Seqs begin at 1.
    columns.number(to ?? 0)
    columns.number(role === "owner" ? 1 : 0)
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
