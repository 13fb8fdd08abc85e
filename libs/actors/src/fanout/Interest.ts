/**
 * Who wants to hear of what: topic → edges, for the shards of one owner (DESIGN §4). Plain and small: a topic that one
 * edge wants costs one map entry. It holds no permission: each attach was authorised by the owner before it comes here
 * (†7). Every change raises the edge's interest version, which heartbeats carry, so that an interest that was lost on
 * either side is noticed and attached again (†9).
 */
import type { TopicName } from "../owner/OwnerProtocol.ts"

const nobody: ReadonlyArray<string> = []

export class Interest {
  readonly #edges = new Map<TopicName, string | Set<string>>()
  readonly #versions = new Map<string, number>()

  get topicCount(): number {
    return this.#edges.size
  }

  /** The version of an edge's interest here; 0: it has none. */
  version(edge: string): number {
    return this.#versions.get(edge) ?? 0
  }

  add(edge: string, topics: ReadonlyArray<TopicName>): number {
    for (const topic of topics) {
      const held = this.#edges.get(topic)
      if (held === undefined) this.#edges.set(topic, edge)
      else if (typeof held !== "string") held.add(edge)
      else if (held !== edge) this.#edges.set(topic, new Set([held, edge]))
    }
    return this.#raise(edge)
  }

  remove(edge: string, topics: ReadonlyArray<TopicName>): number {
    for (const topic of topics) this.#drop(edge, topic)
    return this.#raise(edge)
  }

  /** Forgets an edge that is gone. */
  removeEdge(edge: string): void {
    if (!this.#versions.delete(edge)) return
    for (const topic of this.#edges.keys()) this.#drop(edge, topic)
  }

  /** The edges that want a topic. */
  edgesOf(topic: TopicName): Iterable<string> {
    const held = this.#edges.get(topic)
    return held === undefined ? nobody : typeof held === "string" ? [held] : held
  }

  wanted(topic: TopicName): boolean {
    return this.#edges.has(topic)
  }

  #drop(edge: string, topic: TopicName): void {
    const held = this.#edges.get(topic)
    if (held === edge) this.#edges.delete(topic)
    else if (typeof held === "object" && held.delete(edge) && held.size === 0) this.#edges.delete(topic)
  }

  #raise(edge: string): number {
    const version = this.version(edge) + 1
    this.#versions.set(edge, version)
    return version
  }
}
