/**
 * Publishes to streams and tells each caller what became of it: one inbox for all answers, one clock for all timeouts.
 * Every publish names the last sequence it expects of its subject, so an attempt that arrives late does no harm.
 *
 * Hot path, plain TypeScript (bench `remote`): `request` of the client costs a promise, a timer and a subject each.
 */
import { createInbox, type Msg, type MsgHdrs, type NatsConnection, type Subscription } from "@nats-io/transport-node"
import type { AppendOutcome } from "../EventLog.ts"
import { ambiguous, outcomeOf } from "./PublishAnswer.ts"

/** An attempt without an answer is given up: a stream without its leader is silent for 5 to 9 s, a retry is cheap. */
export const publishMsMax = 3_000
/** How exact that is. */
const sweepMs = 250
/** Bytes of headers that a publish has at most. */
export const headerBytesMax = 256

export interface Publish {
  readonly subject: string
  readonly expectedLast: number
  /** The same for the same bytes after the same record, and for nothing else; without one nothing is deduplicated. */
  readonly id?: string
  readonly bytes: Uint8Array
  /** Never called from within `publish`. */
  readonly settle: (outcome: AppendOutcome) => void
}

interface Waiting {
  readonly settle: (outcome: AppendOutcome) => void
  readonly until: number
}

export class Publisher {
  readonly #connection: NatsConnection
  readonly #inbox: string
  readonly #answers: Subscription
  readonly #msMax: number
  /** In the order of `until`. */
  readonly #waiting = new Map<string, Waiting>()
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

  publish(publish: Publish): void {
    const token = (++this.#token).toString(36)
    this.#waiting.set(token, { settle: publish.settle, until: performance.now() + this.#msMax })
    this.#sweep ??= setTimeout(() => this.#giveUp(), sweepMs)
    try {
      this.#connection.publish(publish.subject, publish.bytes, {
        reply: `${this.#inbox}.${token}`,
        // as: of the headers a publish calls `encode` alone, and building the whole costs more than the rest of it.
        headers: new PublishHeaders(publish.expectedLast, publish.id) as unknown as MsgHdrs
      })
    } catch (cause) {
      this.#waiting.delete(token)
      const why = cause instanceof Error ? cause.message : String(cause)
      queueMicrotask(() => publish.settle(ambiguous(why)))
    }
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
    const waiting = this.#waiting.get(token)
    // Given up already: its caller was told that it doesn't know.
    if (waiting === undefined) return
    this.#waiting.delete(token)
    waiting.settle(outcomeOf(message.headers?.code ?? 0, message.string()))
  }

  #giveUp(): void {
    const now = performance.now()
    for (const [token, waiting] of this.#waiting) {
      if (waiting.until > now) break
      this.#waiting.delete(token)
      waiting.settle(ambiguous(`no answer within ${this.#msMax} ms`))
    }
    this.#sweep = this.#waiting.size === 0 ? undefined : setTimeout(() => this.#giveUp(), sweepMs)
  }

  /** What was on its way may have arrived or not. */
  #lose(why: string): void {
    const lost = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const { settle } of lost) settle(ambiguous(why))
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

  constructor(expectedLast: number, id: string | undefined) {
    const expected = `NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: ${expectedLast}\r\n`
    this.#text = id === undefined ? `${expected}\r\n` : `${expected}Nats-Msg-Id: ${id}\r\n\r\n`
  }

  encode(): Uint8Array {
    return Buffer.from(this.#text, "latin1")
  }
}
