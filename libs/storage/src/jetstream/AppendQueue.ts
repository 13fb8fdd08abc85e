/**
 * Takes appends in the order they come and sends those of a stream together: what costs three servers is to agree on
 * something and to sync it, much more than its bytes, and at any but the highest load each shard has but a message or two.
 * So the records of several shards are one batch, all or none (`Publisher.publishBatch`): the next one leaves a while after
 * the one before, and each record is sealed only then, so that what gathered meanwhile is in it. After idle it leaves at
 * once.
 *
 * A batch that is refused says nothing of its records: each is sent alone then, and answered for itself. So is a record in
 * doubt, and one beside another of its shard: it would have the whole batch refused.
 *
 * Bounded by the bytes on their way, and by batches; beyond, appends wait unsealed, and what they carry goes on gathering.
 * There is at most one a shard, so they are bounded as well.
 *
 * Hot path, plain TypeScript (bench `remote`).
 */
import { hash } from "node:crypto"
import type { Append, AppendOutcome, LogPosition, OwnRecord } from "../EventLog.ts"
import type { Silence } from "./LogHealth.ts"
import type { LogStreams } from "./LogStreams.ts"
import { ambiguous, type BatchOutcome } from "./PublishAnswer.ts"
import { headerBytesMax, type Message, type Publisher } from "./Publisher.ts"
import type { StreamRoom } from "./StreamRoom.ts"

/** Bytes that are on their way to the log; the client's socket buffer is not bounded by itself. */
export const inFlightBytesMax = 33_554_432
/** Least time between two batches of a stream. Below it they cost the servers more, above it only the senders wait longer. */
export const batchGapMs = 5
/** Records in one batch (a server takes 1,000), and their bytes; one record may be larger. */
export const batchRecordsMax = 256
export const batchBytesMax = 1_048_576
/** Batches of one stream on their way: while one is, more gathers, so that slow servers are asked less often … */
export const batchesAtOnce = 4
/** … but a lost answer holds nobody up for long. */
export const batchPatienceMs = 250
/** What the server stores beside a record, its subject and its headers. */
const storedFrameBytes = 34

export interface AppendQueueOptions {
  readonly streams: LogStreams
  readonly publisher: Pick<Publisher, "connected" | "publish" | "publishBatch">
  /** By the stream's number. */
  readonly rooms: ReadonlyArray<StreamRoom>
  readonly silence: Silence
  readonly recordBytesMax: number
  readonly committed: (shard: number, follows: LogPosition, record: OwnRecord) => void
  /** An append ended otherwise, and was not refused before it was tried: what is last in the shard is not known. */
  readonly unknown: (shard: number) => void
  readonly now?: () => number
}

/** The appends of one stream. */
interface Lane {
  readonly stream: number
  readonly room: StreamRoom
  waiting: Array<Append>
  batches: number
  /** When the last batch left. */
  leftAt: number
  timer: NodeJS.Timeout | undefined
  /** The stream takes no batches. */
  alone: boolean
}

/** An append that is sealed, and counted as on its way. */
interface Sent {
  readonly append: Append
  readonly lane: Lane
  readonly message: Message
  /** See `OwnRecord`. */
  readonly content: unknown
  readonly size: number
}

export class AppendQueue {
  readonly #options: AppendQueueOptions
  readonly #now: () => number
  readonly #lanes: ReadonlyArray<Lane>
  #scheduled = false
  #inFlightBytes = 0
  /** Shards of which a record is on its way. */
  readonly #underWay = new Set<number>()
  /** Shards whose last append is in doubt, and the place after which it was to be. */
  readonly #doubtful = new Map<number, number>()

