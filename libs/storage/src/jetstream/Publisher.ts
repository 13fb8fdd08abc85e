/**
 * Publishes to streams and tells each caller what became of it: one inbox for all answers, one clock for all timeouts.
 * Every publish names the last sequence it expects of its subject, so an attempt that arrives late does no harm. Several
 * may go together, all or none of them (JetStream's atomic batch, ADR-50): the servers agree on them and sync them once.
 *
 * Hot path, plain TypeScript (bench `remote`): `request` of the client costs a promise, a timer and a subject each.
 */
import { randomBytes } from "node:crypto"
import { createInbox, type Msg, type MsgHdrs, type NatsConnection, type Subscription } from "@nats-io/transport-node"
import type { AppendOutcome } from "../EventLog.ts"
import { Pending } from "../Pending.ts"
import { ambiguous, type BatchOutcome, batchOutcomeOf, outcomeOf } from "./PublishAnswer.ts"

/** An attempt without an answer is given up: a stream without its leader is silent for 5 to 9 s, a retry is cheap. */
export const publishMsMax = 3_000
/** How exact that is. */
const sweepMs = 250
/** Bytes of headers that a publish has at most. */
export const headerBytesMax = 256

export interface Message {
  readonly subject: string
  readonly expectedLast: number
  /** The same for the same bytes after the same record, and for nothing else; without one nothing is deduplicated. */
  readonly id?: string
  readonly bytes: Uint8Array
}

export interface Publish extends Message {
  /** Never called from within `publish`. */
  readonly settle: (outcome: AppendOutcome) => void
}

interface Waiting {
  /** The answer: its header's status (0 without one), and its body. */
  readonly answered: (status: number, body: string) => void
  readonly lost: (why: string) => void
  readonly until: number
}

export class Publisher {
  readonly #connection: NatsConnection
  readonly #inbox: string
  readonly #answers: Subscription
  readonly #msMax: number
  /** With a number, the name of a batch. */
  readonly #batches = randomBytes(6).toString("base64url")
  /** In the order of `until`. */
  readonly #waiting = new Pending<string, Waiting>()
  #sweep: NodeJS.Timeout | undefined
  #token = 0
  #connected = true

  constructor(connection: NatsConnection, options: { readonly inboxPrefix?: string; readonly msMax?: number } = {}) {
    this.#connection = connection
    this.#msMax = options.msMax ?? publishMsMax
    this.#inbox = createInbox(options.inboxPrefix)
    this.#answers = connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => (error === null ? this.#answered(message) : this.#lose(error.message))
    })
    void this.#watch()
  }

  /** Whether a publish would leave now: otherwise it would lie in the client until the connection is made again. */
  get connected(): boolean {
    return this.#connected && !this.#connection.isClosed()
  }

  get inFlight(): number {
    return this.#waiting.size
  }

  publish({ settle, ...message }: Publish): void {
    const token = this.#wait(
      (status, body) => settle(outcomeOf(status, body)),
      (why) => settle(ambiguous(why))
    )
    try {
      this.#send(message, "", token)
    } catch (cause) {
      this.#notSent(token, cause)
    }
  }

  /**
   * Two or more messages of one stream, each of another subject: all are stored, in this order and without anything between
   * them, or none. `settle` is never called from within.
   */
  publishBatch(messages: ReadonlyArray<Message>, settle: (outcome: BatchOutcome) => void): void {
    const token = this.#wait(
      (status, body) => settle(batchOutcomeOf(status, body, messages.length)),
      (cause) => settle({ _tag: "Ambiguous", cause })
    )
    const id = `Nats-Batch-Id: ${this.#batches}${token}\r\nNats-Batch-Sequence: `
    try {
      messages.forEach((message, at) => {
        const isLast = at === messages.length - 1
        const place = `${id}${at + 1}\r\n`
        // Only the last is answered: the server drops a batch of which it lacks a part.
        this.#send(message, isLast ? `${place}Nats-Batch-Commit: 1\r\n` : place, isLast ? token : undefined)
      })
    } catch (cause) {
      this.#notSent(token, cause)
    }
  }

  #wait(answered: Waiting["answered"], lost: Waiting["lost"]): string {
    const token = (++this.#token).toString(36)
    this.#waiting.add(token, { answered, lost, until: performance.now() + this.#msMax })
    this.#sweep ??= setTimeout(() => this.#giveUp(), sweepMs)
    return token
  }

  #send({ bytes, expectedLast, id, subject }: Message, more: string, token: string | undefined): void {
    // as: of the headers a publish calls `encode` alone, and building the whole costs more than the rest of it.
    const headers = new PublishHeaders(expectedLast, id, more) as unknown as MsgHdrs
    const reply = token === undefined ? {} : { reply: `${this.#inbox}.${token}` }
    this.#connection.publish(subject, bytes, { ...reply, headers })
  }

  /** Perhaps a part of it was. */
  #notSent(token: string, cause: unknown): void {
    const waiting = this.#waiting.take(token)
    const why = cause instanceof Error ? cause.message : String(cause)
    queueMicrotask(() => waiting?.lost(why))
  }

  close(): void {
    this.#answers.unsubscribe()
    clearTimeout(this.#sweep)
    this.#connected = false
    this.#lose("the log is closed")
  }

  #answered(message: Msg): void {
    const { subject } = message
    const token = subject.slice(this.#inbox.length + 1)
    // Otherwise given up already: its caller was told that it doesn't know.
    this.#waiting.take(token)?.answered(message.headers?.code ?? 0, message.string())
  }

  #giveUp(): void {
    const now = performance.now()
    for (let first = this.#waiting.first(); first !== undefined; first = this.#waiting.first()) {
      const [token, { until }] = first
      if (until > now) break
      this.#waiting.take(token)?.lost(`no answer within ${this.#msMax} ms`)
    }
    this.#sweep = this.#waiting.size === 0 ? undefined : setTimeout(() => this.#giveUp(), sweepMs)
  }

  /** What was on its way may have arrived or not. */
  #lose(why: string): void {
    for (const waiting of this.#waiting.takeAll()) waiting.lost(why)
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type === "disconnect" || type === "close") {
        this.#connected = false
        this.#lose("the connection to the log is lost")
      } else if (type === "reconnect") this.#connected = !this.#answers.isClosed()
    }
  }
}

/** The headers of one publish, in the form of the wire. */
class PublishHeaders {
  readonly #text: string

  constructor(expectedLast: number, id: string | undefined, more: string) {
    const expected = `NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: ${expectedLast}\r\n${more}`
    this.#text = id === undefined ? `${expected}\r\n` : `${expected}Nats-Msg-Id: ${id}\r\n\r\n`
  }

  encode(): Uint8Array {
    return Buffer.from(this.#text, "latin1")
  }
}
