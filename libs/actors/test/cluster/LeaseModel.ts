/**
 * Keepers of leases over a bucket that is slow in all the ways a real one may be: requests, answers and what is watched
 * take their time each, in the order of their connection; answers are lost; connections stand still and go on later; a
 * watch that was behind gets only the newest entry of a key. Clocks run apart, and machines are suspended, which their
 * monotonic clocks do not count. All of it from one seed, in virtual time.
 */
import { Balancer } from "@parley/actors/cluster/Balancer"
import { conflict, type LeaseWrites } from "@parley/actors/cluster/LeaseBucket"
import { LeaseKeeper } from "@parley/actors/cluster/LeaseKeeper"
import { leaseTimings } from "@parley/actors/cluster/LeaseTimings"
import { LeaseView } from "@parley/actors/cluster/LeaseView"
import type { Lease } from "@parley/actors/owner/Lease"

export type Random = () => number

/** mulberry32 */
export const seeded = (seed: number): Random => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

interface Entry {
  readonly key: string
  readonly text: string | undefined
  readonly revision: number
}

/** The bucket's stream: the newest entry of each key, in the order of writing. */
export class ModelBucket {
  readonly entries = new Map<string, Entry>()
  readonly watchers = new Set<() => void>()
  #revision = 0

  write(key: string, text: string | undefined, expected?: number): number | typeof conflict {
    if (expected !== undefined && (this.entries.get(key)?.revision ?? 0) !== expected) return conflict
    const revision = ++this.#revision
    this.entries.delete(key)
    this.entries.set(key, { key, text, revision })
    for (const watcher of this.watchers) watcher()
    return revision
  }

  after(revision: number): ReadonlyArray<Entry> {
    return [...this.entries.values()].filter((entry) => entry.revision > revision)
  }
}

/** One way of a connection: what is sent arrives in order, each after a time of its own, and nothing while it stands. */
class Way {
  readonly #latency: () => number
  #arrivesAt = 0
  #queue: Array<() => void> = []
  standing = false

  constructor(latency: () => number) {
    this.#latency = latency
  }

