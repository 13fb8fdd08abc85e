/**
 * The newest records that this node itself appended, by shard, so that its consumers, which work on the shards whose log
 * it writes, have them from memory: what was committed a moment ago is not asked of the log again. Each record names its
 * predecessor, so a read that begins behind the oldest of them gets all there is up to the newest; any other read is the
 * log's. That nobody else appended meanwhile is not known here, nor claimed for long: of a shard that rests the log is asked.
 * What every consumer here has done with goes.
 *
 * Hot path, plain TypeScript (bench `remote`).
 */
import type { LogPosition, OwnRecord } from "../EventLog.ts"

/** By their bytes in the log, which what they were made of takes about, of all shards; beyond it the oldest of the shard that rests the longest go, and a consumer so far behind reads the log. */
export const ownBytesMax = 33_554_432
/** A record takes at least so much besides. */
const recordOverheadBytes = 128
/** So long after the last append a shard's newest record counts as the log's newest. */
export const freshMsMax = 1_000

interface Chain {
  /** The place before the first record. */
  follows: LogPosition
  records: Array<OwnRecord>
  /** When the newest was appended. */
  at: number
}

export class OwnRecords {
  readonly #now: () => number
  /** That of the last append comes last. */
  readonly #chains = new Map<number, Chain>()
  /** How far consumers of this node have come, by shard. */
  readonly #consumed = new Map<number, Map<string, LogPosition>>()
  #bytes = 0

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Committed at `position`, the next one after `follows`. */
  appended(shard: number, follows: LogPosition, record: OwnRecord): void {
    let chain = this.#chains.get(shard)
    // Somebody else appended in between.
    if (chain !== undefined && (chain.records.at(-1)?.position ?? chain.follows) !== follows) {
      this.forget(shard)
      chain = undefined
    }
    chain ??= { follows, records: [], at: 0 }
    chain.records.push(record)
    chain.at = this.#now()
    this.#chains.delete(shard)
    this.#chains.set(shard, chain)
    this.#bytes += sizeOf(record)
    while (this.#bytes > ownBytesMax) this.#makeRoom()
  }

  /** An append that did not end as expected: the shard may be somebody else's. */
  forget(shard: number): void {
    for (const record of this.#chains.get(shard)?.records ?? []) this.#bytes -= sizeOf(record)
    this.#chains.delete(shard)
    this.#consumed.delete(shard)
  }

  /** A consumer of this node has done with everything up to here. What it passed stays for the slowest of those that have moved here. */
  consumed(consumer: string, shard: number, upTo: LogPosition): void {
    if (!this.#chains.has(shard)) return
    let places = this.#consumed.get(shard)
    if (places === undefined) this.#consumed.set(shard, (places = new Map()))
    places.set(consumer, upTo)
    this.purged(shard, Math.min(...places.values()))
  }

  /** Records up to this place are gone from the log. */
  purged(shard: number, upTo: LogPosition): void {
    const chain = this.#chains.get(shard)
    if (chain === undefined) return
    while ((chain.records[0]?.position ?? Infinity) <= upTo) this.#dropFirst(chain)
  }

  /** All that follows `after`, up to `bytesMax` bytes but at least one; undefined: the log has to be asked. */
  readAfter(shard: number, after: LogPosition, bytesMax: number): ReadonlyArray<OwnRecord> | undefined {
    const chain = this.#chains.get(shard)
    if (chain === undefined || after < chain.follows) return undefined
    const { records } = chain
    let from = records.length
    while (from > 0 && (records[from - 1]?.position ?? 0) > after) from--
    if (from === records.length && this.#now() - chain.at > freshMsMax) return undefined
    let size = 0
    const found: Array<OwnRecord> = []
    for (let at = from; at < records.length; at++) {
      const record = records[at]
      if (record === undefined || (found.length > 0 && size + record.size > bytesMax)) break
      size += record.size
      found.push(record)
    }
    return found
  }

  #makeRoom(): void {
    for (const [shard, chain] of this.#chains) {
      this.#dropFirst(chain)
      if (chain.records.length === 0) this.#chains.delete(shard)
      return
    }
  }

  #dropFirst(chain: Chain): void {
    const first = chain.records.shift()
    if (first === undefined) return
    chain.follows = first.position
    this.#bytes -= sizeOf(first)
  }
}

const sizeOf = ({ size }: OwnRecord): number => size + recordOverheadBytes
