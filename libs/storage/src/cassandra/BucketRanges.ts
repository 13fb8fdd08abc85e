/**
 * A range of seqs read over its partitions until there is enough: full pages, however sparse the buckets are, and a
 * bound on what is asked for at once. After a round that found nothing twice as many buckets are looked at together. A
 * sequence has no holes (ONE-ORDER), so what is looked through in vain is buckets of other events than are asked for.
 */
import { Effect } from "effect"
import { bucketOf, bucketSeqs } from "./MessageColumns.ts"

/** Buckets read at the same time. */
const bucketsAtOnceMax = 8

/** Part of one partition: `after < seq < before`. */
export interface BucketRange {
  readonly bucket: number
  readonly after: number
  readonly before: number
}

/** What was found in a part, in the order of reading. */
export interface Found<Item> {
  readonly items: ReadonlyArray<Item>
  /** The last seq it is complete up to, in the order of reading; undefined: all of the part. */
  readonly upTo: number | undefined
}

export interface RangeRead<Item, E> {
  readonly after: number
  readonly before: number
  readonly limit: number
  readonly newest: boolean
  readonly read: (part: BucketRange, limit: number) => Effect.Effect<Found<Item>, E>
}

/** The parts of a range that come first, at most `count`. */
const partsOf = (after: number, before: number, newest: boolean, count: number): ReadonlyArray<BucketRange> => {
  const parts: Array<BucketRange> = []
  const [first, last] = [bucketOf(after + 1), bucketOf(before - 1)]
  for (let i = 0; i < count && first + i <= last; i++) {
    const bucket = newest ? last - i : first + i
    const start = bucket * bucketSeqs
    parts.push({ bucket, after: Math.max(after, start - 1), before: Math.min(before, start + bucketSeqs) })
  }
  return parts
}

/** At most `limit` items of the range, from one end of it. */
export const readRange = Effect.fnUntraced(function* <Item, E>(range: RangeRead<Item, E>) {
  const { limit, newest, read } = range
  let { after, before } = range
  const items: Array<Item> = []
  for (let width = 1; items.length < limit && before - after > 1;) {
    const parts = partsOf(after, before, newest, width)
    const left = limit - items.length
    const found = yield* Effect.forEach(parts, (part) => read(part, left), { concurrency: bucketsAtOnceMax })
    let any = false
    for (const [i, part] of parts.entries()) {
      const { items: its = [], upTo } = found[i] ?? {}
      any ||= its.length > 0
      items.push(...its)
      if (newest) before = upTo ?? part.after + 1
      else after = upTo ?? part.before - 1
      if (upTo !== undefined || items.length >= limit) break
    }
    width = any ? 1 : Math.min(width * 2, bucketsAtOnceMax)
  }
  return items.slice(0, limit)
})
