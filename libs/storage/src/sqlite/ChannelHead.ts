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
export const newestSeq = `(m.id & ${seqLimit})`
export const headGeneration = "c.head_generation"
export const headSeq = `ifnull(${newestSeq}, c.head_seq)`
export const headN = "ifnull(m.n, c.head_n)"
export const topSeq = `ifnull(${newestSeq}, c.top_seq)`

const moved = `m.id IS NOT NULL AND (c.head_generation, ${newestSeq}) > (c.generation, c.seq)`
export const rowGeneration = `iif(${moved}, c.head_generation, c.generation)`
export const rowSeq = `iif(${moved}, ${newestSeq}, c.seq)`
export const rowN = `iif(${moved}, m.n, c.n)`
