/**
 * Links over core NATS: one subject an edge, each message encoded once, what is for an edge of this process handed over
 * without the bus. Core NATS is at most once, and what can't be sent is dropped: links repair losses themselves (†9).
 * Plain TypeScript on the hot path: bench `remotecalls`.
 */
import type { NatsConnection, Subscription } from "@nats-io/transport-node"
import type { LinkMessage } from "../owner/OwnerProtocol.ts"
import { ByteWriter } from "./codec/ByteWriter.ts"
import { openMessage, messageKinds, writeHeader } from "./codec/Envelope.ts"
import { readLinkMessage, writeLinkMessage } from "./codec/LinkCodec.ts"
import { Fragments } from "./Fragments.ts"
import type { NatsOutbound } from "./NatsOutbound.ts"
import type { Subjects } from "./Subjects.ts"

type OnMessage = (message: LinkMessage) => void

export interface NatsLinksOptions {
  readonly connection: NatsConnection
  readonly outbound: NatsOutbound
  readonly subjects: Subjects
  /** A listener threw: that is a bug, and must not end the connection for all. */
  readonly onDefect: (error: unknown) => void
}

export class NatsLinks {
  readonly #options: NatsLinksOptions
  readonly #writer = new ByteWriter()
  readonly #here = new Map<string, OnMessage>()
  readonly #subscriptions = new Set<Subscription>()
  /** Since the start, for metrics. */
  readonly counts = { published: 0, dropped: 0, unreadable: 0, otherVersion: 0 }

  constructor(options: NatsLinksOptions) {
    this.#options = options
  }

  publish(message: LinkMessage): void {
    this.counts.published++
    const here = this.#here.get(message.edge)
    if (here !== undefined) {
      queueMicrotask(() => here(message))
      return
    }
    const { outbound, subjects } = this.#options
    writeHeader(this.#writer, "link")
    writeLinkMessage(this.#writer, message)
    if (!outbound.publish(subjects.edge(message.edge), this.#writer.take())) this.counts.dropped++
  }

  subscribe(edge: string, onMessage: OnMessage): () => void {
    const { connection, onDefect, subjects } = this.#options
    const fragments = new Fragments()
    const subscription = connection.subscribe(subjects.edge(edge), {
      callback: (error, message) => {
        if (error !== null) return onDefect(error)
        try {
          this.#received(fragments.join(message.data), onMessage)
        } catch (error) {
          onDefect(error)
        }
      }
    })
    this.#here.set(edge, onMessage)
    this.#subscriptions.add(subscription)
    return () => {
      if (this.#here.get(edge) === onMessage) this.#here.delete(edge)
      this.#subscriptions.delete(subscription)
      subscription.unsubscribe()
    }
  }

  stop(): void {
    for (const subscription of this.#subscriptions) subscription.unsubscribe()
    this.#subscriptions.clear()
    this.#here.clear()
  }

  #received(bytes: Uint8Array | undefined, onMessage: OnMessage): void {
    if (bytes === undefined) return
    const opened = openMessage(bytes)
    if (opened._tag === "OtherVersion") {
      this.counts.otherVersion++
      return
    }
    const isLink = opened._tag === "Message" && opened.kind === messageKinds.link
    const message = isLink ? readLinkMessage(opened.reader) : undefined
    if (message === undefined) this.counts.unreadable++
    else onMessage(message)
  }
}
