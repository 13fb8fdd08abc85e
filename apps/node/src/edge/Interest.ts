/**
 * What this edge wants to hear of, shard by shard. Wishes gather into one batch a shard, one batch in flight a shard,
 * each naming the users it is for (†7); detaches go between batches. It knows epoch and version of the interest that
 * the owner should have, and attaches everything again where a digest says otherwise (†9).
 */
import type { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { Attached, OwnerReply, TopicName } from "@parley/actors/owner/OwnerProtocol"
import type { ApiFailure } from "@parley/protocol/ApiError"

/** Topics, and users named for them, in one batch: keeps it well below a bus's message size. */
export const attachTopicsMax = 512
export const attachUsersMax = 4_096
/** Heartbeats that may differ in version before everything is attached again; a batch or detach may be on its way. */
const mismatchesMax = 2
/** Wait before attaching again after a failure. */
const attachRetryMs = 500

export type AttachResult =
  | { readonly head: number; readonly generation: number; readonly denied: boolean }
  | { readonly failure: ApiFailure }

export interface AttachedTopic {
  readonly topic: TopicName
  readonly head: number
  readonly generation: number
  readonly denied: ReadonlyArray<string>
  /** Whether anybody it was asked for may have it. */
  readonly granted: boolean
  /** Attached to find out what is missing, not for somebody new. */
  readonly again: boolean
}

interface Wish {
  readonly users: Set<string>
  again: boolean
  readonly waiters: Array<{ readonly user: string; readonly done: (result: AttachResult) => void }>
}

interface ShardInterest {
  readonly shard: number
  epoch: number
  version: number
  /** The (owner, start) whose digest last listed the shard. */
  listedBy: string
  mismatches: number
  inFlight: boolean
  scheduled: boolean
  wishes: Map<TopicName, Wish>
  detaching: Set<TopicName>
}

export interface InterestOptions {
  readonly edge: string
  readonly calls: OwnerCalls["Service"]
  /** A batch was answered for a topic. */
  readonly onAttached: (answer: AttachedTopic) => void
  /** All topics of a shard, with the users they are for. */
  readonly topicsOf: (shard: number) => Iterable<{ readonly topic: TopicName; readonly users: Iterable<string> }>
}

export class Interest {
  readonly #options: InterestOptions
  readonly #shards = new Map<number, ShardInterest>()
  #stopped = false

  constructor(options: InterestOptions) {
    this.#options = options
  }

  stop(): void {
    this.#stopped = true
  }

  /** The epoch under which a shard last answered; 0: never. */
  epochOf(shard: number): number {
    return this.#shards.get(shard)?.epoch ?? 0
  }

  /** Wants a topic for a user; calls back when the owner has authorised him, or not. */
  want(shard: number, topic: TopicName, user: string, done: (result: AttachResult) => void): void {
    const interest = this.#shard(shard)
    const wish = wishOf(interest, topic)
    wish.users.add(user)
    wish.waiters.push({ user, done })
    interest.detaching.delete(topic)
    this.#schedule(interest)
  }

  /** Nobody here wants the topic any more. */
  unwant(shard: number, topic: TopicName): void {
    const interest = this.#shard(shard)
    if (interest.wishes.has(topic)) return
    interest.detaching.add(topic)
    this.#schedule(interest)
  }

  /** Attaches all topics of a shard again. */
  attachAgain(shard: number): void {
    const interest = this.#shard(shard)
    interest.mismatches = 0
    for (const { topic, users } of this.#options.topicsOf(shard)) {
      const wish = wishOf(interest, topic)
      wish.again = true
      for (const user of users) wish.users.add(user)
    }
    if (interest.wishes.size > 0) this.#schedule(interest)
  }

  /** Compares what an owner says it serves with what it should serve. */
  digest(link: string, served: ReadonlyArray<{ readonly shard: number; readonly epoch: number; readonly interestVersion: number }>): void {
    const listed = new Set<number>()
    for (const { epoch, interestVersion, shard } of served) {
      listed.add(shard)
      const interest = this.#shards.get(shard)
      if (interest === undefined || epoch < interest.epoch) continue
      interest.listedBy = link
      if (epoch === interest.epoch && interestVersion === interest.version) interest.mismatches = 0
      else this.#mismatch(interest, epoch > interest.epoch)
    }
    for (const interest of this.#shards.values()) {
      if (interest.listedBy === link && !listed.has(interest.shard)) this.#mismatch(interest, false)
    }
  }

  /** Every shard of a link whose numbers were lost: heads tell what is missing. */
  attachAgainAll(link: string): void {
    for (const interest of this.#shards.values()) {
      if (interest.listedBy === link || interest.listedBy === "") this.attachAgain(interest.shard)
    }
  }

  #mismatch(interest: ShardInterest, certain: boolean): void {
    if (interest.inFlight || interest.wishes.size > 0) return
    if (certain || ++interest.mismatches >= mismatchesMax) this.attachAgain(interest.shard)
  }

  #shard(shard: number): ShardInterest {
    let interest = this.#shards.get(shard)
    if (interest === undefined) {
      interest = {
        shard, epoch: 0, version: 0, listedBy: "", mismatches: 0, inFlight: false, scheduled: false,
        wishes: new Map(), detaching: new Set()
      }
      this.#shards.set(shard, interest)
    }
    return interest
  }

  #schedule(interest: ShardInterest): void {
    if (interest.scheduled || interest.inFlight || this.#stopped) return
    interest.scheduled = true
    queueMicrotask(() => {
      interest.scheduled = false
      this.#send(interest)
    })
  }

  #send(interest: ShardInterest): void {
    if (interest.inFlight || this.#stopped) return
    const { calls, edge } = this.#options
    const { shard } = interest
    if (interest.detaching.size > 0) {
      calls.detach({ shard, edge, topics: [...interest.detaching] })
      interest.detaching.clear()
      // The owner counts a detach as one change of the interest.
      interest.version++
    }
    if (interest.wishes.size === 0) return
    const batch = takeBatch(interest)
    interest.inFlight = true
    const topics = [...batch].map(([topic, wish]) => ({ topic, users: [...wish.users] }))
    calls.attach({ shard, edge, topics }, (reply) => {
      interest.inFlight = false
      if ("ok" in reply) this.#attached(interest, batch, reply)
      else this.#failed(interest, batch, reply.failure)
      if (interest.wishes.size > 0 || interest.detaching.size > 0) this.#schedule(interest)
    })
  }

  #attached(interest: ShardInterest, batch: ReadonlyMap<TopicName, Wish>, reply: Extract<OwnerReply<Attached>, { ok: unknown }>): void {
    const { epoch, interestVersion, topics } = reply.ok
    const moved = interest.epoch !== 0 && epoch !== interest.epoch
    interest.epoch = epoch
    interest.version = interestVersion
    interest.mismatches = 0
    for (const { denied, generation, head, topic } of topics) {
      const wish = batch.get(topic)
      if (wish === undefined) continue
      this.#options.onAttached({
        topic, head, generation, denied,
        granted: wish.users.size === 0 || denied.length < wish.users.size,
        again: wish.again
      })
      for (const { done, user } of wish.waiters) done({ head, generation, denied: denied.includes(user) })
    }
    // Another owner answered: it has heard of this batch only.
    if (moved) this.attachAgain(interest.shard)
  }

  #failed(interest: ShardInterest, batch: ReadonlyMap<TopicName, Wish>, failure: ApiFailure): void {
    let again = false
    for (const wish of batch.values()) {
      for (const { done } of wish.waiters) done({ failure })
      again ||= wish.again
    }
    // What was held before is still wanted.
    if (again) setTimeout(() => this.attachAgain(interest.shard), attachRetryMs * (1 + Math.random())).unref()
  }
}

const wishOf = (interest: ShardInterest, topic: TopicName): Wish => {
  let wish = interest.wishes.get(topic)
  if (wish === undefined) {
    wish = { users: new Set(), again: false, waiters: [] }
    interest.wishes.set(topic, wish)
  }
  return wish
}

const takeBatch = (interest: ShardInterest): Map<TopicName, Wish> => {
  const batch = new Map<TopicName, Wish>()
  let users = 0
  for (const [topic, wish] of interest.wishes) {
    if (batch.size >= attachTopicsMax || (batch.size > 0 && users + wish.users.size > attachUsersMax)) break
    batch.set(topic, wish)
    users += wish.users.size
    interest.wishes.delete(topic)
  }
  return batch
}
