/**
 * Cuts a stream's front: what all of its shards can spare goes in one piece and costs the servers next to nothing, where one
 * shard's records are looked for among those of all others (docs/capacity.md, "A cut of the log"). Who works on a shard notes
 * up to where it can spare its records, as a position beside those of its consumers and stored after them; whoever moves the
 * last one of a stream cuts. A shard that can spare nothing holds the front, until there is so little room that shards are cut
 * one by one.
 *
 * A note proves nothing of a stream that came back with less than it had, for there it speaks of other records. So a cut
 * also needs, of every subject that the leader lists after the notes were read, a record that lies behind it (†27).
 */
import type { LogPosition } from "../EventLog.ts"
import type { LogStreams } from "./LogStreams.ts"

/** A cut is worth it for so much; it is a message that three replicas agree on. */
export const frontBytesMin = 8_388_608
/** In a small log for this part of it. */
const frontPartMin = 0.05
/** The name under which positions keep the notes. */
export const spared = "spared"

/** What the leader says of a stream. */
export interface StreamFront {
  readonly first: LogPosition
  readonly last: LogPosition
  readonly bytes: number
  readonly shards: ReadonlyArray<number>
}

export interface LogFrontOptions {
  readonly streams: LogStreams
  /** Of one stream. */
  readonly softBytes: number
  readonly positions: {
    move(name: string, shard: number, position: LogPosition): void
    store(shard: number): Promise<void>
    stored(name: string): Promise<(shard: number) => LogPosition>
  }
  readonly reads: {
    known(shard: number): LogPosition
    newest(shard: number): LogPosition
    last(shard: number): Promise<{ readonly position: LogPosition } | undefined>
    purged(shard: number, upTo: LogPosition): void
  }
  readonly look: (stream: number) => Promise<StreamFront>
  /** Removes what the stream has up to and including this place. */
  readonly cut: (stream: number, upTo: LogPosition) => Promise<void>
}

/** A stream as of the last look, or of the last cut. */
interface Seen {
  readonly shards: ReadonlyArray<number>
  /** Where it begins, and how many places are worth a cut, by what they had on the average. */
  readonly first: LogPosition
  readonly places: number
}

export class LogFront {
  readonly #options: LogFrontOptions
  readonly #bytesMin: number
  readonly #seen = new Map<number, Seen>()
  readonly #cutting = new Set<number>()

  constructor(options: LogFrontOptions) {
    this.#options = options
    this.#bytesMin = Math.min(frontBytesMin, options.softBytes * frontPartMin)
  }

  /** Notes it; whether the front of its stream went. */
  async spare(shard: number, upTo: LogPosition): Promise<boolean> {
    const { positions, streams } = this.#options
    const stream = streams.streamOf(shard)
    // What a consumer has done with must be known for good before a note says so.
    await positions.store(shard)
    positions.move(spared, shard, upTo)
    await positions.store(shard)
    if (this.#cutting.has(stream)) return false
    this.#cutting.add(stream)
    try {
      return await this.#cut(stream)
    } finally {
      this.#cutting.delete(stream)
    }
  }

  async #cut(stream: number): Promise<boolean> {
    const { cut, positions, reads } = this.#options
    const noted = await positions.stored(spared)
    const lowest = (shards: ReadonlyArray<number>) => Math.min(...shards.map((shard) => noted(shard)))
    const before = this.#seen.get(stream)
    // Shards may have come since, and none goes: the lowest note of all is no higher.
    if (before !== undefined && lowest(before.shards) < before.first + before.places) return false
    // After the notes: it lists every subject that has a record below them.
    const front = await this.#options.look(stream)
    const { first, last, shards } = front
    const seen = { shards, first, places: Math.ceil(this.#bytesMin / meanBytes(front)) }
    this.#seen.set(stream, seen)
    // A leader that was deposed, or a stream that lost its end: nobody knows what lies below the notes there.
    if (last < Math.max(...shards.map((shard) => reads.newest(shard)))) return false
    const upTo = Math.min(last, lowest(shards))
    if (upTo < first + seen.places) return false
    const keep = await this.#keptFrom(shards, upTo)
    if (keep - 1 < first + seen.places) return false
    await cut(stream, keep - 1)
    for (const shard of shards) reads.purged(shard, keep - 1)
    this.#seen.set(stream, { ...seen, first: keep })
    return true
  }

  /** The first place that stays, so that each of the shards keeps its last record. */
  async #keptFrom(shards: ReadonlyArray<number>, upTo: LogPosition): Promise<LogPosition> {
    const { reads } = this.#options
    let keep = upTo + 1
    for (const shard of shards) {
      if (reads.known(shard) > upTo) continue
      const last = await reads.last(shard)
      keep = Math.min(keep, last?.position ?? 0)
    }
    return keep
  }
}

const meanBytes = ({ bytes, first, last }: StreamFront): number => Math.max(1, bytes / Math.max(1, last - first + 1))
