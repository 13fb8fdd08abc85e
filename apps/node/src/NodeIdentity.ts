/** What a node is in its cluster: its name, what names are under at NATS and Redis, and what it does. */
import { hostname } from "node:os"
import type { NodeSettings } from "./NodeConfig.ts"

/** Permissions at NATS are given to it by this name (`--name`). */
export const nodeName = ({ name }: Pick<NodeSettings, "name">): string => (name === "" ? hostname() : name)

/** In front of every name at NATS and Redis, so that clusters may share them. */
export const clusterPrefix = ({ cluster }: Pick<NodeSettings, "cluster">): string => `parley-${cluster}`

export const leaseBucket = (settings: Pick<NodeSettings, "cluster">): string => `${clusterPrefix(settings)}-leases`

type Roles = Pick<NodeSettings, "roles">

/** Whether it has shards; otherwise it is an edge only, which needs neither the log nor Redis, or a worker only. */
export const isRunner = ({ roles }: Roles): boolean => roles.length === 0 || roles.includes("runner")

/** Whether it runs the log's consumers: those of its own shards, or, without shards, those that are placed on it. */
export const isWorker = ({ roles }: Roles): boolean => roles.length === 0 || roles.includes("worker")

/** Only the log's consumers: no shards, and nobody connects to it. */
export const isWorkerOnly = (settings: Roles): boolean => isWorker(settings) && !isRunner(settings)
