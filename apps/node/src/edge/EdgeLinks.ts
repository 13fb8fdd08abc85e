/**
 * The links from owners to this edge: applies their messages in number order, asks for lost ones, and where they do
 * not come again compares heads (†9). The rules are `EdgeLinkState`'s; here are bus, calls and clock.
 */
import { EdgeLinkState } from "@parley/actors/fanout/EdgeLinkState"
import type { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { LinkMessage } from "@parley/actors/owner/OwnerProtocol"
import type { EdgeTopics } from "./EdgeTopics.ts"
import type { Interest } from "./Interest.ts"

/** A link that was silent for this long belongs to an owner that is gone. */
export const linkSilentMsMax = 120_000

interface Link {
  readonly state: EdgeLinkState
  heardAt: number
}

export interface EdgeLinksOptions {
  readonly edge: string
  readonly calls: OwnerCalls["Service"]
  readonly bus: LinkBus["Service"]
  readonly topics: EdgeTopics
  readonly interest: Interest
}

export class EdgeLinks {
  readonly #options: EdgeLinksOptions
  readonly #links = new Map<string, Link>()
  #unsubscribe: (() => void) | undefined = undefined
  #unhear: (() => void) | undefined = undefined
  /** Since the start, for metrics. */
  resends = 0
  repairs = 0

  constructor(options: EdgeLinksOptions) {
    this.#options = options
  }

  start(): void {
    const { bus, calls, edge, interest } = this.#options
    this.#unsubscribe = bus.subscribe(edge, (message) => this.receive(message))
    this.#unhear = calls.onServed((shard, epoch) => interest.served(shard, epoch))
  }

  stop(): void {
    this.#unsubscribe?.()
    this.#unhear?.()
  }

  receive(message: LinkMessage): void {
    const name = `${message.owner}/${message.start}`
    const link = this.#link(name)
    link.heardAt = performance.now()
    const { calls, edge, interest, topics } = this.#options
    for (const step of link.state.receive(message)) {
      switch (step._tag) {
        case "Apply":
          for (const item of step.message.items) topics.take(item)
          break
        case "Resend":
          this.resends++
          calls.resend(message.owner, message.start, edge, step.from)
          break
        case "Repair":
          this.repairs++
          interest.attachAgainAll(name)
          break
        case "Digest":
          interest.digest(name, step.digest)
      }
    }
  }

  /** Forgets links of owners that are gone. */
  sweep(now: number): void {
    for (const [name, link] of this.#links) if (now - link.heardAt > linkSilentMsMax) this.#links.delete(name)
  }

  #link(name: string): Link {
    let link = this.#links.get(name)
    if (link === undefined) {
      link = { state: new EdgeLinkState(), heardAt: 0 }
      this.#links.set(name, link)
    }
    return link
  }
}
