/**
 * What goes to one subject gathers for the rest of the turn of the event loop and goes out as one message; the largest
 * share of what a small message costs is the message. A batch that is large enough goes at once. Plain TypeScript on the
 * hot path: bench `remotecalls`.
 */
import type { MessageKind } from "./codec/Envelope.ts"
import { headerBytes, writeHeader } from "./codec/Envelope.ts"
import { ByteWriter } from "./codec/ByteWriter.ts"
import type { NatsOutbound } from "./NatsOutbound.ts"

/** A batch of this size has nothing more to win by waiting. */
export const batchBytesMax = 131_072

export class Batch {
  readonly #outbound: NatsOutbound
  readonly #kind: MessageKind
  readonly #subject: string
  readonly #reply: string
  readonly #writer = new ByteWriter()
  #scheduled = false

  constructor(outbound: NatsOutbound, kind: MessageKind, subject: string, reply = "") {
    this.#outbound = outbound
    this.#kind = kind
    this.#subject = subject
    this.#reply = reply
  }

  /** Where the next part is written; `written` is called behind it. */
  open(): ByteWriter {
    if (this.#writer.length === 0) writeHeader(this.#writer, this.#kind)
    return this.#writer
  }

  /**
   * `before`: what the writer's length was. One part may be larger than a whole batch should be; then what gathered
   * before it goes first, so that only the large one is cut into fragments.
   */
  written(before: number): void {
    const { length } = this.#writer
    if (length > this.#outbound.payloadBytesMax && before > headerBytes) {
      const last = Buffer.from(this.#writer.view(before))
      this.#writer.backTo(before)
      this.#flush()
      this.open().raw(last)
    }
    if (this.#writer.length >= batchBytesMax) this.#flush()
    else if (!this.#scheduled) {
      this.#scheduled = true
      setImmediate(this.#flush)
    }
  }

  readonly #flush = (): void => {
    this.#scheduled = false
    // A full batch may have gone already.
    if (this.#writer.length > headerBytes) this.#outbound.publish(this.#subject, this.#writer.take(), this.#reply)
  }
}
