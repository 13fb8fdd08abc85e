/**
 * What all nodes of a cluster must agree on for ever: how many shards there are, and over how many streams the log lies
 * (†2). Written by the first node that starts, in the cluster's own bucket; a node that is configured otherwise would
 * look for entities and records where they are not, so it is refused.
 */
import type { JetStreamManager } from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import { Context, Effect, Schema } from "effect"
import { LogUnavailable } from "../EventLog.ts"
import { type LogStreams, shardsMax, streamsMax } from "./LogStreams.ts"

/** This node is configured for another cluster than the one it joins. */
export class ClusterMapMismatch extends Schema.TaggedError<ClusterMapMismatch>()("ClusterMapMismatch", {
  setting: Schema.Literals(["shards", "streams"]),
  configured: Schema.Int,
  recorded: Schema.Int
}) {
  override get message() {
    return `this node is configured for ${this.configured} ${this.setting}, the cluster it joins has ${this.recorded}: set ${this.setting} to ${this.recorded}. It can't be changed in a cluster that has data`
  }
}

const Recorded = Schema.Struct({
  version: Schema.Literal(1),
  shards: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: shardsMax })),
  /** Shard `s` lies in stream `s mod streams`. */
  streams: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: streamsMax }))
})

const key = "map"

export class ClusterMap extends Context.Service<ClusterMap, { readonly shards: number; readonly streams: number }>()(
  "@parley/storage/jetstream/ClusterMap"
) {}

/** Checks what was recorded against this node's configuration. */
export const checkClusterMap = Effect.fnUntraced(function* (
  text: string,
  streams: LogStreams,
  shards: number
): Effect.fn.Return<ClusterMap["Service"], ClusterMapMismatch | LogUnavailable> {
  const recorded = yield* Schema.decodeEffect(Schema.fromJsonString(Recorded))(text).pipe(
    Effect.mapError((cause) => new LogUnavailable({ cause }))
  )
  const configured = { shards, streams: streams.count }
  for (const setting of ["shards", "streams"] as const) {
    if (recorded[setting] !== configured[setting]) {
      return yield* new ClusterMapMismatch({
        setting,
        configured: configured[setting],
        recorded: recorded[setting]
      })
    }
  }
  return ClusterMap.of(configured)
})

const find = (manager: JetStreamManager, { clusterBucket }: LogStreams) =>
  manager.streams.getMessage(`KV_${clusterBucket}`, { last_by_subj: `$KV.${clusterBucket}.${key}` })

/** What is recorded; fails while nothing is. */
export const readClusterMap = async (manager: JetStreamManager, streams: LogStreams): Promise<string> => {
  const found = await find(manager, streams)
  if (found === null) throw new Error("no node has made the log yet")
  return found.string()
}

/** Records the map where there is none; what is recorded. The leader says what counts: a replica may lack it yet. */
export const recordClusterMap = async (
  manager: JetStreamManager,
  streams: LogStreams,
  shards: number
): Promise<string> => {
  const found = await find(manager, streams)
  if (found !== null) return found.string()
  const text = JSON.stringify({ version: 1, shards, streams: streams.count })
  const kv = await new Kvm(manager.jetstream()).open(streams.clusterBucket)
  try {
    await kv.create(key, text)
    return text
  } catch (cause) {
    const faster = await find(manager, streams)
    if (faster === null) throw cause
    return faster.string()
  }
}
