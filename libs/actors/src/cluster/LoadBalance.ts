/**
 * When shards are moved because of what they have to do, and which. Pure state: fed with one look after the other, it says
 * what to do about each. Loads are averaged over looks; a step is taken from the busiest runner to the idlest, when one is
 * worth it, and only while the cluster is at rest: evenness by count goes first (`Placement`), and whatever an operator
 * wished or a runner's coming and going began is over. A step leaves counts as placement wants them, so that it would not
 * take a move back, and nothing has to be remembered of it.
 *
 * All runners look; one of them acts. The others know the budget and which shards are left alone, should it die.
 */
import type { BalanceEntry, BalanceMove } from "./LeaseEntries.ts"
import { bestStep, type LoadedShard, type LoadedShare } from "./LoadStep.ts"
import { inForce, place, type PlaceableRunner, type PlacementState } from "./Placement.ts"

/** Moves under way at once: an exchange. */
export const stepMovesMax = 2
/** Moves that are begun within `windowMs`. */
export const windowMovesMax = 6
export const windowMs = 60_000
/** A shard that was moved is left alone for so long. */
export const shardRestMs = 120_000
/** For so long nothing must have come, gone or moved. */
export const restMs = 10_000
/** Loads are said every two seconds. */
export const lookMs = 2_000
/** What a look weighs in the average, once there are many. */
export const lookWeight = 0.1
/** A shard's average of fewer looks is not gone by. */
export const looksMin = 5
/** A runner that has no more than this beyond its even share is left alone. */
export const unevenMin = 0.15
/** The busier of the two has to lose so much of an even share, or it is not worth a hand-over … */
export const gainOfEvenMin = 0.02
/** … and so much as such, in requests and messages a second. */
export const gainMin = 5
/** Of a runner's shards so many have to be known, or nobody knows how busy it is. */
const knownShareMin = 0.5
/** A step that is not done by then is given up. */
export const stepMsMax = 60_000
/** Moves that the entry remembers. */
export const recentMax = 16

export interface BalanceLook {
  readonly now: number
  readonly state: PlacementState
  /** Undefined: nobody has said anything lately. */
  readonly loadOf: (shard: number) => number | undefined
  readonly entry: BalanceEntry
}

export type BalanceDecision =
  | { readonly _tag: "Rest" }
  | { readonly _tag: "Begin"; readonly moves: ReadonlyArray<BalanceMove> }
  /** The step is over: all is where it was to be, or not to be any more. */
  | { readonly _tag: "End"; readonly done: boolean }

/** The entry when a step is begun, and when it is over. */
export const begun = ({ count, recent }: BalanceEntry, moves: ReadonlyArray<BalanceMove>): BalanceEntry => ({
  moves,
  recent: [...recent, ...moves].slice(-recentMax),
  count: count + moves.length
})

export const ended = (entry: BalanceEntry): BalanceEntry => ({ ...entry, moves: [] })

const rest: BalanceDecision = { _tag: "Rest" }

interface Average {
  load: number
  looks: number
}

export class LoadBalance {
  readonly #averages = new Map<number, Average>()
  /** Until when a shard is left alone. */
  readonly #restUntil = new Map<number, number>()
  /** When each move within the window was begun, as seen here. */
  #begun: Array<number> = []
  #count: number | undefined
  #stepSince = 0
  #world: World | undefined
  #changedAt = 0

  look(look: BalanceLook): BalanceDecision {
    const { entry, now, state } = look
    this.#average(look)
    this.#noteMoves(entry, now)
    const world = worldOf(state)
    const atRest = this.#world !== undefined && same(this.#world, world) && asPlaced(state)
    this.#world = world
    if (!atRest) this.#changedAt = now
    if (entry.moves.length > 0) return this.#ofStep(look)
    const left = windowMovesMax - this.#begun.length
    if (now - this.#changedAt < restMs || left <= 0 || !state.runners.every(({ balances }) => balances)) return rest
    const moves = this.#plan(look, Math.min(stepMovesMax, left))
    return moves.length > 0 ? { _tag: "Begin", moves } : rest
  }

  #average({ loadOf, state: { shardCount } }: BalanceLook): void {
    for (let shard = 1; shard <= shardCount; shard++) {
      const load = loadOf(shard)
      if (load === undefined) continue
      const average = this.#averages.get(shard)
      if (average === undefined) this.#averages.set(shard, { load, looks: 1 })
      else {
        average.looks++
        average.load += Math.max(lookWeight, 1 / average.looks) * (load - average.load)
      }
    }
  }

