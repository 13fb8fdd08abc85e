/**
 * What this edge wants to hear of, shard by shard. Wishes gather into one batch a shard, one batch in flight a shard,
 * each naming the users it is for (†7); detaches go between batches. It knows epoch and version of the interest that
 * the owner should have, and attaches everything again where an announcement or a digest says otherwise (†9).
 */
import type { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { Attached, OwnerReply, TopicName } from "@parley/actors/owner/OwnerProtocol"
import type { ApiFailure } from "@parley/protocol/ApiError"

/** Topics, and users named for them, in one batch: keeps it well below a bus's message size. */
export const attachTopicsMax = 512
export const attachUsersMax = 4_096
/** Heartbeats that may differ in version before everything is attached again; a batch or detach may be on its way. */
const mismatchesMax = 2
/** A shard that no heartbeat has listed for this long has an owner that does not know this edge. */
export const unlistedMsMax = 10_000
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
  /** Of the shard's interest when it was asked. */
  readonly round: number
}

interface Wish {
  readonly users: Set<string>
  again: boolean
  readonly waiters: Array<{ readonly user: string; readonly done: (result: AttachResult) => void }>
}

interface ShardInterest {
  readonly shard: number
  epoch: number
  /** The epoch for which everything is being attached again. */
  expectedEpoch: number
  version: number
  /** Counts what made everything be attached again: an answer of an earlier round says nothing about now. */
  round: number
  /** The (owner, start) whose digest last listed the shard. */
  listedBy: string
  /** When a digest listed it, or an attach was answered. */
  listedAt: number
  mismatches: number
  inFlight: boolean
  scheduled: boolean
  wishes: Map<TopicName, Wish>
  /** The batch in flight. */
  asked: ReadonlyMap<TopicName, Wish>
  detaching: Set<TopicName>
}

const nothingAsked: ReadonlyMap<TopicName, Wish> = new Map()

export interface InterestOptions {
  readonly edge: string
  readonly calls: OwnerCalls["Service"]
  /** A batch was answered for a topic. */
  readonly onAttached: (answer: AttachedTopic) => void
  /** Another owner than before answered for a shard. */
  readonly onMoved: (shard: number) => void
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

  /** The round in which an answer has to be for the owner to serve its topic now. */
  roundOf(shard: number): number {
    return this.#shards.get(shard)?.round ?? 0
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

  /** Whether an answer about the topic is on its way. */
  isAsking(shard: number, topic: TopicName): boolean {
    const interest = this.#shards.get(shard)
    return interest !== undefined && (interest.wishes.has(topic) || interest.asked.has(topic))
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
    interest.round++
    this.#wishAgain(interest, () => true)
    if (interest.wishes.size > 0) this.#schedule(interest)
  }

  #wishAgain(interest: ShardInterest, which: (topic: TopicName) => boolean): void {
    for (const { topic, users } of this.#options.topicsOf(interest.shard)) {
      if (!which(topic)) continue
      const wish = wishOf(interest, topic)
      wish.again = true
      for (const user of users) wish.users.add(user)
    }
  }

  /** Compares what an owner says it serves with what it should serve. */
  digest(
    link: string,
    served: ReadonlyArray<{ readonly shard: number; readonly epoch: number; readonly interestVersion: number }>
  ): void {
    const listed = new Set<number>()
    for (const { epoch, interestVersion, shard } of served) {
      listed.add(shard)
      const interest = this.#shards.get(shard)
      if (interest === undefined || epoch < interest.epoch) continue
      interest.listedBy = link
      interest.listedAt = performance.now()
      if (epoch > interest.epoch) this.#moved(interest, epoch)
      else if (interestVersion === interest.version) interest.mismatches = 0
      else this.#mismatch(interest)
    }
    for (const interest of this.#shards.values()) {
      if (interest.listedBy === link && !listed.has(interest.shard)) this.#mismatch(interest)
    }
  }

  /** Shards that nobody lists: the owner died, and the new one has lost this edge's interest. */
  sweep(now: number): void {
    for (const interest of this.#shards.values()) {
      if (now - interest.listedAt < unlistedMsMax || interest.inFlight) continue
      interest.listedAt = now
      this.attachAgain(interest.shard)
    }
  }

