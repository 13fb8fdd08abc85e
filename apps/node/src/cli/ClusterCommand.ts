/**
 * `parley cluster`: who holds which shards and what they have to do (`status`), and what an operator wants otherwise:
 * `drain NODE` before it is stopped and `undrain NODE`, `rebalance`, and by hand `cordon RUNNER`, `uncordon RUNNER`,
 * `move SHARD RUNNER`, `release SHARD`. Asks any node, also the one that is drained.
 */
import {
  type ClusterApi,
  clusterApiAt,
  cordonPath,
  movePath,
  releasePath,
  type WishMethod
} from "./cluster/ClusterApi.ts"
import { drainNode, undrainNode } from "./cluster/Drain.ts"
import { systemPace } from "./cluster/Pace.ts"
import { movesDefault, movesMax, rebalance } from "./cluster/Rebalance.ts"
import { statusText } from "./cluster/StatusText.ts"
import { operatorAccess, operatorFlags } from "./OperatorCall.ts"
import { parseFlags, unknownFlag } from "./Flags.ts"

const usage = `usage: parley cluster ACTION [--url URL] [--key KEY | --data DIR]
  status                 who holds what, and what it has to do
  drain NODE             its shards and clients go elsewhere; says when it may be stopped
  undrain NODE           it takes shards and clients again
  rebalance              runners get about as much to do: --moves N shards at most (${movesDefault}), --dry only says which
  cordon RUNNER          it takes no more shards; uncordon RUNNER: it does again
  move SHARD RUNNER      the shard goes there and stays
  release SHARD          it is placed as all others again`

type Flags = Readonly<Record<string, string>>
type Action = (api: ClusterApi) => Promise<void>

const say = (line: string): void => void process.stdout.write(`${line}\n`)

const wish =
  (method: WishMethod, path: string): Action =>
  async (api) => {
    await api.wish(method, path)
    say("done")
  }

/** Undefined: it is none. */
const actionOf = (words: ReadonlyArray<string>, flags: Flags): Action | undefined => {
  const [action = "status", first = "", second = ""] = words
  const wanted = { status: 1, rebalance: 1, move: 3 }[action] ?? 2
  if (words.length > wanted || (words.length < wanted && wanted > 1)) return undefined
  const shard = /^\d+$/.test(first) ? Number(first) : undefined
  switch (action) {
    case "status":
      return async (api) => say(statusText(await api.status()).trimEnd())
    case "drain":
      return (api) => drainNode(api, first, systemPace, say)
    case "undrain":
      return async (api) => {
        await undrainNode(api, first)
        say("done")
      }
    case "rebalance": {
      const moves = Number(flags["moves"] ?? movesDefault)
      if (!Number.isInteger(moves) || moves < 1 || moves > movesMax) return undefined
      const dry = flags["dry"] !== undefined
      return async (api) => void (await rebalance(api, { pace: systemPace, say, moves, dry }))
    }
    case "cordon":
      return wish("PUT", cordonPath(first))
    case "uncordon":
      return wish("DELETE", cordonPath(first))
    case "move":
      return shard === undefined ? undefined : wish("PUT", movePath(shard, second))
    case "release":
      return shard === undefined ? undefined : wish("DELETE", releasePath(shard))
    default:
      return undefined
  }
}

export const clusterCommand = async (args: ReadonlyArray<string>): Promise<number> => {
  const { flags, rest } = parseFlags(args)
  const action = actionOf(rest, flags)
  const ofRebalance = rest[0] === "rebalance" ? ["moves", "dry"] : []
  const wrong = unknownFlag(flags, [...operatorFlags, ...ofRebalance])
  if (action === undefined || wrong !== undefined) {
    process.stderr.write(`parley cluster: ${wrong ?? usage}\n`)
    return 2
  }
  const access = operatorAccess("cluster", flags)
  if (typeof access === "number") return access
  try {
    await action(clusterApiAt(access.url, access.key))
    return 0
  } catch (error) {
    process.stderr.write(`parley cluster: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  }
}
