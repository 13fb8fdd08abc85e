/**
 * Makes the log's streams and buckets, or checks that those which are there are what the log needs: three replicas, on
 * disk, refusing what is new when full. Refuses to start on anything else, and on servers that may lose what they
 * acknowledged. With `unsafe` it starts all the same, and keeps the reasons for health to show.
 */
import {
  DiscardPolicy,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig
} from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import type { NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Layer, Schema } from "effect"
import { LogUnavailable } from "../EventLog.ts"
import { LogStreams } from "./LogStreams.ts"
import { Nats, type NatsOptions } from "./Nats.ts"
import { headerBytesMax } from "./Publisher.ts"
import { serverFaults } from "./ServerCheck.ts"

/** The log would not be safe here. Every reason says what to do. */
export class LogUnsafe extends Schema.TaggedError<LogUnsafe>()("LogUnsafe", {
  reasons: Schema.Array(Schema.String)
}) {
  override get message() {
    return `the log would not be safe:\n- ${this.reasons.join("\n- ")}`
  }
}

export interface JetStreamSetupOptions {
  /** Of all names in NATS; a cluster's own. */
  readonly prefix: string
  /** Streams that the shards are spread over; never changed in a cluster (†2). */
  readonly streams: number
  /** Of all streams together: ordinary records are refused beyond this, … */
  readonly softBytes: number
  /** … and epoch records and checkpoints beyond this (†28). */
  readonly hardBytes: number
  /** A user of NATS's system account, to read each server's `sync_interval` with. */
  readonly system?: NatsOptions
  /** Fewer than three only with `unsafe`. */
  readonly replicas?: number
  readonly unsafe?: boolean
  readonly recordBytesMax?: number
  /** How long the server knows a record again that is sent twice. After that the expected sequence says so. */
  readonly duplicateWindowMs?: number
}

export const replicasSafe = 3
/** The largest record this backend takes: with its headers below the 1 MiB that NATS takes by default. */
export const recordBytesMax = 1_000_000
const duplicateWindowMsDefault = 120_000
/** One question to JetStream; making a stream of three replicas takes a while on slow disks. */
const requestMsMax = 10_000
const nanosAMs = 1_000_000

export class JetStreamSetup extends Context.Service<
  JetStreamSetup,
  {
    readonly streams: LogStreams
    readonly softBytes: number
    readonly hardBytes: number
    readonly recordBytesMax: number
    readonly manager: JetStreamManager
    /** Why this log is not safe; only with `unsafe`. Health shows them. */
    readonly warnings: ReadonlyArray<string>
  }
>()("@parley/storage/jetstream/JetStreamSetup") {
  static readonly layer = (
    options: JetStreamSetupOptions
  ): Layer.Layer<JetStreamSetup, LogUnsafe | LogUnavailable, Nats> => Layer.effect(JetStreamSetup, make(options))
}

const make = Effect.fnUntraced(function* (options: JetStreamSetupOptions) {
  const { log } = yield* Nats
  const streams = new LogStreams(options.prefix, options.streams)
  const sizeMax = Math.min(options.recordBytesMax ?? recordBytesMax, recordBytesMax)
  const faults = [...payloadFaults(log, sizeMax), ...(yield* serverFaults(log, options.system))]
  if (faults.length > 0 && options.unsafe !== true) return yield* new LogUnsafe({ reasons: faults })

  const manager = yield* ask(() => jetstreamManager(log, { timeout: requestMsMax }))
  for (const [stream, name] of streams.names.entries()) {
    const wanted = configOf(name, streams.subjectsOf(stream), options)
    faults.push(...faultsOfStream(yield* ask(() => ensureStream(manager, wanted)), wanted))
  }
  for (const bucket of [streams.positionsBucket, streams.clusterBucket]) {
    faults.push(...(yield* ask(() => ensureBucket(log, manager, bucket, options.replicas ?? replicasSafe))))
  }
  if (faults.length > 0 && options.unsafe !== true) return yield* new LogUnsafe({ reasons: faults })
  for (const fault of faults) {
    yield* Effect.logWarning("The log is not safe").pipe(Effect.annotateLogs({ why: fault }))
  }
  return JetStreamSetup.of({
    streams,
    softBytes: options.softBytes,
    hardBytes: options.hardBytes,
    recordBytesMax: sizeMax,
    manager,
    warnings: faults
  })
})