  /** Every shard of a link whose numbers were lost: heads tell what is missing. */
  attachAgainAll(link: string): void {
    for (const interest of this.#shards.values()) {
      if (interest.listedBy === link || interest.listedBy === "") this.attachAgain(interest.shard)
    }
  }

  /** Somebody has begun to serve the shard: what an owner before him was asked for is asked of him. */
  served(shard: number, epoch: number): void {
    const interest = this.#shards.get(shard)
    if (interest !== undefined && interest.epoch > 0 && epoch > interest.epoch) this.#moved(interest, epoch)
  }

  #mismatch(interest: ShardInterest): void {
    if (interest.inFlight || interest.wishes.size > 0) return
    if (++interest.mismatches >= mismatchesMax) this.attachAgain(interest.shard)
  }

  #moved(interest: ShardInterest, epoch: number): void {
    if (interest.expectedEpoch === epoch && (interest.inFlight || interest.wishes.size > 0)) return
    interest.expectedEpoch = epoch
    this.attachAgain(interest.shard)
  }

  #shard(shard: number): ShardInterest {
    let interest = this.#shards.get(shard)
    if (interest === undefined) {
      interest = {
        shard,
        epoch: 0,
        expectedEpoch: 0,
        version: 0,
        round: 1,
        listedBy: "",
        listedAt: performance.now(),
        mismatches: 0,
        inFlight: false,
        scheduled: false,
        wishes: new Map(),
        asked: nothingAsked,
        detaching: new Set()
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
    interest.asked = batch
    const topics = [...batch].map(([topic, wish]) => ({ topic, users: [...wish.users] }))
    const { round } = interest
    calls.attach({ shard, edge, topics }, (reply) => {
      interest.inFlight = false
      interest.asked = nothingAsked
      if ("ok" in reply) this.#attached(interest, batch, reply, round)
      else this.#failed(interest, batch, reply.failure)
      if (interest.wishes.size > 0 || interest.detaching.size > 0) this.#schedule(interest)
    })
  }

  #attached(
    interest: ShardInterest,
    batch: ReadonlyMap<TopicName, Wish>,
    reply: Extract<OwnerReply<Attached>, { ok: unknown }>,
    round: number
  ): void {
    const { epoch, interestVersion, topics } = reply.ok
    const moved = interest.epoch !== 0 && epoch !== interest.epoch
    interest.epoch = epoch
    interest.version = interestVersion
    interest.listedAt = performance.now()
    interest.mismatches = 0
    const left = new Map(batch)
    for (const { denied, generation, head, topic } of topics) {
      const wish = batch.get(topic)
      if (wish === undefined) continue
      left.delete(topic)
      this.#options.onAttached({
        topic,
        head,
        generation,
        denied,
        granted: wish.users.size === 0 || denied.length < wish.users.size,
        again: wish.again,
        round
      })
      for (const { done, user } of wish.waiters) done({ head, generation, denied: denied.includes(user) })
    }
    if (left.size > 0) this.#unsaid(interest, left)
    if (moved) this.#options.onMoved(interest.shard)
    // Another owner answered: it has heard of this batch only.
    if (moved && epoch !== interest.expectedEpoch) this.attachAgain(interest.shard)
    // Asked before everything was attached again, joined after it: the owner may be another by now.
    else if (round !== interest.round) this.#wishAgain(interest, (topic) => batch.has(topic))
  }

  /** The owner could not look at these now: who waits is told so, and what was held before is asked for again. */
  #unsaid(interest: ShardInterest, batch: ReadonlyMap<TopicName, Wish>): void {
    const again = new Set<TopicName>()
    for (const [topic, wish] of batch) {
      for (const { done } of wish.waiters) done({ failure: { code: "unavailable" } })
      if (wish.again) again.add(topic)
    }
    if (again.size === 0) return
    const ask = () => {
      this.#wishAgain(interest, (topic) => again.has(topic))
      if (interest.wishes.size > 0) this.#schedule(interest)
    }
    setTimeout(ask, attachRetryMs * (1 + Math.random())).unref()
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
