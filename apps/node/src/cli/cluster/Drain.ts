/**
 * `parley cluster drain NODE`: the node gets no more shards, those that it has go to the others a few at a time, its clients
 * are told to move; it says when nothing is left and the node may be stopped. Nothing of it is kept by the servers but
 * wishes that they know anyway, so a command that was ended is run again, or taken back by `undrain`.
 */
import { isNodeCalled, startOf } from "../../NodeStart.ts"
import { type ClusterApi, cordonPath, leavingPath, type Status } from "./ClusterApi.ts"
import { type Pace, patient, until } from "./Pace.ts"
import { inGroups, moveShards, type ShardMove } from "./ShardMoves.ts"

/** What an operator named is not one node, or can't be done to it. */
export class DrainRefused extends Error {}

/** All clients are told within a window that is ten minutes at most, by the nodes' own settings. */
export const emptyMsMax = 20 * 60_000
/** Rounds of moves; a shard may come back to a node that nobody else could relieve. */
const roundsMax = 10

interface Node {
  /** Empty: the process has no such role. */
  readonly runner: string
  readonly edge: string
}

/** The one process that is meant. A runner that was killed is seen for a while, and isn't, where there is one that lives. */
export const nodeCalled = ({ edges, runners }: Status, name: string): Node => {
  const all = [...runners.map(({ runner }) => runner), ...edges.map(({ edge }) => edge)].sort()
  const called = all.filter((it) => isNodeCalled(it, name))
  const silent = new Set(runners.filter(({ state }) => state === "silent").map(({ runner }) => runner))
  const living = called.filter((it) => !silent.has(it))
  const meant = living.length > 0 ? living : called
  const [only] = meant
  if (only === undefined) throw new DrainRefused(`no node is called ${name}: there are ${all.join(", ")}`)
  const start = startOf(only)
  if (meant.some((it) => startOf(it) !== start)) {
    throw new DrainRefused(`${name} are several: say which of ${meant.join(", ")}`)
  }
  return {
    runner: runners.find(({ runner }) => startOf(runner) === start)?.runner ?? "",
    edge: edges.find(({ edge }) => startOf(edge) === start)?.edge ?? ""
  }
}

/** Where a runner's shards go: the emptiest by count first, so that nothing has to be evened out afterwards. */
export const relief = ({ runners, shards }: Status, from: string): ReadonlyArray<ShardMove> => {
  const hosts = runners
    .filter(({ cordoned, runner, state }) => runner !== from && state === "active" && !cordoned)
    .map(({ load, runner, shards }) => ({ runner, load, shards }))
  const heaviestFirst = shards.filter(({ runner }) => runner === from).sort((a, b) => b.load - a.load)
  return heaviestFirst.flatMap(({ load, shard }) => {
    const to = hosts.sort((a, b) => a.shards - b.shards || a.load - b.load)[0]
    if (to === undefined) return []
    to.shards++
    to.load += load
    return [{ shard, from, to: to.runner }]
  })
}

export const drainNode = async (
  server: ClusterApi,
  name: string,
  pace: Pace,
  say: (line: string) => void
): Promise<void> => {
  const api = patient(server, pace)
  const first = await api.status()
  const { edge, runner } = nodeCalled(first, name)
  if (runner !== "" && relief(first, runner).length < heldBy(first, runner)) {
    throw new DrainRefused(
      `nobody else takes its shards: start another runner, or uncordon one, before ${name} is drained`
    )
  }
  if (runner !== "") await api.wish("PUT", cordonPath(runner))
  if (edge !== "") await api.wish("PUT", leavingPath(edge))
  say(`${runner || edge} takes no more shards and no more clients`)
  if (runner !== "") await moveAll(api, runner, pace, say)
  const left = (status: Status) => heldBy(status, runner) + connectionsOf(status, edge)
  let told = -1
  await until(api, pace, emptyMsMax, `the drain of ${name}`, async (status) => {
    const connections = connectionsOf(status, edge)
    if (connections !== told) say(`${connections} clients are still there`)
    told = connections
    // It was started anew, or did not hear it.
    if (status.edges.some((it) => it.edge === edge && it.open)) await api.wish("PUT", leavingPath(edge))
    return left(status) === 0
  })
  say(`${runner || edge} is empty: it may be stopped now`)
}

const moveAll = async (api: ClusterApi, runner: string, pace: Pace, say: (line: string) => void): Promise<void> => {
  for (let round = 0; round < roundsMax; round++) {
    const status = await api.status()
    if (heldBy(status, runner) === 0) return
    await moveShards(api, inGroups(relief(status, runner)), { pace, say, pinned: () => false })
  }
}

/** It takes shards and clients again. */
export const undrainNode = async (api: ClusterApi, name: string): Promise<void> => {
  const { edge, runner } = nodeCalled(await api.status(), name)
  if (runner !== "") await api.wish("DELETE", cordonPath(runner))
  if (edge !== "") await api.wish("DELETE", leavingPath(edge))
}

const heldBy = ({ shards }: Status, runner: string): number =>
  runner === "" ? 0 : shards.filter((shard) => shard.runner === runner).length

const connectionsOf = ({ edges }: Status, edge: string): number =>
  edges.find((it) => it.edge === edge)?.connections ?? 0
