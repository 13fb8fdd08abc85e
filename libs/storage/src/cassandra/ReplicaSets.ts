/**
 * Which nodes keep a partition, as a name that is the same for all partitions that the same nodes keep. Of the local
 * datacenter's nodes only: one of them coordinates a write and a quorum of them answers it; to the other datacenters each
 * partition is sent on by itself.
 */
import type { Client } from "cassandra-driver"
import { routingKey, type Write } from "./Cql.ts"

/** Undefined: it is not known now, so the write shares a request with nobody. */
export type ReplicaSetOf = (write: Write) => string | undefined

/** What the driver knows of the nodes. */
export interface Ring {
  /** Nodes of the local datacenter. */
  readonly localNodes: number
  /** Addresses in the local datacenter; undefined: the driver has not read the ring. */
  readonly replicas: (routingKey: Buffer) => ReadonlyArray<string> | undefined
}

/** Where every node keeps everything. */
const everywhere = "everywhere"
const anyKey = Buffer.alloc(0)

/** By the ring as it is now. */
export const replicaSets = ({ localNodes, replicas }: Ring): ReplicaSetOf => {
  // Each key has as many replicas in a datacenter: one tells whether there are nodes without it.
  const some = replicas(anyKey)
  if (some === undefined) return () => undefined
  if (some.length >= localNodes) return () => everywhere
  return (write) => replicas(routingKey(write))?.toSorted().join(" ")
}

export const ringOf = (client: Pick<Client, "getReplicas" | "hosts">, keyspace: string, datacenter: string): Ring => ({
  localNodes: client.hosts.values().filter((host) => host.datacenter === datacenter).length,
  replicas: (key) => {
    // as: it is declared without what it answers before the ring or the keyspace is read
    const hosts = client.getReplicas(keyspace, key) as ReturnType<Client["getReplicas"]> | null | undefined
    return hosts?.filter((host) => host.datacenter === datacenter).map(({ address }) => address)
  }
})
