/**
 * Who may try to own which shard, and who works behind the log: leases with epochs, kept at one simulated place that every
 * node has to reach. It decides who tries, never who may write: leases overlap where clocks, pauses and cuts make them.
 */
import type { SimNetwork } from "./SimNetwork.ts"
import type { SimProcess, VirtualTime } from "./VirtualTime.ts"

export const leaseMs = 3_000
export const refreshMs = 700
const answerWaitMs = 1_000
/** The lease of the persister and the member fan-out, beside those of the shards 1, 2, 3 … */
export const workerLease = 0

interface Held {
  readonly node: string
  readonly epoch: number
  until: number
}

export interface Granted {
  readonly shard: number
  readonly epoch: number
}

export interface Leases {
  readonly granted: ReadonlyArray<Granted>
  /** Asked to hand over. */
  readonly moving: ReadonlyArray<number>
}

export class SimPlacement {
  readonly host: SimProcess
  readonly #time: VirtualTime
  readonly #network: SimNetwork
  readonly #shardCount: number
  readonly #held = new Map<number, Held>()
  readonly #seen = new Map<string, number>()
  /** Changes who is wanted where. */
  #salt = 0
  #revision = 0

  constructor(time: VirtualTime, network: SimNetwork, shardCount: number) {
    this.#time = time
    this.#network = network
    this.#shardCount = shardCount
    this.host = time.process("kv", "kv")
  }

  /** Shards are wanted elsewhere from now on. */
  shuffle(): void {
    this.#salt++
  }

  /** Asks for all that `node` may have; what it has is refreshed. */
  refresh(node: string, done: (leases: Leases | undefined) => void): void {
    this.#network.ask(
      this.host,
      answerWaitMs,
      () => this.#refreshed(node),
      (answer) => done(answer?.got)
    )
  }

  /** Of the lease with this epoch only: said twice or late, it may meet the next one. */
  release(node: string, shard: number, epoch: number): void {
    this.#network.send(this.#time.current.host, this.host, () => {
      const held = this.#held.get(shard)
      if (held?.node === node && held.epoch === epoch) this.#held.delete(shard)
    })
  }

  #refreshed(node: string): Leases {
    const { now } = this.#time
    this.#seen.set(node, now)
    const live = [...this.#seen].filter(([, at]) => now - at < leaseMs).map(([name]) => name)
    const granted: Array<Granted> = []
    const moving: Array<number> = []
    for (let shard = workerLease; shard <= this.#shardCount; shard++) {
      const held = this.#held.get(shard)
      const wanted = this.#wantedAt(shard, live) === node
      if (held !== undefined && held.until > now && held.node !== node) continue
      if (held?.node === node && held.until > now) {
        held.until = now + leaseMs
        granted.push({ shard, epoch: held.epoch })
        if (!wanted) moving.push(shard)
      } else if (wanted) {
        const epoch = ++this.#revision
        this.#held.set(shard, { node, epoch, until: now + leaseMs })
        granted.push({ shard, epoch })
      }
    }
    return { granted, moving }
  }

  /** The same for all who ask at the same time. */
  #wantedAt(shard: number, live: ReadonlyArray<string>): string | undefined {
    let best: string | undefined
    let bestScore = -1
    for (const node of live) {
      let score = shard * 7_919 + this.#salt * 104_729
      for (let at = 0; at < node.length; at++) score = Math.imul(score ^ node.charCodeAt(at), 0x01000193) >>> 0
      score = Math.imul(score ^ (score >>> 15), 0x85ebca6b) >>> 0
      if (score > bestScore) [best, bestScore] = [node, score]
    }
    return best
  }
}
