/**
 * Reads a `sync` without its schema, which would make five objects of each position: a herd that comes back sends half a
 * million of them. A test holds it against the schema. What it does not take the schema looks at, and says what is wrong.
 * Plain TypeScript on the hot path: bench `reconnect`.
 */
import type { Op } from "@parley/protocol/Frame"
import { channelIdPattern } from "@parley/protocol/Ids"
import { Limits } from "@parley/protocol/Limits"

const pageCharsMax = 256

/** The frame, if it is one; otherwise undefined. */
export const readSync = (value: object): Op<"sync"> | undefined => {
  // as: each field is looked at below
  const { channels, id, op, page, session } = value as Partial<Record<string, unknown>>
  if (op !== "sync" || !isSeq(id) || typeof session !== "object" || session === null) return undefined
  const { generation, seq } = session as Partial<Record<string, unknown>> // as: looked at here
  if (!isSeq(generation) || !isSeq(seq) || !Array.isArray(channels)) return undefined
  if (channels.length > Limits.syncChannelsMax || !channels.every(isPlace)) return undefined
  const frame: Op<"sync"> = { id, op, channels, session: { generation, seq } }
  if (page === undefined) return Object.hasOwn(value, "page") ? undefined : frame
  return typeof page === "string" && page.length <= pageCharsMax ? { ...frame, page } : undefined
}

type Place = Op<"sync">["channels"][number]

const isPlace = (value: unknown): value is Place =>
  Array.isArray(value) &&
  value.length === 3 &&
  typeof value[0] === "string" &&
  channelIdPattern.test(value[0]) &&
  isSeq(value[1]) &&
  isSeq(value[2])

const isSeq = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0
