/**
 * Reads in batches from whichever replica of a stream answers first ("direct get"). Messages come by core NATS, at most
 * once, so a batch may have a hole; the caller checks that. One subscription a batch, gone when it is whole.
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

export class DirectGet {
  readonly #connection: NatsConnection
  readonly #inboxPrefix: string | undefined

  constructor(connection: NatsConnection, inboxPrefix?: string) {
    this.#connection = connection
    this.#inboxPrefix = inboxPrefix
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
    return new Promise((resolve, reject) => {
      const inbox = createInbox(this.#inboxPrefix)
      const records: Array<StoredRecord> = []
      const end = (failure?: Error, upTo = 0): void => {
        clearTimeout(timer)
        subscription.unsubscribe()
        if (failure === undefined) resolve({ records, upTo })
        else reject(failure)
      }
      const timer = setTimeout(() => end(new Error(`no replica of ${stream} answers`)), batchMsMax)
      const subscription = this.#connection.subscribe(inbox, {
        callback: (error, message) => {
          if (error !== null) return end(error)
          const { headers } = message
          if (headers === undefined) return end(new Error("a record without headers"))
          // 204: the end of the batch; 404: nothing there.
          if (headers.code === 204 || headers.code === 404) return end(undefined, number(headers, "Nats-UpTo-Sequence"))
          if (headers.code !== 0) return end(new Error(headers.status))
          timer.refresh()
          records.push(storedRecord(message, headers))
        }
      })
      try {
        this.#connection.publish(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(query), { reply: inbox })
      } catch (cause) {
        end(cause instanceof Error ? cause : new Error(String(cause)))
      }
    })
  }
}

const storedRecord = (message: Msg, headers: MsgHdrs): StoredRecord => ({
  subject: headers.last("Nats-Subject"),
  position: number(headers, "Nats-Sequence"),
  follows: number(headers, "Nats-Expected-Last-Subject-Sequence"),
  bytes: message.data
})

const number = (headers: MsgHdrs, name: string): number => Number(headers.last(name))
