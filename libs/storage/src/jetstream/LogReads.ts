/**
 * What the log's streams have. Reads that decide come from a stream's leader (`last`, `read`, DESIGN §5.4); consumers
 * and replays read in batches from whichever replica answers. That one may be behind, so they may get less than there
 * is, but never with a hole: every record names its predecessor's place in a header, and where that is not the one
 * before it, the rest is left out.
 */
import type { JetStreamManager } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import { LogDamaged, type LogPosition, type LogRecord, type OwnRecord } from "../EventLog.ts"
import type { DirectGet, StoredRecord } from "./DirectGet.ts"
import type { StreamFront } from "./LogFront.ts"
import type { LogStreams } from "./LogStreams.ts"
import { OwnRecords } from "./OwnRecords.ts"
import { headerBytesMax } from "./Publisher.ts"

/** One question to a stream. */
export const readMsMax = 3_000
/** Records in one batch, however small they are. */
const batchRecordsMax = 256
/** Records that a leader is asked for one by one where a replica is behind. */
const leaderRecordsMax = 8
const noMessageFound = 10_037

export interface LogReadsOptions {
  readonly connection: NatsConnection
  readonly streams: LogStreams
  readonly manager: JetStreamManager
  readonly direct: DirectGet
  /** A reader has met the place of a purge. */
  readonly onPurged: () => void
}

export class LogReads {
  readonly #connection: NatsConnection
  readonly #streams: LogStreams
  readonly #manager: JetStreamManager
  readonly #direct: DirectGet
  readonly #own = new OwnRecords()
  /** By shard: a record that is there. */
  readonly #known = new Map<number, LogPosition>()
  /** By stream: the newest of them. */
  readonly #newest = new Map<number, LogPosition>()
  /** By shard: the last purge, and what was last then. The log is cut in rounds, mostly where nothing has changed. */
  readonly #purged = new Map<number, { readonly upTo: LogPosition; readonly last: LogPosition }>()
  readonly #onPurged: () => void

  constructor(options: LogReadsOptions) {
    this.#connection = options.connection
    this.#streams = options.streams
    this.#manager = options.manager
    this.#direct = options.direct
    this.#onPurged = options.onPurged
  }

  async last(shard: number): Promise<LogRecord | undefined> {
    const last = await this.#fromLeader(shard, { last_by_subj: this.#streams.subjectOf(shard) })
    if (last !== undefined) this.knows(shard, last.position)
    return last
  }

  async read(shard: number, position: LogPosition): Promise<LogRecord | undefined> {
    return position < 1 ? undefined : this.#fromLeader(shard, { seq: position })
  }

  /** This node appended a record; one without content is the log's alone. */
  appended(shard: number, follows: LogPosition, record: OwnRecord): void {
    this.knows(shard, record.position)
    if (record.content === undefined) this.#own.forget(shard)
    else this.#own.appended(shard, follows, record)
  }

  own(shard: number, after: LogPosition, bytesMax: number): ReadonlyArray<OwnRecord> | undefined {
    return this.#own.readAfter(shard, after, bytesMax)
  }

  /** What this node appended to the shard may not be the last there any more. */
  forget(shard: number): void {
    this.#own.forget(shard)
  }

  /** A consumer of this node has done with what it read up to here. */
  consumed(consumer: string, shard: number, upTo: LogPosition): void {
    this.#own.consumed(consumer, shard, upTo)
  }

  /** The shard has a record at this place: whoever reads and gets less asked a replica that is behind. */
  knows(shard: number, position: LogPosition): void {
    if (position <= this.known(shard)) return
    this.#known.set(shard, position)
    if (position > this.newest(shard)) this.#newest.set(this.#streams.streamOf(shard), position)
  }

  /** The newest place where this node has seen a record of the shard; 0: it has seen none. */
  known(shard: number): LogPosition {
    return this.#known.get(shard) ?? 0
  }

  /** The same of any shard of its stream. */
  newest(shard: number): LogPosition {
    return this.#newest.get(this.#streams.streamOf(shard)) ?? 0
  }

  /** What precedes `upTo + 1` is gone from the log. */
  purged(shard: number, upTo: LogPosition): void {
    this.#own.purged(shard, upTo)
  }

  async #fromLeader(shard: number, query: object): Promise<LogRecord | undefined> {
    const subject = `$JS.API.STREAM.MSG.GET.${this.#streams.nameOf(shard)}`
    const answer = await this.#connection.request(subject, JSON.stringify(query), { timeout: readMsMax })
    // as: the server's documented answer; a field that is not there shows as `undefined`.
    const { error, message } = answer.json() as MessageAnswer
    if (error?.err_code === noMessageFound) return undefined
    if (error !== undefined) throw new Error(`${error.description} (${error.err_code})`)
    if (message?.subject !== this.#streams.subjectOf(shard)) return undefined
    return { position: message.seq, bytes: Buffer.from(message.data ?? "", "base64") }
  }

