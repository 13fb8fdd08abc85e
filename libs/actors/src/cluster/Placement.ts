/**
 * Which runner is to have which shard: a pure function of what the lease bucket says, so that all runners that have seen
 * the same come to the same answer without asking each other. Where they have not seen the same, the bucket's
 * compare-and-set lets one of them have the shard.
 *
 * A shard stays where it is as long as it can: when a runner goes, only its own shards move; when one comes, no more
 * than it takes to be even, a few at a time. Shards are counted here; what their load asks for comes as a step of a few
 * moves (`LoadBalance`), which leaves counts as even as they are, so that the two never fight.
 */
import type { BalanceMove } from "./LeaseEntries.ts"

/** Shards that are on their way for the sake of evenness at any time. */
export const balancingMovesMax = 8
/** Difference between the fullest and the emptiest runner that is not worth a move. */
export const unevennessMax = 1

export interface PlaceableRunner {
  readonly name: string
  readonly weight: number
  /** It takes shards. One that doesn't, and is not leaving, keeps what it has. */
  readonly takes: boolean
  /** It is leaving: it keeps nothing. */
  readonly leaves: boolean
  /** It carries out steps that are made because of loads. */
  readonly balances: boolean
}

export interface PlacementState {
  readonly shardCount: number
  /** Those that live. */
  readonly runners: ReadonlyArray<PlaceableRunner>
  /** Who holds a shard, alive or not; undefined: nobody. */
  readonly holderOf: (shard: number) => string | undefined
  /** Whom an operator wants to have a shard. */
  readonly wishes: ReadonlyMap<number, string>
  /** The step that is under way because of loads, if it is in force (`inForce`). */
  readonly balance: ReadonlyArray<BalanceMove>
}

/**
 * The step may be carried out: all runners of the cluster would, those that it is between live and take shards, no
 * operator wants one of its shards elsewhere, and nobody else has come by one. Else none of it counts: half an exchange
 * would make counts uneven.
 */
export const inForce = ({ balance, holderOf, runners, wishes }: PlacementState): boolean => {
  const takes = (name: string) => runners.some((runner) => runner.name === name && runner.takes && !runner.leaves)
  return (
    runners.every(({ balances }) => balances) &&
    balance.every(
      ({ from, shard, to }) =>
        !wishes.has(shard) && takes(from) && takes(to) && (holderOf(shard) === from || holderOf(shard) === to)
    )
  )
}

interface Share extends PlaceableRunner {
  count: number
}

/** The runner for each shard, by its number; undefined: there is none. */
export const place = (state: PlacementState): ReadonlyArray<string | undefined> => {
  const shares = new Map<string, Share>()
  for (const runner of [...state.runners].sort((a, b) => (a.name < b.name ? -1 : 1))) {
    shares.set(runner.name, { ...runner, count: 0 })
  }
  const placed: Array<string | undefined> = Array.from({ length: state.shardCount + 1 })
  const step = new Map(inForce(state) ? state.balance.map(({ shard, to }) => [shard, to]) : [])
  const homeless: Array<number> = []
  let moving = 0

  for (let shard = 1; shard <= state.shardCount; shard++) {
    const holder = state.holderOf(shard)
    const wished = state.wishes.get(shard) ?? step.get(shard)
    const wish = wished === undefined ? undefined : shares.get(wished)
    const share = wish !== undefined && !wish.leaves ? wish : holder === undefined ? undefined : shares.get(holder)
    if (share === undefined || share.leaves) {
      homeless.push(shard)
      continue
    }
    if (share.name !== holder) moving++
    placed[shard] = share.name
    share.count++
  }

  const staying = [...shares.values()].filter(({ leaves }) => !leaves)
  const taking = staying.filter(({ takes }) => takes)
  // Rather a runner that was asked to take no more than nobody.
  const hosts = taking.length > 0 ? taking : staying
  for (const shard of homeless) {
    const host = emptiest(hosts)
    if (host === undefined) break
    placed[shard] = host.name
    host.count++
  }

  // A wish is not taken back for evenness.
  moving += homeless.length
  for (let shard = state.shardCount; shard >= 1 && moving < balancingMovesMax; shard--) {
    const low = emptiest(taking)
    const high = fullest(taking)
    if (low === undefined || high === undefined || !worthMoving(high, low)) break
    if (placed[shard] !== high.name || state.holderOf(shard) !== high.name || state.wishes.has(shard)) continue
    placed[shard] = low.name
    high.count--
    low.count++
    moving++
  }
  return placed
}

const load = (share: Share) => share.count / share.weight

const emptiest = (shares: ReadonlyArray<Share>): Share | undefined => {
  let found: Share | undefined
  for (const share of shares) if (found === undefined || load(share) < load(found)) found = share
  return found
}

const fullest = (shares: ReadonlyArray<Share>): Share | undefined => {
  let found: Share | undefined
  for (const share of shares) if (found === undefined || load(share) > load(found)) found = share
  return found
}

/** The move makes it more even, and by more than is to be had for nothing. */
const worthMoving = (high: Share, low: Share) =>
  (high.count - unevennessMax) / high.weight >= (low.count + 1) / low.weight && high.name !== low.name
