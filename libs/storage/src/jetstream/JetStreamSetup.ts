/**
 * Makes the log's streams and buckets, or checks that those which are there are what the log needs: three replicas, on
 * disk, refusing what is new when full. Refuses to start on anything else, and on servers that may lose what they
 * acknowledged. With `unsafe` it starts all the same, and keeps the reasons for health to show.
 */
import { type JetStreamManager, jetstreamManager } from "@nats-io/jetstream"
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import { LogUnavailable } from "../EventLog.ts"
import { checkClusterMap, ClusterMap, type ClusterMapMismatch, readClusterMap, recordClusterMap } from "./ClusterMap.ts"
import { LogStreams } from "./LogStreams.ts"
import { checkMigration, type MigrationUnfinished } from "./MigrationMark.ts"
import { Nats, type NatsOptions } from "./Nats.ts"
import { headerBytesMax } from "./Publisher.ts"
import { checkServers, silentServer } from "./ServerCheck.ts"
import { bucketConfig, ensureStream, logStreamConfig, replicasSafe } from "./StreamConfigs.ts"
import { neverSynced, rememberSynced } from "./SyncedServers.ts"

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
  /** Shards of the cluster; never changed either. */
  readonly shards: number
  /** Of all streams together: ordinary records are refused beyond this, … */
  readonly softBytes: number
  /** … and epoch records and checkpoints beyond this (†28). */
  readonly hardBytes: number
  /** A user of NATS's system account, to read each server's `sync_interval` with. */
  readonly system?: NatsOptions
  /** Fewer than three only with `unsafe`. */
  readonly replicas?: number
  readonly unsafe?: boolean
  /**
   * For a process that appends nothing: it makes nothing, waits until a node has made the log, and leaves it to those that
   * append whether it is safe.
   */
  readonly joins?: boolean
  readonly recordBytesMax?: number
  /** How long the server knows a record again that is sent twice. After that the expected sequence says so. */
  readonly duplicateWindowMs?: number
}

/** The largest record this backend takes: with its headers below the 1 MiB that NATS takes by default. */
export const recordBytesMax = 1_000_000
const duplicateWindowMsDefault = 120_000
/** One question to JetStream. */
const requestMsMax = 2_500
const retryMs = 250
/** JetStream may be without a leader when a cluster starts. */
const setupMsMax = 30_000
/** Who only joins waits for a node that makes the log. */
const joinMsMax = 60_000

export class JetStreamSetup extends Context.Service<
  JetStreamSetup,
  {
    readonly streams: LogStreams
    readonly softBytes: number
    readonly hardBytes: number
    readonly recordBytesMax: number
    readonly manager: JetStreamManager
    /** What the operator should know of the log's safety. Health shows them. */
    readonly warnings: ReadonlyArray<string>
  }
>()("@parley/storage/jetstream/JetStreamSetup") {
  static readonly layer = (
    options: JetStreamSetupOptions
  ): Layer.Layer<
    JetStreamSetup | ClusterMap,
    LogUnsafe | LogUnavailable | ClusterMapMismatch | MigrationUnfinished,
    Nats
  > => Layer.effectContext(make(options))
}

const make = (options: JetStreamSetupOptions) => (options.joins === true ? join(options) : open(options))

const join = Effect.fnUntraced(function* (options: JetStreamSetupOptions) {
  const { log } = yield* Nats
  const streams = new LogStreams(options.prefix, options.streams, options.shards)
  const manager = yield* ask(() => jetstreamManager(log, { timeout: requestMsMax }), joinMsMax)
  const map = yield* checkClusterMap(
    yield* ask(() => readClusterMap(manager, streams), joinMsMax),
    streams,
    options.shards
  )
  yield* checkMigration(manager, streams)
  for (const name of streams.names) yield* ask(() => manager.streams.info(name), joinMsMax)
  const { hardBytes, softBytes } = options
  const setup = { streams, softBytes, hardBytes, recordBytesMax, manager, warnings: [] }
  return Context.make(JetStreamSetup, JetStreamSetup.of(setup)).pipe(Context.add(ClusterMap, map))
})

const open = Effect.fnUntraced(function* (options: JetStreamSetupOptions) {
  const { log } = yield* Nats
  const streams = new LogStreams(options.prefix, options.streams, options.shards)
  const sizeMax = Math.min(options.recordBytesMax ?? recordBytesMax, recordBytesMax)
  const { safe, warnings } = gate(options.unsafe === true)
  const servers = yield* checkServers(log, options.system, sizeMax + headerBytesMax)
  yield* safe(servers.faults)

  const manager = yield* ask(() => jetstreamManager(log, { timeout: requestMsMax }))
  const replicas = options.replicas ?? replicasSafe
  for (const bucket of [streams.clusterBucket, streams.positionsBucket]) {
    yield* safe(yield* ask(() => ensureStream(manager, bucketConfig(bucket, replicas))))
  }
  const unknown = yield* ask(() => neverSynced(manager, streams, servers.silent))
  yield* safe(unknown.map(silentServer))
  for (const name of servers.silent) {
    if (!unknown.includes(name)) warnings.push(`${name} does not answer; it synced always when it was read last`)
  }
  yield* ask(() => rememberSynced(manager, streams, servers.synced))
  const recorded = yield* ask(() => recordClusterMap(manager, streams, options.shards))
  const map = yield* checkClusterMap(recorded, streams, options.shards)
  yield* checkMigration(manager, streams)
  for (const [stream, name] of streams.names.entries()) {
    const config = logStreamConfig({
      name,
      subjects: streams.subjectsOf(stream),
      replicas,
      bytesMax: Math.floor(options.hardBytes / options.streams),
      duplicateWindowMs: options.duplicateWindowMs ?? duplicateWindowMsDefault
    })
    yield* safe(yield* ask(() => ensureStream(manager, config)))
  }
  for (const warning of warnings) {
    yield* Effect.logWarning("The log is not as safe as it should be").pipe(Effect.annotateLogs({ why: warning }))
  }
  const { hardBytes, softBytes } = options
  return Context.make(
    JetStreamSetup,
    JetStreamSetup.of({ streams, softBytes, hardBytes, recordBytesMax: sizeMax, manager, warnings })
  ).pipe(Context.add(ClusterMap, map))
})

/** Lets nothing pass that has faults; with `unsafe` it only keeps them. */
const gate = (unsafe: boolean) => {
  const warnings: Array<string> = []
  const safe = (faults: ReadonlyArray<string>): Effect.Effect<void, LogUnsafe> => {
    if (faults.length > 0 && !unsafe) return Effect.fail(new LogUnsafe({ reasons: faults }))
    warnings.push(...faults)
    return Effect.void
  }
  return { safe, warnings }
}

/**
 * Again and again for a while: each of it finds what it did before. While several nodes make the same stream at once,
 * the servers answer some of them not at all, and others that a stream is not there which they have just made.
 */
const ask = <A>(request: () => Promise<A>, msMax = setupMsMax): Effect.Effect<A, LogUnavailable> =>
  Effect.tryPromise({ try: request, catch: (cause) => new LogUnavailable({ cause }) }).pipe(
    Effect.retry(Schedule.max([Schedule.jittered(Schedule.spaced(retryMs)), Schedule.during(msMax)]))
  )
