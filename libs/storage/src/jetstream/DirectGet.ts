/**
 * Reads in batches from whichever replica of a stream answers first ("direct get"). Messages come by core NATS, at most
 * once, so a batch may have a hole; the caller checks that. One inbox for all batches: the servers of a cluster tell each
 * other of every subscription that comes and goes.
 */
import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node"

/** A batch whose next message does not come within this is given up. */
const batchMsMax = 3_000

export interface StoredRecord {
  readonly subject: string
  readonly position: number
  /** The place of its predecessor on the subject when it was written; 0 for the first. */
  readonly follows: number
  readonly bytes: Uint8Array
}

export interface LastOf {
  readonly records: ReadonlyArray<StoredRecord>
  /** What the replica had applied: all of the stream up to here was looked at. */
  readonly upTo: number
}

interface Batch {
  readonly stream: string
  readonly records: Array<StoredRecord>
  readonly resolve: (found: LastOf) => void
  readonly reject: (failure: Error) => void
  timer: NodeJS.Timeout
}

export class DirectGet {
  readonly #connection: NatsConnection
  readonly #inbox: string
  readonly #batches = new Map<string, Batch>()
  #token = 0

  constructor(connection: NatsConnection, inboxPrefix?: string) {
    this.#connection = connection
    this.#inbox = createInbox(inboxPrefix)
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) return this.#failAll(error)
        const batch = this.#batches.get(message.subject.slice(this.#inbox.length + 1))
        // Given up already.
        if (batch !== undefined) this.#take(batch, message)
      }
    })
  }

  /** A subject's records from a place on, in order; the server ends a batch with the record that passes `bytesMax`. */
  async records(
    stream: string,
    query: {
      readonly subject: string
      readonly from: number
      readonly bytesMax: number
      readonly recordsMax: number
    }
  ): Promise<ReadonlyArray<StoredRecord>> {
    const { from, recordsMax, subject } = query
    const batch = { seq: from, next_by_subj: subject, batch: recordsMax, max_bytes: query.bytesMax }
    return (await this.#batch(stream, batch)).records
  }

  /** The last record of each subject that matches. */
  lastOf(stream: string, subjects: string): Promise<LastOf> {
    return this.#batch(stream, { multi_last: [subjects] })
  }

  #batch(stream: string, query: object): Promise<LastOf> {
    const token = (++this.#token).toString(36)
    return new Promise<LastOf>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no replica of ${stream} answers`)), batchMsMax)
      this.#batches.set(token, { stream, records: [], resolve, reject, timer })
      const reply = `${this.#inbox}.${token}`
      this.#connection.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(query), { reply })
    }).finally(() => {
      clearTimeout(this.#batches.get(token)?.timer)
      this.#batches.delete(token)
    })
  }

  #take({ records, reject, resolve, timer }: Batch, message: Msg): void {
    const { headers } = message
    // 503: nobody has the stream.
    if (headers === undefined) return reject(new Error("a record without headers"))
    // 204: the end of the batch; 404: nothing there.
    if (headers.code === 204 || headers.code === 404)
      return resolve({ records, upTo: number(headers, "Nats-UpTo-Sequence") })
    if (headers.code !== 0) return reject(new Error(headers.status))
    timer.refresh()
    records.push(storedRecord(message, headers))
  }

  #failAll(failure: Error): void {
    for (const { reject } of this.#batches.values()) reject(failure)
  }
}

const storedRecord = (message: Msg, headers: MsgHdrs): StoredRecord => ({
  subject: headers.last("Nats-Subject"),
  position: number(headers, "Nats-Sequence"),
  follows: number(headers, "Nats-Expected-Last-Subject-Sequence"),
  bytes: message.data
})

const number = (headers: MsgHdrs, name: string): number => Number(headers.last(name))