const ask = <A>(request: () => Promise<A>): Effect.Effect<A, LogUnavailable> =>
  Effect.tryPromise({ try: request, catch: (cause) => new LogUnavailable({ cause }) })

const payloadFaults = (log: NatsConnection, sizeMax: number): ReadonlyArray<string> => {
  const payload = log.info?.max_payload ?? 0
  const needed = sizeMax + headerBytesMax
  return payload >= needed ? [] : [`NATS takes messages of ${payload} bytes; set its max_payload to ${needed} or more`]
}

/** What decides whether the log keeps its promises, and is checked of a stream that is there. */
interface LogStreamConfig extends Partial<StreamConfig> {
  readonly name: string
  readonly subjects: Array<string>
  readonly max_bytes: number
  readonly num_replicas: number
  readonly duplicate_window: number
}

const configOf = (name: string, subjects: string, options: JetStreamSetupOptions): LogStreamConfig => ({
  name,
  subjects: [subjects],
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.New,
  num_replicas: options.replicas ?? replicasSafe,
  max_bytes: Math.floor(options.hardBytes / options.streams),
  max_msgs: -1,
  max_age: 0,
  max_msgs_per_subject: -1,
  max_msg_size: -1,
  duplicate_window: (options.duplicateWindowMs ?? duplicateWindowMsDefault) * nanosAMs,
  allow_direct: true,
  allow_rollup_hdrs: false,
  deny_delete: true
})

const streamNameInUse = 10_058
const streamNotFound = 10_059

/** The stream as it is: made now, or found. The bound is the configuration's, also of one that is there. */
const ensureStream = async (manager: JetStreamManager, wanted: LogStreamConfig): Promise<StreamConfig> => {
  const found = await manager.streams.info(wanted.name).catch((cause: unknown) => {
    if (codeOf(cause) === streamNotFound) return undefined
    throw cause
  })
  if (found === undefined) {
    try {
      return (await manager.streams.add(wanted)).config
    } catch (cause) {
      // Another node was faster, with a configuration that is not quite this one.
      if (codeOf(cause) !== streamNameInUse) throw cause
      return (await manager.streams.info(wanted.name)).config
    }
  }
  if (found.config.max_bytes === wanted.max_bytes) return found.config
  return (await manager.streams.update(wanted.name, { max_bytes: wanted.max_bytes })).config
}

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

/** What a stream may not have otherwise: it would lose records, refuse to be purged, or not be read in batches. */
const mustBe = [
  "storage",
  "retention",
  "discard",
  "max_msgs",
  "max_age",
  "max_msgs_per_subject",
  "allow_direct",
  "deny_purge",
  "sealed"
] as const

export const faultsOfStream = (found: Partial<StreamConfig>, wanted: LogStreamConfig): ReadonlyArray<string> => {
  const { name } = wanted
  const faults: Array<string> = []
  const replicas = found.num_replicas ?? 1
  if (replicas < replicasSafe) {
    faults.push(`stream ${name} has ${replicas} replica(s): an acknowledged record needs ${replicasSafe}. Update it`)
  }
  for (const key of mustBe) {
    const [have, want] = [found[key] ?? false, wanted[key] ?? false]
    if (have !== want) faults.push(`stream ${name} has ${key} ${String(have)}; it must be ${String(want)}`)
  }
  if (String(found.subjects) !== String(wanted.subjects)) {
    faults.push(`stream ${name} takes ${String(found.subjects)}; it must take ${String(wanted.subjects)}`)
  }
  return faults
}

const ensureBucket = async (
  log: NatsConnection,
  manager: JetStreamManager,
  bucket: string,
  replicas: number
): Promise<ReadonlyArray<string>> => {
  await new Kvm(log).create(bucket, { replicas, history: 1, storage: StorageType.File, timeout: requestMsMax })
  const { config } = await manager.streams.info(`KV_${bucket}`)
  return config.num_replicas >= replicasSafe
    ? []
    : [`bucket ${bucket} has ${config.num_replicas} replica(s): it needs ${replicasSafe}. Update stream KV_${bucket}`]
}
