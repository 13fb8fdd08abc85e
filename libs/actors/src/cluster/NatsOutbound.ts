/**
 * What one connection publishes, bounded: the client library keeps without end what the server has not taken, so bytes
 * are counted until the server has answered a ping behind them, and above the bound, or while there is no connection,
 * nothing more is taken. Whoever is refused is on a path that lives with loss. Larger messages than the server takes go
 * in fragments. Plain TypeScript on the hot path: bench `remotecalls`.
 */
import type { NatsConnection } from "@nats-io/transport-node"
import { messageBytesMax, splitMessage } from "./Fragments.ts"

/** Bytes on their way that the server has not confirmed. */
export const outboundBytesMax = 33_554_432
/** After so many bytes the server is asked how far it has come. */
const confirmEveryBytes = 262_144
/** Until the server has said what it takes. */
const payloadBytesDefault = 1_048_576

export class NatsOutbound {
  readonly #connection: NatsConnection
  readonly #sender: string
  readonly #listeners = new Set<() => void>()
  #connected = true
  #unconfirmed = 0
  #confirming = false
  #serial = 0
  /** Since the start, for metrics. */
  messages = 0
  bytes = 0
  refused = 0

  /** `sender`: no other process has it. */
  constructor(connection: NatsConnection, sender: string) {
    this.#connection = connection
    this.#sender = sender
    void this.#watch()
  }

  get connected(): boolean {
    return this.#connected
  }

  /** What fits into one message. */
  get payloadBytesMax(): number {
    return this.#connection.info?.max_payload ?? payloadBytesDefault
  }

  /** Told when the connection is there again. */
  onConnected(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Whether the connection took it; it may be lost all the same. The bytes are the connection's from now on. */
  publish(subject: string, message: Uint8Array, reply = ""): boolean {
    const { length } = message
    const room = this.#connected && this.#unconfirmed + length <= outboundBytesMax && length <= messageBytesMax
    if (!room || !this.#taken(subject, message, reply === "" ? undefined : { reply })) {
      this.refused++
      return false
    }
    if (this.#unconfirmed >= confirmEveryBytes && !this.#confirming) this.#confirm()
    return true
  }

  #taken(subject: string, message: Uint8Array, options: { readonly reply: string } | undefined): boolean {
    try {
      if (message.length <= this.payloadBytesMax) this.#publish(subject, message, options)
      else {
        const parts = splitMessage(message, this.payloadBytesMax, this.#sender, ++this.#serial)
        for (const part of parts) this.#publish(subject, part, options)
      }
      return true
    } catch {
      // Closed or being drained: that is the end of it, and whoever waits for an answer has his own deadline.
      return false
    }
  }

  #publish(subject: string, bytes: Uint8Array, options: { readonly reply: string } | undefined): void {
    this.messages++
    this.bytes += bytes.length
    this.#unconfirmed += bytes.length
    this.#connection.publish(subject, bytes, options)
  }

  #confirm(): void {
    this.#confirming = true
    const asked = this.#unconfirmed
    const confirmed = () => {
      this.#confirming = false
      this.#unconfirmed = Math.max(0, this.#unconfirmed - asked)
    }
    // Without an answer the connection is gone, and with it what it held.
    this.#connection.flush().then(confirmed, confirmed)
  }

  async #watch(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type === "disconnect") this.#connected = false
      if (type !== "reconnect") continue
      this.#connected = true
      this.#unconfirmed = 0
      for (const listener of this.#listeners) listener()
    }
    this.#connected = false
  }
}
