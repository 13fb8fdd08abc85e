/**
 * The owner's side of links: one numbered stream of messages from a runner to each interested edge, whatever the
 * number of shards, channels and users behind it. Items gather until `flush`, one message an edge and flush; a bounded
 * ring answers an edge that missed a number; what the ring no longer has, the edge repairs by comparing heads (†9).
 * Plain TypeScript on the hot path: bench `fanout`.
 */
import type { LinkItem, LinkMessage } from "../owner/OwnerProtocol.ts"

/** Messages an edge may ask for again, and their bytes: a hot channel's would be most of what lives in the heap. */
export const linkRingMax = 1_024
export const linkRingBytesMax = 2_097_152
/** Items gathered for one edge before the flush; past it ephemeral ones are dropped (EPHEMERAL-IS-EPHEMERAL). */
export const linkEphemeralItemsMax = 4_096

interface EdgeLink {
  number: number
  items: Array<LinkItem>
  readonly ring: Array<LinkMessage | undefined>
  /** The oldest number that the ring has, and the bytes from there on. */
  oldest: number
  ringBytes: number
}

/** What an item costs besides its text, about. */
const itemBytes = 200

const bytesOf = ({ items }: LinkMessage): number => {
  let bytes = 0
  for (const item of items) {
    bytes += itemBytes + ("body" in item ? item.body.length : "frame" in item ? item.frame.length : 0)
  }
  return bytes
}

export interface LinkDigest {
  readonly shard: number
  readonly epoch: number
  readonly interestVersion: number
}

export class OwnerLinks {
  readonly owner: string
  readonly start: number
  readonly #publish: (message: LinkMessage) => void
  readonly #links = new Map<string, EdgeLink>()
  readonly #dirty = new Set<string>()
  #scheduled = false

  constructor(options: {
    readonly owner: string
    readonly start: number
    readonly publish: (message: LinkMessage) => void
  }) {
    this.owner = options.owner
    this.start = options.start
    this.#publish = options.publish
  }

  /** The edge has interest here: it gets heartbeats from now on. */
  open(edge: string): void {
    this.#link(edge)
  }

  /** Gathers an item; it goes out with everything else of this turn of the event loop. */
  push(edge: string, item: LinkItem): void {
    const link = this.#link(edge)
    if ((item._tag === "Ephemeral" || item._tag === "Presence") && link.items.length >= linkEphemeralItemsMax) return
    link.items.push(item)
    this.#dirty.add(edge)
    if (!this.#scheduled) {
      this.#scheduled = true
      queueMicrotask(() => this.flush())
    }
  }

  flush(): void {
    this.#scheduled = false
    for (const edge of this.#dirty) {
      const link = this.#link(edge)
      const items = link.items
      link.items = []
      this.#send(edge, link, items)
    }
    this.#dirty.clear()
  }

  /** A message without items: a lost last message shows by its number, lost interest by the digest. */
  heartbeat(edge: string, digest: ReadonlyArray<LinkDigest>): void {
    const link = this.#link(edge)
    this.#publish({ owner: this.owner, start: this.start, edge, number: link.number, items: [], digest })
  }

  /** Sends again what the ring still has from `from` on; an edge that gets nothing repairs by heads. */
  resend(edge: string, from: number): void {
    const link = this.#links.get(edge)
    if (link === undefined) return
    for (let number = Math.max(from, link.oldest); number <= link.number; number++) {
      const message = link.ring[number % linkRingMax]
      if (message !== undefined && message.number === number) this.#publish(message)
    }
  }

  /** Forgets an edge that is gone. */
  drop(edge: string): void {
    this.#links.delete(edge)
    this.#dirty.delete(edge)
  }

  get edges(): Iterable<string> {
    return this.#links.keys()
  }

  #link(edge: string): EdgeLink {
    let link = this.#links.get(edge)
    if (link === undefined) {
      link = { number: 0, items: [], ring: [], oldest: 1, ringBytes: 0 }
      this.#links.set(edge, link)
    }
    return link
  }

  #send(edge: string, link: EdgeLink, items: ReadonlyArray<LinkItem>): void {
    if (items.length === 0) return
    const message = { owner: this.owner, start: this.start, edge, number: ++link.number, items, digest: null }
    link.ringBytes += bytesOf(message)
    while (
      message.number - link.oldest >= linkRingMax ||
      (link.ringBytes > linkRingBytesMax && link.oldest < message.number)
    ) {
      const oldest = link.ring[link.oldest % linkRingMax]
      if (oldest !== undefined) link.ringBytes -= bytesOf(oldest)
      link.ring[link.oldest % linkRingMax] = undefined
      link.oldest++
    }
    link.ring[message.number % linkRingMax] = message
    this.#publish(message)
  }
}
