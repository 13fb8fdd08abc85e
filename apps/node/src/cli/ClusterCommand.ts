/**
 * `parley cluster`: who holds which shards (`status`), and what an operator wants otherwise: `cordon RUNNER`, `uncordon
 * RUNNER`, `move SHARD RUNNER`, `release SHARD`. To drain a node, stop it (SIGTERM): it hands its shards over first.
 */
import { operatorCall, operatorFlags, type OperatorMethod } from "./OperatorCall.ts"
import { parseFlags, unknownFlag } from "./Flags.ts"

const usage =
  "usage: parley cluster [status] | cluster cordon|uncordon RUNNER | cluster move SHARD RUNNER | cluster release SHARD [--url URL] [--key KEY | --data DIR]"

interface Wish {
  readonly method: OperatorMethod
  readonly path: string
}

const wishOf = ([action = "status", first = "", second = "", ...more]: ReadonlyArray<string>): Wish | undefined => {
  if (more.length > 0) return undefined
  const runner = (name: string) => encodeURIComponent(name)
  switch (action) {
    case "status":
      return first === "" ? { method: "GET", path: "/v1/cluster" } : undefined
    case "cordon":
    case "uncordon":
      if (first === "" || second !== "") return undefined
      return { method: action === "cordon" ? "PUT" : "DELETE", path: `/v1/cluster/runners/${runner(first)}/cordon` }
    case "move":
      if (!/^\d+$/.test(first) || second === "") return undefined
      return { method: "PUT", path: `/v1/cluster/shards/${first}/runner/${runner(second)}` }
    case "release":
      return /^\d+$/.test(first) && second === ""
        ? { method: "DELETE", path: `/v1/cluster/shards/${first}/runner` }
        : undefined
    default:
      return undefined
  }
}

interface Status {
  readonly cluster: string
  readonly runners: ReadonlyArray<{
    readonly runner: string
    readonly state: string
    readonly shards: number
    readonly cordoned: boolean
    readonly heard_ms: number
  }>
  readonly shards: ReadonlyArray<{
    readonly shard: number
    readonly runner: string
    readonly epoch: number
    readonly wanted: string
  }>
}

const show = ({ cluster, runners, shards }: Status): string =>
  [
    `cluster ${cluster}`,
    ...runners.map(
      ({ cordoned, heard_ms, runner, shards, state }) =>
        `${runner}  ${state}${cordoned ? ", cordoned" : ""}  ${shards} shards  heard ${heard_ms} ms ago`
    ),
    ...shards.map(
      ({ epoch, runner, shard, wanted }) =>
        `shard ${shard}  ${runner === "" ? "nobody" : runner}  epoch ${epoch}${wanted === "" ? "" : `  wanted at ${wanted}`}`
    ),
    ""
  ].join("\n")

export const clusterCommand = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const wish = wishOf(rest)
  const wrong = unknownFlag(flags, operatorFlags) ?? (wish === undefined ? usage : undefined)
  if (wish === undefined || wrong !== undefined) {
    process.stderr.write(`parley cluster: ${wrong ?? usage}\n`)
    return 2
  }
  const answer = await operatorCall("cluster", flags, wish.path, wish.method)
  if (typeof answer === "number") return answer
  // as: the server's ClusterStatus
  process.stdout.write(wish.method === "GET" ? show(answer as Status) : "done\n")
  return 0
}
