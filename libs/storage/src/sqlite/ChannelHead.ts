/**
 * Where a channel is: its newest position with its count of messages, the largest seq of any generation, and the
 * position of its directory row. The row of `channels` is a base that a plain message of a step doesn't touch: each page
 * that a commit touches is written twice, and in a channel of its own a message would touch two instead of one.
 *
 * What is kept (messageRows): rows of `messages` above `top_seq` are there only as long as the newest of them is the
 * channel's newest event, of the base's generation, and moved the directory's row. Whatever else happens writes the
 * base anew, and its `top_seq` is then above all rows.
 */

import { seqLimit } from "./StoreMigrations.ts"

/** The newest message above the base of the row `c` of `channels`, if there is one: a seek to the channel's last leaf. */
export const fromChannels = `channels c LEFT JOIN messages m ON m.id =
  (SELECT id FROM messages WHERE id > (c.key << 40 | c.top_seq) AND id <= (c.key << 40 | ${seqLimit}) AND created >= 0
   ORDER BY id DESC LIMIT 1)`

/** The seq of that message; null: the base says all. */
const newestSeq = `(m.id & ${seqLimit})`
export const headGeneration = "c.head_generation"
export const headSeq = `ifnull(${newestSeq}, c.head_seq)`
export const headN = "ifnull(m.n, c.head_n)"
export const topSeq = `ifnull(${newestSeq}, c.top_seq)`

const moved = `m.id IS NOT NULL AND (c.head_generation, ${newestSeq}) > (c.generation, c.seq)`
export const rowGeneration = `iif(${moved}, c.head_generation, c.generation)`
export const rowSeq = `iif(${moved}, ${newestSeq}, c.seq)`
export const rowN = `iif(${moved}, m.n, c.n)`

/** The columns of a ChannelBase. */
export const channelBase = "key, head_generation, head_seq, head_n, top_seq, generation, seq, n, id_bound"
export type ChannelBase = readonly [
  key: number,
  headGeneration: number,
  headSeq: number,
  headN: number,
  topSeq: number,
  generation: number,
  seq: number,
  n: number,
  idBound: number
]

export interface ChannelHead {
  readonly key: number
  readonly generation: number
  readonly seq: number
  readonly n: number
  readonly top: number
  /** The directory's row; generation -1: there is none. */
  readonly rowGeneration: number
  readonly rowSeq: number
  readonly rowN: number
  readonly idBound: number
  /** The newest message above the base; null: there is none. */
  readonly newest: number | null
}

/** The same as the columns above, for who read base and newest message by themselves: that is two looks instead of three. */
export const headOf = (
  base: readonly [...base: ChannelBase, ...rest: ReadonlyArray<unknown>],
  newest: readonly [seq: number, n: number, ...rest: ReadonlyArray<unknown>] | undefined
): ChannelHead => {
  const [key, generation, headSeq, headN, topSeq, rowGeneration, rowSeq, rowN, idBound] = base
  if (newest === undefined || newest[0] <= topSeq) {
    return { key, generation, seq: headSeq, n: headN, top: topSeq, rowGeneration, rowSeq, rowN, idBound, newest: null }
  }
  const [seq, n] = newest
  const moved = generation > rowGeneration || (generation === rowGeneration && seq > rowSeq)
  const row = moved ? { rowGeneration: generation, rowSeq: seq, rowN: n } : { rowGeneration, rowSeq, rowN }
  return { key, generation, seq, n, top: seq, ...row, idBound, newest: seq }
}
