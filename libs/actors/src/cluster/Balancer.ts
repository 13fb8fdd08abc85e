/**
 * Has shards moved because of what they have to do. Every runner that takes part looks at the cluster (`LoadBalance`); the
 * one with the lowest name writes the next step into the bucket, where all runners carry it out as they do placement, and
 * takes it out again when it is done. Two that act at once for a moment write at the same revision, and one is refused.
 * Who dies halfway leaves a step that goes on without him, and that the next one takes out.
 */
import { conflict, contended, type LeaseWrites } from "./LeaseBucket.ts"
import { balanceKey, type BalanceEntry } from "./LeaseEntries.ts"
import type { LeaseView } from "./LeaseView.ts"
import { type BalanceLook, begun, ended, LoadBalance, lookMs } from "./LoadBalance.ts"
import type { PlacementState } from "./Placement.ts"

export interface BalancerOptions {
  readonly name: string
  readonly bucket: LeaseWrites
  readonly view: LeaseView
  /** As this runner's keeper of leases has seen it. */
  readonly state: () => PlacementState | undefined
  readonly loadOf: BalanceLook["loadOf"]
  readonly now: () => number
  readonly log: (message: string, what: Record<string, unknown>) => void
}

export class Balancer {
  /** Moves that this process had begun, and what became of those that it saw the end of. */
  readonly counts = { begun: 0, done: 0, givenUp: 0 }
  readonly #options: BalancerOptions
  readonly #balance = new LoadBalance()
  #writing = false
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(options: BalancerOptions) {
    this.#options = options
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), lookMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    const { loadOf, name, now, state: stateOf, view } = this.#options
    const state = stateOf()
    if (state === undefined || this.#writing) return
    const entry = view.balance
    const decision = this.#balance.look({ now: now(), state, loadOf, entry })
    if (decision._tag === "Rest" || leaderOf(state) !== name) return
    const { moves } = entry
    void (decision._tag === "Begin"
      ? this.#write(begun(entry, decision.moves), () => {
          this.counts.begun += decision.moves.length
          for (const move of decision.moves) this.#options.log("shard moves because of its load", { ...move })
        })
      : this.#write(ended(entry), () => {
          this.counts[decision.done ? "done" : "givenUp"] += moves.length
        }))
  }

  async #write(entry: BalanceEntry, written: () => void): Promise<void> {
    const { bucket, log, view } = this.#options
    this.#writing = true
    try {
      const revision = await bucket.swap(balanceKey, entry, view.revisionOf(balanceKey))
      if (revision !== conflict && revision !== contended) written()
    } catch (error) {
      // Whether it was written, the watch tells.
      log("step of balancing not written", { error: String(error) })
    } finally {
      this.#writing = false
    }
  }
}

/** Of those that take part and stay. */
const leaderOf = ({ runners }: PlacementState): string | undefined =>
  runners
    .filter(({ balances, leaves }) => balances && !leaves)
    .map(({ name }) => name)
    .sort()[0]
