/** The permissions at NATS that each role of a cluster needs, as `parley nats-users` writes them. */
import { edgeBusGrants, runnerBusGrants, workerBusGrants } from "@parley/actors/cluster/BusGrants"
import { logGrants, logReaderGrants, systemGrants } from "@parley/storage/jetstream/LogGrants"
import { joinGrants, type NatsGrants } from "@parley/storage/NatsGrants"
import { clusterPrefix, leaseBucket } from "./NodeIdentity.ts"

export interface GrantsOptions {
  readonly cluster: string
  /** `--name` of the node. */
  readonly node: string
  /** `--log-streams` of the cluster. */
  readonly streams: number
}

const busOf = ({ cluster, node }: Omit<GrantsOptions, "streams">) => ({
  prefix: clusterPrefix({ cluster }),
  bucket: leaseBucket({ cluster }),
  node
})

/** A node that is an edge only. */
export const edgeGrants = (options: Omit<GrantsOptions, "streams">): NatsGrants => edgeBusGrants(busOf(options))

/** A node that runs shards, whether it is an edge as well or not. */
export const runnerGrants = (options: GrantsOptions): NatsGrants =>
  joinGrants(runnerBusGrants(busOf(options)), logGrants(clusterPrefix(options), options.streams))

/** A node that only runs the log's consumers. */
export const workerGrants = (options: GrantsOptions): NatsGrants =>
  joinGrants(workerBusGrants(busOf(options)), logReaderGrants(clusterPrefix(options), options.streams))

/** `edge` and `worker`: that alone; `runner`: whatever else it is. */
export type Role = "edge" | "runner" | "worker"

export const grantsOf = (role: Role, options: GrantsOptions): NatsGrants =>
  ({ edge: edgeGrants, runner: runnerGrants, worker: workerGrants })[role](options)

/** Of the system account, for all nodes that run shards. */
export const systemUserGrants = ({ cluster }: Pick<GrantsOptions, "cluster">): NatsGrants =>
  systemGrants(`${clusterPrefix({ cluster })}.in`)

/** As nats-server's configuration has them. */
export const natsPermissions = ({ publish, subscribe }: NatsGrants) => ({
  publish: { allow: publish },
  subscribe: { allow: subscribe }
})