  constructor(options: AppendQueueOptions) {
    this.#options = options
    this.#now = options.now ?? (() => performance.now())
    this.#lanes = options.rooms.map((room, stream) => ({
      stream,
      room,
      waiting: [],
      batches: 0,
      leftAt: -Infinity,
      timer: undefined,
      alone: false
    }))
  }

  append(append: Append): void {
    const lane = this.#lanes[this.#options.streams.streamOf(append.shard)]
    if (lane === undefined) return append.settle(ambiguous(`no stream for shard ${append.shard}`))
    lane.waiting.push(append)
    this.#schedule()
  }

  /** Enough has gathered somewhere: it is worth a batch by itself. */
  hurry(): void {
    for (const lane of this.#lanes) lane.leftAt = -Infinity
    this.#schedule()
  }

  readonly #due = (): void => this.#schedule()

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#send())
  }

  /** What comes while this runs waits for the next turn, or an append that is refused at once would hold the loop. */
  #send(): void {
    this.#scheduled = false
    for (const lane of this.#lanes) if (lane.waiting.length > 0) this.#sendLane(lane)
  }

  #sendLane(lane: Lane): void {
    lane.room.refresh()
    const gapMs = lane.batches === 0 ? batchGapMs : batchPatienceMs
    const waitMs = lane.alone ? 0 : lane.leftAt + gapMs - this.#now()
    clearTimeout(lane.timer)
    if (waitMs > 0 && lane.batches < batchesAtOnce) lane.timer = setTimeout(this.#due, Math.ceil(waitMs))
    const mayBatch = waitMs <= 0 && lane.batches < batchesAtOnce
    if (!mayBatch && !lane.alone && this.#doubtful.size === 0) return
    const batch: Array<Sent> = []
    let bytes = 0
    const { waiting } = lane
    const left: Array<Append> = []
    lane.waiting = []
    for (const append of waiting) {
      const inDoubt = this.#doubtful.get(append.shard) === append.expectedLast
      const alone = inDoubt || lane.alone || this.#underWay.has(append.shard)
      const full = batch.length >= batchRecordsMax || bytes >= batchBytesMax
      if (!(alone || (mayBatch && !full)) || this.#inFlightBytes >= inFlightBytesMax) {
        left.push(append)
        continue
      }
      const sent = this.#take(lane, append, inDoubt)
      if (sent === undefined) continue
      if (alone) this.#sendAlone(sent)
      else {
        batch.push(sent)
        bytes += sent.size
      }
    }
    // What was refused at once may have come again.
    lane.waiting = left.length === 0 ? lane.waiting : [...left, ...lane.waiting]
    if (batch.length === 0) return
    lane.batches++
    lane.leftAt = this.#now()
    this.#sendBatch(lane, batch)
    if (lane.waiting.length > 0 && lane.batches < batchesAtOnce) this.#schedule()
  }

  /** Seals it, and counts it as on its way; undefined: it was answered. */
  #take(lane: Lane, append: Append, inDoubt: boolean): Sent | undefined {
    const { publisher, recordBytesMax, silence, streams } = this.#options
    const { room } = lane
    // Not sealed, so nothing is in doubt by this.
    if (!publisher.connected) {
      silence.ended(lane.stream, false)
      append.settle(ambiguous("no connection to the log"))
      return undefined
    }
    // A record in doubt is in the log perhaps, and only the server's answer says so.
    const free = append.reserved || inDoubt
    if (!free && !room.fits(1)) return refuse(append, "full")
    const bytes = append.seal()
    if (bytes.length > recordBytesMax) return refuse(append, "too_large")
    const subject = streams.subjectOf(append.shard)
    const size = bytes.length + subject.length + headerBytesMax + storedFrameBytes
    if (!free && !room.fits(size)) return refuse(append, "full")
    this.#inFlightBytes += size
    this.#underWay.add(append.shard)
    room.sent(size)
    const message = { subject, expectedLast: append.expectedLast, id: identityOf(append, bytes), bytes }
    return { append, lane, message, content: append.content?.(), size }
  }

  #sendAlone(sent: Sent): void {
    this.#options.publisher.publish({ ...sent.message, settle: (outcome) => this.#settle(sent, outcome) })
  }

  #sendBatch(lane: Lane, batch: ReadonlyArray<Sent>): void {
    const [first] = batch
    if (batch.length === 1 && first !== undefined) {
      this.#options.publisher.publish({
        ...first.message,
        settle: (outcome) => {
          lane.batches--
          this.#settle(first, outcome)
        }
      })
      return
    }
    this.#options.publisher.publishBatch(
      batch.map(({ message }) => message),
      (outcome) => {
        lane.batches--
        this.#settleBatch(lane, batch, outcome)
      }
    )
  }

  #settleBatch(lane: Lane, batch: ReadonlyArray<Sent>, outcome: BatchOutcome): void {
    switch (outcome._tag) {
      case "Committed":
        return batch.forEach((sent, at) => this.#settle(sent, { _tag: "Committed", position: outcome.first + at }))
      case "Ambiguous":
        return batch.forEach((sent) => this.#settle(sent, ambiguous(outcome.cause)))
      case "Apart":
        lane.alone ||= outcome.never
        return batch.forEach((sent) => this.#sendAlone(sent))
    }
  }

  #settle({ append, content, lane, message, size }: Sent, outcome: AppendOutcome): void {
    this.#inFlightBytes -= size
    this.#underWay.delete(append.shard)
    this.#options.silence.ended(lane.stream, outcome._tag !== "Ambiguous")
    lane.room.settled(size, outcome._tag === "Committed" || outcome._tag === "Ambiguous")
    if (outcome._tag === "Ambiguous") this.#doubtful.set(append.shard, append.expectedLast)
    else if (outcome._tag !== "Refused") this.#doubtful.delete(append.shard)
    if (outcome._tag === "Committed") {
      const record = { position: outcome.position, size: message.bytes.length, content }
      this.#options.committed(append.shard, append.expectedLast, record)
    } else this.#options.unknown(append.shard)
    append.settle(outcome)
    // The bound of bytes is that of all streams: another one's appends may have waited for this.
    if (this.#lanes.some(({ waiting }) => waiting.length > 0)) this.#schedule()
  }
}

const refuse = (append: Append, reason: "full" | "too_large"): undefined => {
  append.settle({ _tag: "Refused", reason })
}

/**
 * The same bytes after the same record of the same shard, and nothing else: what the server takes for a duplicate was
 * this record (†19). A collision of 16 bytes of SHA-256 is the only way to be wrong.
 */
const identityOf = ({ expectedLast, shard }: Append, bytes: Uint8Array): string =>
  `${shard}.${expectedLast}.${hash("sha256", bytes, "base64url").slice(0, 22)}`