  /** Who has just come counts what was moved lately as moved now: nobody's clock says when that was. */
  #noteMoves({ count, recent }: BalanceEntry, now: number): void {
    if (count !== this.#count) {
      const more = this.#count === undefined || count < this.#count ? recent.length : count - this.#count
      for (const { shard } of recent.slice(Math.max(0, recent.length - more))) {
        this.#begun.push(now)
        this.#restUntil.set(shard, now + shardRestMs)
      }
      this.#count = count
      this.#stepSince = now
    }
    this.#begun = this.#begun.filter((at) => now - at < windowMs)
    for (const [shard, until] of this.#restUntil) if (now >= until) this.#restUntil.delete(shard)
  }

  #ofStep({ entry: { moves }, now, state }: BalanceLook): BalanceDecision {
    const done = moves.every(({ shard, to }) => state.holderOf(shard) === to)
    return done || !inForce(state) || now - this.#stepSince >= stepMsMax ? { _tag: "End", done } : rest
  }

  #plan({ loadOf, state }: BalanceLook, movesMax: number): ReadonlyArray<BalanceMove> {
    const shares = state.runners
      .filter(({ leaves, takes }) => takes && !leaves)
      .map((runner): Share => ({ ...runner, load: 0, held: 0, known: 0, shards: [] }))
    const byName = new Map(shares.map((share) => [share.name, share]))
    for (let shard = 1; shard <= state.shardCount; shard++) {
      const share = byName.get(state.holderOf(shard) ?? "")
      if (share === undefined) continue
      share.held++
      const average = this.#averages.get(shard)
      if (average === undefined || loadOf(shard) === undefined) continue
      share.known++
      share.load += average.load
      const alone = state.wishes.has(shard) || this.#restUntil.has(shard)
      if (!alone && average.looks >= looksMin) share.shards.push({ shard, load: average.load })
    }
    if (shares.some(({ held, known }) => known < knownShareMin * held)) return []
    return planStep(shares, state, movesMax)
  }
}

interface Share extends PlaceableRunner, LoadedShare<LoadedShard> {
  load: number
  held: number
  known: number
  readonly shards: Array<LoadedShard>
}

const loadOfShare = ({ load, weight }: Share): number => load / weight

/** From the busiest that a step helps, to the idlest that can take it. */
const planStep = (
  shares: ReadonlyArray<Share>,
  state: PlacementState,
  movesMax: number
): ReadonlyArray<BalanceMove> => {
  const weights = shares.reduce((sum, { weight }) => sum + weight, 0)
  const even = shares.reduce((sum, { load }) => sum + load, 0) / Math.max(weights, Number.MIN_VALUE)
  const byLoad = [...shares].sort((a, b) => loadOfShare(b) - loadOfShare(a) || (a.name < b.name ? -1 : 1))
  for (const high of byLoad) {
    if (loadOfShare(high) <= (1 + unevenMin) * even) break
    for (const low of byLoad.toReversed()) {
      const gainWanted = Math.max(gainOfEvenMin * even, gainMin / high.weight)
      if (loadOfShare(high) - loadOfShare(low) < gainWanted) break
      const step = bestStep(high, low, {
        alone: low.held / low.weight < high.held / high.weight,
        exchange: movesMax >= stepMovesMax
      })
      if (step === undefined || loadOfShare(high) - step.peak < gainWanted) continue
      const moves = [{ shard: step.give.shard, from: high.name, to: low.name }]
      if (step.take !== undefined) moves.push({ shard: step.take.shard, from: low.name, to: high.name })
      if (staysSo(state, moves)) return moves
    }
  }
  return []
}

/** Placement would leave everything where it is once the moves are done. */
const staysSo = (state: PlacementState, moves: ReadonlyArray<BalanceMove>): boolean => {
  const moved = new Map(moves.map(({ shard, to }) => [shard, to]))
  return asPlaced({ ...state, holderOf: (shard) => moved.get(shard) ?? state.holderOf(shard), balance: [] })
}

/** No shard is, or is to go, elsewhere than it is. */
const asPlaced = (state: PlacementState): boolean => {
  const placed = place(state)
  for (let shard = 1; shard <= state.shardCount; shard++) {
    if (placed[shard] === undefined || placed[shard] !== state.holderOf(shard)) return false
  }
  return true
}

/** What has to be unchanged for a while. */
interface World {
  readonly runners: string
  readonly holders: ReadonlyArray<string | undefined>
  readonly wishes: ReadonlyMap<number, string>
}

const worldOf = ({ holderOf, runners, shardCount, wishes }: PlacementState): World => ({
  runners: [...runners]
    .map(({ leaves, name, takes, weight }) => `${name} ${weight} ${takes} ${leaves}`)
    .sort()
    .join("\n"),
  holders: Array.from({ length: shardCount }, (_, at) => holderOf(at + 1)),
  wishes: new Map(wishes)
})

const same = (a: World, b: World): boolean =>
  a.runners === b.runners &&
  a.holders.length === b.holders.length &&
  a.holders.every((holder, at) => holder === b.holders[at]) &&
  a.wishes.size === b.wishes.size &&
  [...a.wishes].every(([shard, runner]) => b.wishes.get(shard) === runner)
