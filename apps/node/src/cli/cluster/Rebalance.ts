/**
 * `parley cluster rebalance`: looks at what each shard has to do for some seconds, then moves a few so that runners have
 * about the same. Counts stay as even as they were, so nothing has to be pinned for that. What was pinned by hand may be
 * moved as well, and is pinned where it comes then; a cordoned runner is left alone.
 */
import type { ClusterApi, Status } from "./ClusterApi.ts"
import { type Pace, patient } from "./Pace.ts"
import { type Plan, planRebalance, type PlanShard } from "./RebalancePlan.ts"
import { moveShards } from "./ShardMoves.ts"

/** What shards have to do is said every two seconds: some of it is averaged. */
const looks = 3
const looksEveryMs = 2_100
export const movesDefault = 8
/** One hand-over is a pause of some ms for a shard; as many as this at once are an operator's mistake. */
export const movesMax = 256

export interface RebalanceOptions {
  readonly pace: Pace
  readonly say: (line: string) => void
  readonly moves: number
  /** Only says what it would do. */
  readonly dry: boolean
}

export const rebalance = async (server: ClusterApi, { dry, moves, pace, say }: RebalanceOptions): Promise<Plan> => {
  const api = patient(server, pace)
  const { status, shards } = await observed(api, pace)
  const takers = status.runners.filter(({ cordoned, state }) => state === "active" && !cordoned)
  const plan = planRebalance(
    takers.map(({ runner }) => runner),
    shards,
    moves
  )
  for (const [runner, load] of plan.before) {
    say(
      `${runner}  load ${rounded(load)}${dry || plan.groups.length > 0 ? ` → ${rounded(plan.after.get(runner) ?? 0)}` : ""}`
    )
  }
  const count = plan.groups.flat().length
  if (count === 0) say("nothing is worth a move")
  else if (dry) for (const { from, shard, to } of plan.groups.flat()) say(`would move shard ${shard}: ${from} → ${to}`)
  else {
    const wished = new Set(status.shards.filter(({ wanted }) => wanted !== "").map(({ shard }) => shard))
    await moveShards(api, plan.groups, { pace, say, pinned: (shard) => wished.has(shard) })
  }
  return plan
}

const observed = async (api: ClusterApi, pace: Pace): Promise<{ status: Status; shards: ReadonlyArray<PlanShard> }> => {
  const sums = new Map<number, number>()
  let status = await api.status()
  for (let look = 0; ;) {
    for (const { load, shard } of status.shards) sums.set(shard, (sums.get(shard) ?? 0) + load)
    if (++look === looks) break
    await pace.sleep(looksEveryMs)
    status = await api.status()
  }
  const shards = status.shards.map(({ runner, shard }) => ({ shard, runner, load: (sums.get(shard) ?? 0) / looks }))
  return { status, shards }
}

const rounded = (load: number): string => load.toFixed(1)
