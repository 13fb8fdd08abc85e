/**
 * Which shards to move so that runners have about as much to do. Pure. Placement counts shards and would take a move back
 * that makes counts uneven, so a shard goes alone only where the counts allow it, and is exchanged for a lighter one
 * otherwise. A step is taken from the busiest runner to the idlest, the one that brings the two closest; when none is worth
 * it, or the budget is spent, that is the plan. A shard that is too much for one runner stays alone as far as it can.
 */
import { bestStep, type LoadStep } from "@parley/actors/cluster/LoadStep"
import type { ShardMove } from "./ShardMoves.ts"

/** A step has to take away so much of what lies between the busiest and the idlest, or it is not worth a hand-over … */
const gainShareMin = 0.1
/** … and so much of a runner's even share. */
const gainOfEvenMin = 0.05

export interface PlanShard {
  readonly shard: number
  readonly runner: string
  readonly load: number
}

export interface Plan {
  /** Those of a group belong together. */
  readonly groups: ReadonlyArray<ReadonlyArray<ShardMove>>
  /** Load of each runner, before and after. */
  readonly before: ReadonlyMap<string, number>
  readonly after: ReadonlyMap<string, number>
}

interface Share {
  readonly runner: string
  readonly weight: 1
  load: number
  shards: Array<PlanShard>
}

/** `runners`: those that take shards. Shards of others are not looked at. */
export const planRebalance = (
  runners: ReadonlyArray<string>,
  shards: ReadonlyArray<PlanShard>,
  movesMax: number
): Plan => {
  const shares = runners.map((runner): Share => {
    const own = shards.filter((shard) => shard.runner === runner)
    return { runner, weight: 1, load: own.reduce((sum, { load }) => sum + load, 0), shards: own }
  })
  const before = loadsOf(shares)
  const even = shares.reduce((sum, { load }) => sum + load, 0) / Math.max(1, shares.length)
  const groups: Array<ReadonlyArray<ShardMove>> = []
  for (let left = movesMax; left > 0;) {
    const high = shares.reduce<Share | undefined>((a, b) => (a === undefined || b.load > a.load ? b : a), undefined)
    const low = shares.reduce<Share | undefined>((a, b) => (a === undefined || b.load < a.load ? b : a), undefined)
    if (high === undefined || low === undefined || high === low) break
    const step = bestStep(high, low, { alone: high.shards.length > low.shards.length, exchange: left > 1 })
    const apart = high.load - low.load
    // What one loses the other gets.
    const nearer = step === undefined ? 0 : 2 * (high.load - step.peak)
    if (step === undefined || nearer < Math.max(gainShareMin * apart, gainOfEvenMin * even)) break
    const moves = [{ shard: step.give.shard, from: high.runner, to: low.runner }]
    if (step.take !== undefined) moves.push({ shard: step.take.shard, from: low.runner, to: high.runner })
    carryOut(high, low, step)
    groups.push(moves)
    left -= moves.length
  }
  return { groups, before, after: loadsOf(shares) }
}

const carryOut = (high: Share, low: Share, { give, take }: LoadStep<PlanShard>): void => {
  const moved = give.load - (take?.load ?? 0)
  high.load -= moved
  low.load += moved
  high.shards = [...high.shards.filter((shard) => shard !== give), ...(take === undefined ? [] : [take])]
  low.shards = [...low.shards.filter((shard) => shard !== take), give]
}

const loadsOf = (shares: ReadonlyArray<Share>): ReadonlyMap<string, number> =>
  new Map(shares.map(({ load, runner }) => [runner, load]))
