/** The cluster's status as lines for a person. */
import type { Status } from "./ClusterApi.ts"

export const statusText = ({ cluster, edges, runners, shards, workers = [] }: Status): string =>
  [
    `cluster ${cluster}`,
    ...runners.map(
      ({ cordoned, heard_ms, load, runner, shards, state }) =>
        `runner ${runner}  ${state}${cordoned ? ", cordoned" : ""}  ${shards} shards  load ${load}/s  heard ${heard_ms} ms ago`
    ),
    ...edges.map(
      ({ connections, edge, open, url, zone }) =>
        `edge ${edge}  ${open ? "open" : "closed"}  ${connections} connections  ${url}${zone === "" ? "" : `  zone ${zone}`}`
    ),
    ...workers.map(
      ({ heard_ms, shards, worker }) => `worker ${worker}  works on ${shards} shards  heard ${heard_ms} ms ago`
    ),
    ...shards.map(
      ({ balanced, epoch, hot, load, runner, shard, wanted }) =>
        `shard ${shard}  ${runner === "" ? "nobody" : runner}  epoch ${epoch}  load ${load}/s${hot ? "  HOT" : ""}${wanted === "" ? "" : `  wanted at ${wanted}`}${balanced ? "  balanced" : ""}`
    ),
    ""
  ].join("\n")
