/**
 * The lease bucket: a JetStream key-value bucket, replicated, on disk. Every write that decides is a compare-and-set at
 * the revision that was seen. An answer that doesn't come leaves open whether the write happened; what is watched tells.
 */
import { jetstream, jetstreamManager, JetStreamApiError } from "@nats-io/jetstream"
import { type KV, Kvm } from "@nats-io/kv"
import type { NatsConnection } from "@nats-io/transport-node"
import { Effect, Schedule, Schema } from "effect"
import { readSettings, settingsKey } from "./LeaseEntries.ts"

/** The cluster's bucket is not what this node is configured for: it must not start. */
export class LeaseBucketUnfit extends Schema.TaggedError<LeaseBucketUnfit>()("LeaseBucketUnfit", {
  bucket: Schema.String,
  what: Schema.String
}) {
  override get message() {
    return `the lease bucket ${this.bucket} can't be used: ${this.what}`
  }
}

/** NATS did not answer, or JetStream has no leader for the bucket: try again. */
export class LeaseBucketUnavailable extends Schema.TaggedError<LeaseBucketUnavailable>()("LeaseBucketUnavailable", {
  bucket: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `the lease bucket ${this.bucket} does not answer: are most NATS servers up, with JetStream? (${String(this.cause)})`
  }
}

/** Another write came first: the entry is not what it was. */
export const conflict = "conflict"
/** Another write of the entry was under way, or an earlier one of our own: the watch tells what came of it. */
export const contended = "contended"

/** How long watchers that were away can still learn that an entry was removed. */
const removalKeptMs = 600_000

/** A bucket that was just made answers only once its copies have a leader and all servers know. */
const openRetryMs = 200
const openTriesMax = 25
/** Who only joins waits for a node that makes the bucket: 60 s. */
const joinTriesMax = 300

/** JetStream's "wrong last sequence", and what it says while one write of an entry is being agreed on. */
const wrongLastSequence = 10_071
const writeUnderWay = 10_164

export interface LeaseBucketOptions {
  readonly bucket: string
  /** Copies of the bucket; 3 wherever it matters. */
  readonly replicas: number
  readonly shardCount: number
  readonly requestMsMax: number
  /** Makes and writes nothing: an edge's user at NATS may not. Waits until another node has made it. */
  readonly joins?: boolean
}

/** The writes; a promise that fails leaves open whether the write happened. */
export interface LeaseWrites {
  /** Writes whatever is there; answers its revision. */
  put(key: string, value: unknown): Promise<number>
  /** Writes if the entry is still at `revision` (0: there is none). */
  swap(key: string, value: unknown, revision: number): Promise<number | typeof conflict | typeof contended>
  /** Removes the entry; watchers are told. */
  remove(key: string): Promise<void>
}

export class LeaseBucket implements LeaseWrites {
  readonly name: string
  readonly #kv: KV
  readonly #requestMsMax: number

  constructor(name: string, kv: KV, requestMsMax: number) {
    this.name = name
    this.#kv = kv
    this.#requestMsMax = requestMsMax
  }

  get kv(): KV {
    return this.#kv
  }

  put(key: string, value: unknown): Promise<number> {
    return this.#kv.put(key, JSON.stringify(value), { timeout: this.#requestMsMax })
  }

  async swap(key: string, value: unknown, revision: number): Promise<number | typeof conflict | typeof contended> {
    try {
      return await this.#kv.put(key, JSON.stringify(value), { previousSeq: revision, timeout: this.#requestMsMax })
    } catch (error) {
      if (error instanceof JetStreamApiError) {
        if (error.code === wrongLastSequence) return conflict
        if (error.code === writeUnderWay) return contended
      }
      throw error
    }
  }

  async read(key: string): Promise<{ readonly text: string; readonly revision: number } | undefined> {
    const entry = await this.#kv.get(key)
    return entry === null || entry.operation !== "PUT" ? undefined : { text: entry.string(), revision: entry.revision }
  }

  async remove(key: string): Promise<void> {
    await this.#kv.purge(key, { ttl: `${removalKeptMs / 1_000}s` })
  }
}

/** Opens the bucket, makes it where there is none, and holds what all nodes must agree on against this node (†2). */
export const openLeaseBucket = (connection: NatsConnection, options: LeaseBucketOptions) =>
  Effect.gen(function* () {
    const { bucket: name, joins = false, replicas, requestMsMax, shardCount } = options
    const times = joins ? joinTriesMax : openTriesMax
    const unfit = (what: string) => new LeaseBucketUnfit({ bucket: name, what })
    const asking = <A>(ask: () => Promise<A>) =>
      Effect.tryPromise({ try: ask, catch: (cause) => new LeaseBucketUnavailable({ bucket: name, cause }) }).pipe(
        Effect.retry({ times, schedule: Schedule.spaced(openRetryMs) })
      )

    const js = jetstream(connection, { timeout: requestMsMax })
    // Reads that decide never go to a follower.
    const kv = yield* asking(() =>
      joins
        ? new Kvm(js).open(name, { allow_direct: false })
        : new Kvm(js).create(name, { history: 1, replicas, allow_direct: false, markerTTL: removalKeptMs })
    )
    const manager = yield* asking(() => jetstreamManager(connection, { timeout: requestMsMax }))
    const { config } = yield* asking(() => manager.streams.info(`KV_${name}`))
    if (config.num_replicas < replicas) {
      return yield* unfit(
        `it has ${config.num_replicas} copies and not ${replicas}; run \`nats stream edit KV_${name} --replicas ${replicas}\``
      )
    }
    const bucket = new LeaseBucket(name, kv, requestMsMax)
    if (!joins && typeof (yield* asking(() => bucket.swap(settingsKey, { shardCount }, 0))) === "number") return bucket
    const entry = yield* asking(() => bucket.read(settingsKey)).pipe(
      // Another node is just writing it.
      Effect.repeat({
        until: (found) => found !== undefined,
        times,
        schedule: Schedule.spaced(openRetryMs)
      })
    )
    const agreed = entry === undefined ? undefined : readSettings(entry.text)
    if (agreed?.shardCount !== shardCount) {
      return yield* unfit(
        `the cluster has ${agreed?.shardCount ?? "an unreadable number of"} shards and this node is configured for ${shardCount}; the number can't be changed after the first start`
      )
    }
    return bucket
  })
