/** Shards to other runners, a few at a time: each is away only for its own hand-over, and one that is stuck holds up the rest. */
import { type ClusterApi, movePath, releasePath, type Status } from "./ClusterApi.ts"
import { type Pace, until } from "./Pace.ts"

export interface ShardMove {
  readonly shard: number
  readonly from: string
  readonly to: string
}

/** Moves that are under way at the same time. */
export const movesAtOnceMax = 2
/** A shard that has not come by then does not come. */
export const moveMsMax = 60_000

export interface MoveOptions {
  readonly pace: Pace
  readonly say: (line: string) => void
  /** It stays where it is brought until it is released; else it is anybody's afterwards. */
  readonly pinned: (shard: number) => boolean
}

/** Groups one after the other; those of a group are wished for together, so that nobody evens out what is half done. */
export const moveShards = async (
  api: ClusterApi,
  groups: ReadonlyArray<ReadonlyArray<ShardMove>>,
  { pace, pinned, say }: MoveOptions
): Promise<void> => {
  for (const group of groups) {
    await Promise.all(group.map(({ shard, to }) => api.wish("PUT", movePath(shard, to))))
    await until(api, pace, moveMsMax, sentence(group), (status) =>
      group.every((move) => isThere(status, move) || isVoid(status, move))
    )
    const free = group.filter(({ shard }) => !pinned(shard))
    await Promise.all(free.map(({ shard }) => api.wish("DELETE", releasePath(shard))))
    for (const { from, shard, to } of group) say(`shard ${shard}: ${from} → ${to}`)
  }
}

const sentence = (group: ReadonlyArray<ShardMove>): string =>
  `the move of ${group.map(({ shard, to }) => `shard ${shard} to ${to}`).join(", ")}`

const isThere = ({ shards }: Status, { shard, to }: ShardMove): boolean =>
  shards.some((it) => it.shard === shard && it.runner === to)

/** Whoever was to have it is going himself: it goes elsewhere. */
const isVoid = ({ runners, shards }: Status, { from, shard, to }: ShardMove): boolean =>
  !runners.some(({ runner, state }) => runner === to && state === "active") &&
  shards.some((it) => it.shard === shard && it.runner !== "" && it.runner !== from)

/** In groups that are no larger than what may be under way. */
export const inGroups = (moves: ReadonlyArray<ShardMove>): ReadonlyArray<ReadonlyArray<ShardMove>> => {
  const groups: Array<ReadonlyArray<ShardMove>> = []
  for (let at = 0; at < moves.length; at += movesAtOnceMax) groups.push(moves.slice(at, at + movesAtOnceMax))
  return groups
}
