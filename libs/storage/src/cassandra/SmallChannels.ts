/**
 * Which channels are small, as far as their cursors go: only of these somebody asks who has read how far
 * (Limits.receiptsMembersMax), and of a channel with 200,000 members the rows would be twice the work for nobody. Asked
 * of the directory once in a while; a channel without a row is small. That it grows or shrinks meanwhile costs a few rows
 * too many, or receipts that show from the next read on.
 */
import { Effect } from "effect"
import type { StoreUnavailable } from "../StoreError.ts"
import type { Cassandra } from "./Cassandra.ts"
import { has, numberOf } from "./Columns.ts"
import { select } from "./Cql.ts"

/** Far above what shows receipts, so that a channel near it may grow and shrink. */
const smallMembersMax = 256
const knownMs = 10 * 60_000
const knownMax = 100_000
const readsAtOnce = 64

const members = select("SELECT members FROM channels WHERE channel = ?")

interface Known {
  readonly small: boolean
  readonly until: number
}

export class SmallChannels {
  readonly #cassandra: Cassandra["Service"]
  readonly #known = new Map<string, Known>()

  constructor(cassandra: Cassandra["Service"]) {
    this.#cassandra = cassandra
  }

  /** Those of `channels` that are small. */
  among(channels: ReadonlySet<string>, now: number): Effect.Effect<ReadonlySet<string>, StoreUnavailable> {
    const unknown = [...channels].filter((channel) => (this.#known.get(channel)?.until ?? 0) <= now)
    return Effect.forEach(unknown, (channel) => this.#ask(channel, now), {
      concurrency: readsAtOnce,
      discard: true
    }).pipe(
      Effect.map(() => {
        const small = new Set([...channels].filter((channel) => this.#known.get(channel)?.small === true))
        this.#bound()
        return small
      })
    )
  }

  #ask(channel: string, now: number): Effect.Effect<void, StoreUnavailable> {
    return Effect.map(this.#cassandra.read(members, [channel]), ([row]) => {
      const count = row === undefined || !has(row, "members") ? 0 : numberOf(row, "members")
      this.#known.delete(channel)
      this.#known.set(channel, { small: count <= smallMembersMax, until: now + knownMs })
    })
  }

  /** Those that were asked longest ago go. */
  #bound(): void {
    for (const channel of this.#known.keys()) {
      if (this.#known.size <= knownMax) return
      this.#known.delete(channel)
    }
  }
}
