/**
 * Where consumers are, a key a consumer and shard in a KV bucket. Moving a position is remembered here and written in
 * rounds: a crash before that repeats work, which consumers stand. What a purge builds on is written before it (`store`).
 * A stored position never moves back: each write names the revision it replaces, and the larger one stays.
 */
import type { JetStreamManager } from "@nats-io/jetstream"
import type { AppendOutcome, LogPosition } from "../EventLog.ts"
import type { DirectGet, StoredRecord } from "./DirectGet.ts"
import type { LogStreams } from "./LogStreams.ts"
import type { Publisher } from "./Publisher.ts"

/** Positions of other nodes' consumers are seen after so long at the latest. */
export const positionAgeMsMax = 1_000
/**
 * So long after this node itself moved a position, nobody else is asked for it: it may be behind what another node did
 * since the shard left and came back, and then work is repeated, or behind a cut, which a reader notices (`expire`).
 */
export const ownMsMax = 3_000
/** Attempts against other writers of the same position, and at a replica that is behind. */
const triesMax = 10
const pauseMs = 50
/** Writes of one round that are on their way at once. */
const writesInFlightMax = 64
/** Writes of one consumer in a round, at most: each is a message of three replicas, as a send is. The others are of the next rounds. */
export const writesOfRoundMax = 16

interface Stored {
  readonly position: LogPosition
  readonly revision: number
}

class Consumer {
  readonly stored = new Map<number, Stored>()
  /** What this node has moved positions to. */
  readonly moved = new Map<number, LogPosition>()
  readonly movedAt = new Map<number, number>()
  /** Shards to be written, those that wait for it the longest first. */
  readonly due = new Set<number>()
  loadedAt = -Infinity
  expiredAt = -Infinity
  loading: Promise<void> | undefined

  get(shard: number): LogPosition {
    return Math.max(this.stored.get(shard)?.position ?? 0, this.moved.get(shard) ?? 0)
  }
}

export interface ConsumerPositionsOptions {
  readonly streams: LogStreams
  readonly manager: JetStreamManager
  readonly direct: DirectGet
  readonly publisher: Publisher
}

export class ConsumerPositions {
  readonly #options: ConsumerPositionsOptions
  readonly #stream: string
  readonly #consumers = new Map<string, Consumer>()

  constructor(options: ConsumerPositionsOptions) {
    this.#options = options
    this.#stream = `KV_${options.streams.positionsBucket}`
  }

  async get(name: string, shard: number): Promise<LogPosition> {
    const consumer = this.#consumer(name)
    const movedAt = consumer.movedAt.get(shard) ?? -Infinity
    if (movedAt > consumer.expiredAt && performance.now() - movedAt < ownMsMax) return consumer.get(shard)
    // Twice where the load that was under way had begun before what was known expired.
    for (let loads = 0; loads < 2 && performance.now() - consumer.loadedAt > positionAgeMsMax; loads++) {
      const loading = this.#load(name, consumer)
      // What this node itself has moved is known without; that another one has moved it further is seen next time.
      await (consumer.moved.has(shard) ? loading.catch(() => {}) : loading)
    }
    return consumer.get(shard)
  }

  /** What is stored for good of one, by shard; of other nodes' as it was a moment ago. */
  async stored(name: string): Promise<(shard: number) => LogPosition> {
    const consumer = this.#consumer(name)
    if (performance.now() - consumer.loadedAt > positionAgeMsMax) await this.#load(name, consumer)
    return (shard) => consumer.stored.get(shard)?.position ?? 0
  }

  /** What is known may be too old: the next `get` asks. */
  expire(): void {
    const now = performance.now()
    for (const consumer of this.#consumers.values()) {
      consumer.loadedAt = -Infinity
      consumer.expiredAt = now
    }
  }

  move(name: string, shard: number, position: LogPosition): void {
    const { due, moved, movedAt } = this.#consumer(name)
    movedAt.set(shard, performance.now())
    if (position <= (moved.get(shard) ?? 0)) return
    moved.set(shard, position)
    due.add(shard)
  }

  /** One round: writes what has moved and waits the longest, so much of it. Fails if any of that could not be written. */
  storeSome(): Promise<void> {
    return this.#storeDue(writesOfRoundMax)
  }

  /** Writes what has moved, of one shard or of all. Fails if any of it could not be written. */
  store(shard?: number): Promise<void> {
    return this.#storeDue(Infinity, shard)
  }

