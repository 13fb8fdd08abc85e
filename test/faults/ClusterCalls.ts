/** What an operator asks of a cluster's nodes, with the key that they all take. */
import { hash } from "node:crypto"
import { setTimeout as delay } from "node:timers/promises"
import type { LocalCluster } from "../../infra/cluster/LocalNodes.ts"

const key = "key-of-the-fault-tests-0123456789"
const pollMs = 100
/** Until a shard is worked on by somebody. */
const workedOnMsMax = 30_000
const callMsMax = 10_000

export const operatorEnvironment = { PARLEY_API_KEY_HASHES: hash("sha256", key) }

export interface ClusterView {
  readonly runners: ReadonlyArray<{ readonly runner: string; readonly state: string; readonly shards: number }>
  readonly shards: ReadonlyArray<{
    readonly shard: number
    readonly runner: string
    readonly epoch: number
    readonly wanted: string
  }>
}

const call = (cluster: LocalCluster, method: string, path: string, url = cluster.nodes[0]?.url ?? "") =>
  callNode(url, method, path)

/** Of the one node. */
export const callNode = async (url: string, method: string, path: string): Promise<unknown> => {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${key}` },
    signal: AbortSignal.timeout(callMsMax)
  })
  const body: unknown = await response.json()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(body)}`)
  return body
}

/** As the first node sees it. as: what the server's own schema says. */
export const clusterView = async (cluster: LocalCluster): Promise<ClusterView> =>
  (await call(cluster, "GET", "/v1/cluster")) as ClusterView // as above

/** As each node sees it, a line each: for who looks into a run that is not sound. */
export const viewsOf = async (cluster: LocalCluster): Promise<string> => {
  const lines = cluster.nodes.map(async ({ name, url }) => {
    const view = await call(cluster, "GET", "/v1/cluster", url).catch((error: unknown) => String(error))
    const ready = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(callMsMax) }).then(
      (response) => response.text(),
      String
    )
    return `--- ${name} sees: ${JSON.stringify(view)}\n  and says it is: ${ready}`
  })
  return (await Promise.all(lines)).join("\n")
}

const told = /^parley_(unstored|consumer_lag_seconds|parked_events|shards|log_bytes)\b/

/** What keeps channels from being acknowledged anything, for the same person: their owners' word, and how far each node's consumers are. */
export const stuckOf = async (cluster: LocalCluster, channels: ReadonlyArray<string>): Promise<string> => {
  const inspected = channels.map(async (channel) => {
    const path = `/v1/inspect/channel/${encodeURIComponent(channel)}`
    const answer = await call(cluster, "GET", path).catch((error: unknown) => String(error))
    return `--- ${channel} is: ${JSON.stringify(answer)}`
  })
  const metrics = cluster.nodes.map(async ({ name, url }) => {
    const text = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(callMsMax) }).then(
      (response) => response.text(),
      String
    )
    const lines = text.split("\n").filter((line) => told.test(line))
    return `--- ${name} counts:\n${lines.join("\n")}`
  })
  return (await Promise.all([...inspected, ...metrics])).join("\n")
}

/** Bytes that the log holds, as the first node counts them. */
export const logBytes = async (cluster: LocalCluster): Promise<number> => {
  const answer = await fetch(`${cluster.nodes[0]?.url ?? ""}/metrics`, { signal: AbortSignal.timeout(callMsMax) })
  return Number(/^parley_log_bytes (\S+)/m.exec(await answer.text())?.[1] ?? 0)
}

export const askToMove = async (cluster: LocalCluster, shard: number, runner: string): Promise<void> => {
  await call(cluster, "PUT", `/v1/cluster/shards/${shard}/runner/${encodeURIComponent(runner)}`)
}

/** Until the cluster looks like this; false: the time is over. */
export const untilView = async (
  cluster: LocalCluster,
  holds: (view: ClusterView) => boolean,
  msMax: number
): Promise<boolean> => {
  for (const until = performance.now() + msMax; performance.now() < until; await delay(pollMs)) {
    if (await clusterView(cluster).then(holds, () => false)) return true
  }
  return false
}

export interface Parked {
  readonly consumer: string
  readonly topic: string
  readonly id: string
  readonly seq: number
}

export const parked = async (cluster: LocalCluster): Promise<ReadonlyArray<Parked>> =>
  ((await call(cluster, "GET", "/v1/parked")) as { readonly events: ReadonlyArray<Parked> }).events // as above

export const retryParked = async (
  cluster: LocalCluster,
  consumer: string,
  topic: string,
  id: string
): Promise<void> => {
  const path = `/v1/parked/${encodeURIComponent(consumer)}/${topic}/${encodeURIComponent(id)}/retry`
  let refusals: Array<string> = []
  // Only the node that works on the shard can do it; shards move, and after a start it takes a moment until all have one.
  for (const until = performance.now() + workedOnMsMax; performance.now() < until; await delay(pollMs)) {
    refusals = []
    for (const { url } of cluster.nodes) {
      const refused = await call(cluster, "POST", path, url).then(() => undefined, String)
      if (refused === undefined) return
      refusals.push(refused)
    }
  }
  throw new Error(refusals.join("; "))
}

/** Until what is parked is so; false: the time is over. */
export const untilParked = async (
  cluster: LocalCluster,
  holds: (events: ReadonlyArray<Parked>) => boolean,
  msMax: number
): Promise<boolean> => {
  for (const until = performance.now() + msMax; performance.now() < until; await delay(pollMs)) {
    if (await parked(cluster).then(holds, () => false)) return true
  }
  return false
}
