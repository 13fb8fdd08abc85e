/**
 * What the log's streams have. Reads that decide come from a stream's leader (`last`, `read`, DESIGN §5.4); consumers
 * and replays read in batches from whichever replica answers. That one may be behind, so they may get less than there
 * is, but never with a hole: every record names its predecessor's place in a header, and where that is not the one
 * before it, the rest is left out.
 */
import type { JetStreamManager } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import type { LogPosition, LogRecord } from "../EventLog.ts"
import type { DirectGet, StoredRecord } from "./DirectGet.ts"
import type { LogStreams } from "./LogStreams.ts"
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
}

export class LogReads {
  readonly #connection: NatsConnection
  readonly #streams: LogStreams
  readonly #manager: JetStreamManager
  readonly #direct: DirectGet
  /** By shard: a record that is there. */
  readonly #known = new Map<number, LogPosition>()

  constructor(options: LogReadsOptions) {
    this.#connection = options.connection
    this.#streams = options.streams
    this.#manager = options.manager
    this.#direct = options.direct
  }

  async last(shard: number): Promise<LogRecord | undefined> {
    const last = await this.#fromLeader(shard, { last_by_subj: this.#streams.subjectOf(shard) })
    if (last !== undefined) this.knows(shard, last.position)
    return last
  }

  async read(shard: number, position: LogPosition): Promise<LogRecord | undefined> {
    return position < 1 ? undefined : this.#fromLeader(shard, { seq: position })
  }

  /** The shard has a record at this place: whoever reads and gets less asked a replica that is behind. */
  knows(shard: number, position: LogPosition): void {
    if (position > (this.#known.get(shard) ?? 0)) this.#known.set(shard, position)
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
      if (end >= (this.#known.get(shard) ?? 0)) break
      const query = { seq: end + 1, next_by_subj: this.#streams.subjectOf(shard) }
      const next = await this.#fromLeader(shard, query)
      if (next === undefined || (records.length > 0 && size + next.bytes.length > bytesMax)) break
      size += next.bytes.length
      records.push(next)
    }
    return records
  }

  /** Whether there is a record between `after` and what was found: it is purged, or this replica does not have it. */
  async #lacks(shard: number, after: LogPosition, [first]: ReadonlyArray<StoredRecord>): Promise<boolean> {
    return first !== undefined && first.follows > after && (await this.read(shard, first.follows)) !== undefined
  }

  /** Removes what is before `upTo + 1`, but keeps the last record (†27). */
  async purge(shard: number, upTo: LogPosition): Promise<void> {
    const last = await this.last(shard)
    if (last === undefined) return
    // The server removes up to, not including; 0 means everything to it, and 1 once did.
    const keepFrom = Math.min(upTo + 1, last.position)
    if (keepFrom < 2) return
    await this.#manager.streams.purge(this.#streams.nameOf(shard), {
      filter: this.#streams.subjectOf(shard),
      seq: keepFrom
    })
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