  send(arrive: () => void): void {
    this.#arrivesAt = Math.max(this.#arrivesAt, performance.now() + this.#latency())
    setTimeout(() => {
      this.#queue.push(arrive)
      this.flow()
    }, this.#arrivesAt - performance.now())
  }

  flow(): void {
    while (!this.standing && this.#queue.length > 0) this.#queue.shift()?.()
  }
}

export class ModelNode implements LeaseWrites {
  readonly name: string
  readonly view = new LeaseView()
  readonly keeper: LeaseKeeper
  readonly balancer: Balancer
  readonly open = new Map<number, number>()
  readonly #leases = new Map<number, Lease>()
  readonly #bucket: ModelBucket
  readonly #random: Random
  readonly #lossRate: number
  readonly #wall: () => number
  readonly #monotonic: () => number
  /** For how long it has been suspended so far; and since when it is. */
  #suspendedMs = 0
  #suspendedAt: number | undefined
  readonly #toBucket: Way
  readonly #answers: Way
  readonly #watched: Way
  #seenUpTo = 0
  #watchStalled = false
  readonly #watcher = () => this.#send()

  constructor(options: {
    readonly name: string
    readonly shardCount: number
    readonly bucket: ModelBucket
    readonly random: Random
    readonly onOpen: (shard: number, epoch: number) => void
    /** What shards have to do; nobody says so if it is not given. */
    readonly loadOf?: (shard: number) => number | undefined
    readonly balances?: boolean
    /** Its ways lose nothing, and are slow by no more than this. */
    readonly soundMsMax?: number
  }) {
    const { balances = true, bucket, loadOf = () => undefined, name, onOpen, random, shardCount, soundMsMax } = options
    this.name = name
    this.#bucket = bucket
    this.#random = random
    const rate = 0.99 + 0.02 * random()
    const offset = 1_000_000 * random()
    this.#wall = () => performance.now() * rate + offset
    this.#monotonic = () => (this.#suspendedAt ?? this.#wall()) - this.#suspendedMs
    const latency = () =>
      soundMsMax !== undefined ? soundMsMax * random() : random() < 0.04 ? 3_000 * random() : 1 + 30 * random()
    this.#lossRate = soundMsMax === undefined ? 0.01 : 0
    this.#toBucket = new Way(latency)
    this.#answers = new Way(latency)
    this.#watched = new Way(latency)
    const leave = (shard: number) => {
      this.open.delete(shard)
      this.#leases.delete(shard)
    }
    this.keeper = new LeaseKeeper({
      name,
      weight: 1,
      balances,
      shardCount,
      bucket: this,
      view: this.view,
      timings: leaseTimings,
      clocks: { monotonic: this.#monotonic, wall: this.#wall },
      log: () => {},
      shards: {
        setLease: (shard, lease) => void this.#leases.set(shard, lease),
        open: (shard, epoch) => {
          onOpen(shard, epoch)
          this.open.set(shard, epoch)
        },
        close: (shard) => {
          leave(shard)
          return new Promise((resolve) => setTimeout(resolve, 50 * random()))
        },
        drop: leave
      }
    })
    bucket.watchers.add(this.#watcher)
    this.#send()
    this.keeper.start()
    this.balancer = new Balancer({
      name,
      bucket: this,
      view: this.view,
      state: () => this.keeper.placementState,
      loadOf,
      now: this.#monotonic,
      log: () => {}
    })
    if (balances) this.balancer.start()
  }

  serves(shard: number): boolean {
    return this.#suspendedAt === undefined && this.open.has(shard) && this.#leases.get(shard)?.held === true
  }

  /** As a dead process: what it sent may still arrive. */
  die(): void {
    this.keeper.stop()
    this.balancer.stop()
    this.open.clear()
    this.#bucket.watchers.delete(this.#watcher)
  }

  /** Some of its three ways stand still for a while: then what was sent arrives. */
  stand(forMs: number): void {
    for (const way of [this.#toBucket, this.#answers, this.#watched]) {
      if (this.#random() < 0.3) continue
      way.standing = true
      setTimeout(() => {
        way.standing = false
        way.flow()
      }, forMs)
    }
  }

  /** The machine stands still for a while, and its monotonic clock with it; what was sent to it is there when it goes on. */
  suspend(forMs: number): void {
    if (this.#suspendedAt !== undefined) return
    const ways = [this.#toBucket, this.#answers, this.#watched]
    const stood = ways.filter(({ standing }) => !standing)
    for (const way of stood) way.standing = true
    this.#suspendedAt = this.#wall()
    setTimeout(() => {
      this.#suspendedMs += this.#wall() - (this.#suspendedAt ?? 0)
      this.#suspendedAt = undefined
      for (const way of stood) {
        way.standing = false
        way.flow()
      }
    }, forMs)
  }

  /** The bucket sends nothing for a while, and then the newest of each key. */
  stallWatch(forMs: number): void {
    this.#watchStalled = true
    setTimeout(() => {
      this.#watchStalled = false
      this.#send()
    }, forMs)
  }

  #send(): void {
    if (this.#watchStalled) return
    const entries = this.#bucket.after(this.#seenUpTo)
    entries.forEach(({ key, revision, text }, i) => {
      this.#seenUpTo = revision
      const pending = entries.length - 1 - i
      this.#watched.send(() => {
        this.view.apply(key, text, revision, this.#monotonic())
        this.view.setPending(pending)
      })
    })
  }

  #request<A>(work: () => A): Promise<A> {
    return new Promise((resolve, reject) => {
      const sentAt = this.#monotonic()
      // A suspended machine's timers stand still as well.
      const wait = (): ReturnType<typeof setTimeout> => {
        const left = sentAt + leaseTimings.requestMsMax - this.#monotonic()
        return setTimeout(
          () => {
            if (this.#monotonic() - sentAt < leaseTimings.requestMsMax) bound = wait()
            else reject(new Error("timeout"))
          },
          Math.max(1, left)
        )
      }
      let bound = wait()
      if (this.#random() < this.#lossRate) return
      this.#toBucket.send(() => {
        const answer = work()
        if (this.#random() < this.#lossRate) return
        this.#answers.send(() => {
          clearTimeout(bound)
          resolve(answer)
        })
      })
    })
  }

  put(key: string, value: unknown): Promise<number> {
    return this.#request(() => this.#bucket.write(key, JSON.stringify(value)) as number) // as: expects no revision
  }

  swap(key: string, value: unknown, revision: number): Promise<number | typeof conflict> {
    return this.#request(() => this.#bucket.write(key, JSON.stringify(value), revision))
  }

  async remove(key: string): Promise<void> {
    await this.#request(() => this.#bucket.write(key, undefined))
  }
}
