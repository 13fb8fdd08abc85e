/**
 * Which NATS servers were read once and synced before they acknowledged. With this a node can start while one of the
 * servers is down: that one was looked at when it was there. Kept in the cluster's own bucket, a key a server.
 */
import type { JetStreamManager } from "@nats-io/jetstream"
import { Kvm } from "@nats-io/kv"
import type { LogStreams } from "./LogStreams.ts"

/** Server names may have any character, keys may not. */
const keyOf = (server: string): string => `synced.${Buffer.from(server).toString("hex")}`

export const rememberSynced = async (
  manager: JetStreamManager,
  streams: LogStreams,
  servers: ReadonlyArray<string>
): Promise<void> => {
  const bucket = await new Kvm(manager.jetstream()).open(streams.clusterBucket)
  await Promise.all(servers.map((server) => bucket.put(keyOf(server), "always")))
}

/** Those of them that were never seen to sync. */
export const neverSynced = async (
  manager: JetStreamManager,
  streams: LogStreams,
  servers: ReadonlyArray<string>
): Promise<ReadonlyArray<string>> => {
  const bucket = await new Kvm(manager.jetstream()).open(streams.clusterBucket)
  const seen = await Promise.all(servers.map((server) => bucket.get(keyOf(server))))
  return servers.filter((_, at) => seen[at]?.operation !== "PUT")
}