  async readAfter(shard: number, after: LogPosition, bytesMax: number): Promise<ReadonlyArray<LogRecord>> {
    const subject = this.#streams.subjectOf(shard)
    const found = await this.#direct.records(this.#streams.nameOf(shard), {
      subject,
      from: after + 1,
      // The server counts subjects and headers as well; what is too much is left out here.
      bytesMax: bytesMax + batchRecordsMax * (headerBytesMax + subject.length),
      recordsMax: batchRecordsMax
    })
    const last = found.at(-1)
    if (last !== undefined) this.knows(shard, last.position)
    const records = (await this.#lacks(shard, after, found)) ? [] : page(found, bytesMax)
    const cut = (records.length > 0 && records.length < found.length) || found.length >= batchRecordsMax
    return cut ? records : this.#fromLeaderOn(shard, after, bytesMax, records)
  }

  /** Where a replica ended before what this node knows of, it is behind or broken: the leader gives the next few. */
  async #fromLeaderOn(shard: number, after: LogPosition, bytesMax: number, found: ReadonlyArray<LogRecord>) {
    const records = [...found]
    let size = records.reduce((sum, { bytes }) => sum + bytes.length, 0)
    for (let asked = 0; asked < leaderRecordsMax; asked++) {
      const end = records.at(-1)?.position ?? after
      if (end >= this.known(shard)) break
      const query = { seq: end + 1, next_by_subj: this.#streams.subjectOf(shard) }
      const next = await this.#fromLeader(shard, query)
      if (next === undefined || (records.length > 0 && size + next.bytes.length > bytesMax)) break
      size += next.bytes.length
      records.push(next)
    }
    return records
  }

  /**
   * Whether this replica lacks a record between `after` and what it found. What the leader lacks as well was purged, for
   * which consumers have to look where they were cut; or it is lost, if the records on both sides of it are there: a
   * purge takes the front only.
   */
  async #lacks(shard: number, after: LogPosition, [first]: ReadonlyArray<StoredRecord>): Promise<boolean> {
    if (first === undefined || first.follows <= after) return false
    if ((await this.read(shard, first.follows)) !== undefined) return true
    // A leader that lacks what a replica has is one that was deposed, and says nothing.
    if ((await this.read(shard, first.position)) === undefined) return true
    if ((await this.read(shard, after)) !== undefined) {
      throw new LogDamaged({
        shard,
        position: first.follows,
        what: "the record is gone, and those around it are there"
      })
    }
    this.#onPurged()
    return false
  }

  /** Removes what is before `upTo + 1`, but keeps the last record (†27). False: there was nothing to do. */
  async purge(shard: number, upTo: LogPosition): Promise<boolean> {
    const done = this.#purged.get(shard)
    if (done !== undefined && upTo <= done.upTo && this.known(shard) <= done.last) return false
    const last = await this.last(shard)
    if (last === undefined) return false
    // The server removes up to, not including; 0 means everything to it, and 1 once did.
    const keepFrom = Math.min(upTo + 1, last.position)
    // What was asked is done for good, but for the last record that it was to take.
    const purged = { upTo, last: keepFrom > upTo ? Infinity : last.position }
    if (keepFrom < 2) {
      this.#purged.set(shard, purged)
      return false
    }
    this.#own.purged(shard, keepFrom - 1)
    await this.#manager.streams.purge(this.#streams.nameOf(shard), {
      filter: this.#streams.subjectOf(shard),
      seq: keepFrom
    })
    this.#purged.set(shard, purged)
    return true
  }

  /** Removes all that a stream has up to this place. */
  async cutFront(stream: number, upTo: LogPosition): Promise<void> {
    await this.#manager.streams.purge(this.#nameOf(stream), { seq: upTo + 1 })
  }

  /** A stream as its leader has it. */
  async front(stream: number): Promise<StreamFront> {
    const { state } = await this.#manager.streams.info(this.#nameOf(stream), {
      subjects_filter: this.#streams.subjectsOf(stream)
    })
    const shards = Object.keys(state.subjects ?? {}).map((subject) => this.#streams.shardOf(subject))
    return { first: state.first_seq, last: state.last_seq, bytes: state.bytes, shards }
  }

  #nameOf(stream: number): string {
    const name = this.#streams.names[stream]
    if (name === undefined) throw new RangeError(`no stream ${stream}`)
    return name
  }

  async bytesIn(stream: string): Promise<number> {
    return (await this.#manager.streams.info(stream)).state.bytes
  }

  /** Ascending. */
  async shards(): Promise<ReadonlyArray<number>> {
    const subjects = await Promise.all(
      this.#streams.names.map(async (name, stream) => {
        const filter = this.#streams.subjectsOf(stream)
        const { state } = await this.#manager.streams.info(name, { subjects_filter: filter })
        return Object.keys(state.subjects ?? {})
      })
    )
    return subjects
      .flat()
      .map((subject) => this.#streams.shardOf(subject))
      .filter((shard) => Number.isInteger(shard))
      .sort((a, b) => a - b)
  }
}

interface MessageAnswer {
  readonly error?: { readonly err_code: number; readonly description: string }
  readonly message?: { readonly subject: string; readonly seq: number; readonly data?: string }
}

/** As much as may be, without a hole; the first whatever its size. */
const page = (found: ReadonlyArray<StoredRecord>, bytesMax: number): ReadonlyArray<LogRecord> => {
  const records: Array<LogRecord> = []
  let size = 0
  for (const { bytes, follows, position } of found) {
    const before = records.at(-1)
    if (before !== undefined && (follows !== before.position || size + bytes.length > bytesMax)) break
    size += bytes.length
    records.push({ position, bytes })
  }
  return records
}