  async #storeDue(most: number, only?: number): Promise<void> {
    const work: Array<() => Promise<void>> = []
    for (const [name, consumer] of this.#consumers) {
      const { due } = consumer
      const shards = only === undefined ? [...due].slice(0, most) : due.has(only) ? [only] : []
      for (const shard of shards) work.push(() => this.#write(name, consumer, shard))
    }
    const failures: Array<unknown> = []
    const next = async (): Promise<void> => {
      for (let job = work.pop(); job !== undefined; job = work.pop()) {
        await job().catch((cause: unknown) => failures.push(cause))
      }
    }
    await Promise.all(Array.from({ length: Math.min(writesInFlightMax, work.length) }, next))
    if (failures.length > 0) throw failures[0]
  }

  #consumer(name: string): Consumer {
    const known = this.#consumers.get(name)
    if (known !== undefined) return known
    const consumer = new Consumer()
    this.#consumers.set(name, consumer)
    return consumer
  }

  #load(name: string, consumer: Consumer): Promise<void> {
    consumer.loading ??= this.#loadAll(name, consumer).finally(() => (consumer.loading = undefined))
    return consumer.loading
  }

  /** All shards at once, as the leader had them when this began. */
  async #loadAll(name: string, consumer: Consumer): Promise<void> {
    const { manager, streams } = this.#options
    const startedAt = performance.now()
    const subjects = streams.positionSubject(name, "*")
    const { state } = await manager.streams.info(this.#stream, { subjects_filter: subjects })
    if (Object.keys(state.subjects ?? {}).length > 0) {
      for (const { bytes, position: revision, subject } of await this.#lastOf(subjects, state.last_seq)) {
        const position = Number(Buffer.from(bytes).toString("latin1"))
        if (Number.isSafeInteger(position)) this.#stored(consumer, streams.shardOf(subject), { position, revision })
      }
    }
    if (startedAt >= consumer.expiredAt) consumer.loadedAt = startedAt
  }

  /** From any replica that has come so far. */
  async #lastOf(subjects: string, upToAtLeast: number): Promise<ReadonlyArray<StoredRecord>> {
    for (let tries = 1; tries <= triesMax; tries++) {
      const { records, upTo } = await this.#options.direct.lastOf(this.#stream, subjects)
      if (upTo >= upToAtLeast) return records
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
    throw new Error(`the replicas of ${this.#stream} are behind`)
  }

  #stored(consumer: Consumer, shard: number, stored: Stored): void {
    const known = consumer.stored.get(shard)
    if (known === undefined || known.revision < stored.revision) consumer.stored.set(shard, stored)
  }

  async #write(name: string, consumer: Consumer, shard: number): Promise<void> {
    for (let tries = 1; tries <= triesMax; tries++) {
      const position = consumer.moved.get(shard) ?? 0
      const stored = consumer.stored.get(shard)
      if (stored !== undefined && stored.position >= position) return void consumer.due.delete(shard)
      if (!this.#options.publisher.connected) break
      const outcome = await this.#publish(name, shard, stored?.revision ?? 0, position)
      if (outcome._tag === "Committed") {
        this.#stored(consumer, shard, { position, revision: outcome.position })
        consumer.due.delete(shard)
        // It has moved on meanwhile: behind those that wait longer.
        if ((consumer.moved.get(shard) ?? 0) > position) consumer.due.add(shard)
        return
      }
      if (outcome._tag === "WrongSequence") await this.#reread(consumer, shard, outcome.actual)
      else await new Promise((resolve) => setTimeout(resolve, pauseMs * tries))
    }
    throw new Error(`the position of ${name} in shard ${shard} can't be written`)
  }

  #publish(name: string, shard: number, expectedLast: number, position: LogPosition): Promise<AppendOutcome> {
    const { publisher, streams } = this.#options
    return new Promise((settle) =>
      publisher.publish({
        subject: streams.positionSubject(name, shard),
        expectedLast,
        bytes: Buffer.from(String(position), "latin1"),
        settle
      })
    )
  }

  /** Another node wrote it, or an attempt of this one that was not answered. */
  async #reread(consumer: Consumer, shard: number, revision: number): Promise<void> {
    const found = await this.#options.manager.streams.getMessage(this.#stream, { seq: revision })
    const position = found === null ? 0 : Number(found.string())
    if (found !== null) this.#stored(consumer, shard, { position, revision })
  }
}
