/**
 * Takes appends in the order they come and sends those of one turn of the event loop together, sealing each only then:
 * what gathered meanwhile is in its record. Bounded by the bytes on their way; beyond, appends wait unsealed, and what
 * they carry goes on gathering. There is at most one a shard, so they are bounded as well.
 *
 * Hot path, plain TypeScript (bench `remote`).
 */
import { hash } from "node:crypto"
import type { Append, AppendOutcome, LogPosition, LogRecord } from "../EventLog.ts"
import type { Silence } from "./LogHealth.ts"
import type { LogStreams } from "./LogStreams.ts"
import { ambiguous } from "./PublishAnswer.ts"
import { headerBytesMax, type Publisher } from "./Publisher.ts"
import type { StreamRoom } from "./StreamRoom.ts"

/** Bytes that are on their way to the log; the client's socket buffer is not bounded by itself. */
export const inFlightBytesMax = 33_554_432
/** What the server stores beside a record, its subject and its headers. */
const storedFrameBytes = 34

export interface AppendQueueOptions {
  readonly streams: LogStreams
  readonly publisher: Publisher
  /** By the stream's number. */
  readonly rooms: ReadonlyArray<StreamRoom>
  readonly silence: Silence
  readonly recordBytesMax: number
  readonly committed: (shard: number, follows: LogPosition, record: LogRecord) => void
  /** An append ended otherwise, and was not refused before it was tried: what is last in the shard is not known. */
  readonly unknown: (shard: number) => void
}

export class AppendQueue {
  readonly #options: AppendQueueOptions
  readonly #queue: Array<Append> = []
  #scheduled = false
  #inFlightBytes = 0
  /** Shards whose last append is in doubt, and the place after which it was to be. */
  readonly #doubtful = new Map<number, number>()

  constructor(options: AppendQueueOptions) {
    this.#options = options
  }

  append(append: Append): void {
    this.#options.streams.streamOf(append.shard)
    this.#queue.push(append)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled || this.#queue.length === 0 || this.#inFlightBytes >= inFlightBytesMax) return
    this.#scheduled = true
    setImmediate(() => this.#send())
  }

  /** What comes while this runs waits for the next turn, or an append that is refused at once would hold the loop. */
  #send(): void {
    this.#scheduled = false
    for (const room of this.#options.rooms) room.refresh()
    let taken = 0
    const { length } = this.#queue
    while (taken < length && this.#inFlightBytes < inFlightBytesMax) {
      const append = this.#queue[taken++]
      if (append !== undefined) this.#take(append)
    }
    this.#queue.splice(0, taken)
    this.#schedule()
  }

  #take(append: Append): void {
    const { publisher, recordBytesMax, rooms, silence, streams } = this.#options
    const stream = streams.streamOf(append.shard)
    const room = rooms[stream]
    if (room === undefined) return append.settle(ambiguous(`no stream for shard ${append.shard}`))
    // Not sealed, so nothing is in doubt by this.
    if (!publisher.connected) {
      silence.ended(stream, false)
      return append.settle(ambiguous("no connection to the log"))
    }
    // A record in doubt is in the log perhaps, and only the server's answer says so.
    const free = append.reserved || this.#doubtful.get(append.shard) === append.expectedLast
    if (!free && !room.fits(1)) return append.settle({ _tag: "Refused", reason: "full" })
    const bytes = append.seal()
    if (bytes.length > recordBytesMax) return append.settle({ _tag: "Refused", reason: "too_large" })
    const subject = streams.subjectOf(append.shard)
    const size = bytes.length + subject.length + headerBytesMax + storedFrameBytes
    if (!free && !room.fits(size)) return append.settle({ _tag: "Refused", reason: "full" })
    this.#inFlightBytes += size
    room.sent(size)
    publisher.publish({
      subject,
      expectedLast: append.expectedLast,
      id: identityOf(append, bytes),
      bytes,
      settle: (outcome) => this.#settle(append, bytes, room, size, outcome)
    })
  }

  #settle(append: Append, bytes: Uint8Array, room: StreamRoom, size: number, outcome: AppendOutcome): void {
    this.#inFlightBytes -= size
    const { silence, streams } = this.#options
    silence.ended(streams.streamOf(append.shard), outcome._tag !== "Ambiguous")
    room.settled(size, outcome._tag === "Committed" || outcome._tag === "Ambiguous")
    if (outcome._tag === "Ambiguous") this.#doubtful.set(append.shard, append.expectedLast)
    else if (outcome._tag !== "Refused") this.#doubtful.delete(append.shard)
    if (outcome._tag === "Committed") {
      this.#options.committed(append.shard, append.expectedLast, { position: outcome.position, bytes })
    } else this.#options.unknown(append.shard)
    append.settle(outcome)
    this.#schedule()
  }
}

/**
 * The same bytes after the same record of the same shard, and nothing else: what the server takes for a duplicate was
 * this record (†19). A collision of 16 bytes of SHA-256 is the only way to be wrong.
 */
const identityOf = ({ expectedLast, shard }: Append, bytes: Uint8Array): string =>
  `${shard}.${expectedLast}.${hash("sha256", bytes, "base64url").slice(0, 22)}`
