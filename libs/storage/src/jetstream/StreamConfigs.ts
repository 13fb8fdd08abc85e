/**
 * The configuration of the log's streams and buckets: what is made where nothing is, and what is wrong with what is
 * there. Only the bound in bytes follows the configuration; all else of a stream that has records is left as it is.
 */
import {
  DiscardPolicy,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig
} from "@nats-io/jetstream"

export const replicasSafe = 3
const nanosAMs = 1_000_000

/** What decides whether the log keeps its promises, and is checked of a stream that is there. */
export interface LogStreamConfig extends Partial<StreamConfig> {
  readonly name: string
  readonly subjects: Array<string>
  readonly max_bytes: number
  readonly num_replicas: number
  readonly duplicate_window: number
}

export const logStreamConfig = (options: {
  readonly name: string
  readonly subjects: string
  readonly replicas: number
  readonly bytesMax: number
  readonly duplicateWindowMs: number
}): LogStreamConfig => ({
  name: options.name,
  subjects: [options.subjects],
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.New,
  num_replicas: options.replicas,
  max_bytes: options.bytesMax,
  max_msgs: -1,
  max_age: 0,
  max_msgs_per_subject: -1,
  max_msg_size: -1,
  duplicate_window: options.duplicateWindowMs * nanosAMs,
  allow_direct: true,
  // Records of several shards in one append; a stream without it takes them one by one.
  allow_atomic: true,
  allow_rollup_hdrs: false,
  deny_delete: true
})

const streamNameInUse = 10_058
const streamNotFound = 10_059

/** A KV bucket, as NATS's own tools would make it. */
export const bucketConfig = (bucket: string, replicas: number): LogStreamConfig => ({
  name: `KV_${bucket}`,
  subjects: [`$KV.${bucket}.>`],
  storage: StorageType.File,
  retention: RetentionPolicy.Limits,
  discard: DiscardPolicy.New,
  num_replicas: replicas,
  max_bytes: -1,
  max_msgs: -1,
  max_age: 0,
  max_msgs_per_subject: 1,
  max_msg_size: -1,
  duplicate_window: 120_000 * nanosAMs,
  allow_direct: true,
  allow_rollup_hdrs: true,
  deny_delete: true
})

/** Makes the stream, or finds it; what is wrong with it. The bound is the configuration's, also of one that is there. */
export const ensureStream = async (
  manager: JetStreamManager,
  wanted: LogStreamConfig
): Promise<ReadonlyArray<string>> => {
  const found = await findOrAdd(manager, wanted)
  const faults = faultsOfStream(found, wanted)
  if (faults.length === 0 && found.max_bytes !== wanted.max_bytes) {
    await manager.streams.update(wanted.name, { max_bytes: wanted.max_bytes })
  }
  return faults
}

const findOrAdd = async (manager: JetStreamManager, wanted: LogStreamConfig): Promise<StreamConfig> => {
  const info = async () => (await manager.streams.info(wanted.name)).config
  try {
    return await info()
  } catch (cause) {
    if (codeOf(cause) !== streamNotFound) throw cause
  }
  try {
    return (await manager.streams.add(wanted)).config
  } catch (cause) {
    // Another node was faster, with a configuration that is not quite this one.
    if (codeOf(cause) !== streamNameInUse) throw cause
    return info()
  }
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

const tooFewReplicas = (name: string, replicas: number): string =>
  `stream ${name} has ${replicas} replica(s), and what is acknowledged needs ${replicasSafe}: nats stream edit ${name} --replicas ${replicasSafe}`

export const faultsOfStream = (found: Partial<StreamConfig>, wanted: LogStreamConfig): ReadonlyArray<string> => {
  const { name } = wanted
  const faults: Array<string> = []
  const replicas = found.num_replicas ?? 1
  if (replicas < replicasSafe) faults.push(tooFewReplicas(name, replicas))
  for (const key of mustBe) {
    const [have, want] = [found[key] ?? false, wanted[key] ?? false]
    if (have !== want) faults.push(`stream ${name} has ${key} ${String(have)}; it must be ${String(want)}`)
  }
  if (String(found.subjects) !== String(wanted.subjects)) {
    faults.push(`stream ${name} takes ${String(found.subjects)}; it must take ${String(wanted.subjects)}`)
  }
  return faults
}
