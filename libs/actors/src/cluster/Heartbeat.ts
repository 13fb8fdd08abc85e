/**
 * A runner's heartbeat: one entry by which all of its leases live. It knows until when this runner may serve, and of which
 * others the silence is proven, so that their leases are over.
 *
 * Two runners never think at once that a lease is theirs, whatever is slow, as far as clocks run equally fast:
 * - The holder counts its deadline from before it sent the heartbeat that was answered, on the monotonic clock (†17).
 * - The others count from when they saw that heartbeat, which is later; and they count up to the sending of a heartbeat
 *   of their own that they have seen come back. What the holder wrote before that one they have seen by then, since all
 *   of it lies in one stream and they have caught up with it; what it wrote after came too late for its deadline.
 * - A holder whose deadline has passed serves nothing, and a heartbeat alone does not change that for what it had before
 *   (`since`): that has to be written anew, at the revision that is known. Who took it meanwhile has changed it; who
 *   would take it now has to know the new revision, and so has seen the heartbeat.
 */
import { type Clocks, Lease } from "../owner/Lease.ts"
import { type RunnerEntry, runnerKey } from "./LeaseEntries.ts"
import type { LeaseTimings } from "./LeaseTimings.ts"
import type { LeaseView } from "./LeaseView.ts"

export interface HeartbeatOptions {
  readonly name: string
  readonly weight: number
  readonly balances: boolean
  readonly works?: boolean
  readonly view: LeaseView
  readonly timings: LeaseTimings
  readonly clocks: Clocks
  /** Answers the revision. */
  readonly write: (key: string, entry: RunnerEntry) => Promise<number>
  readonly log: (message: string, what: Record<string, unknown>) => void
  /** The deadline was moved on. */
  readonly onAnswered: () => void
}

export class Heartbeat {
  readonly #options: HeartbeatOptions
  readonly #sent = new Map<number, number>()
  #state: RunnerEntry["state"] = "active"
  #beat = 0
  #sentAt = -Infinity
  /** When the newest heartbeat was sent that came back through the watch. */
  #provenUpTo = -Infinity
  #lease: Lease
  #since = Infinity

  constructor(options: HeartbeatOptions) {
    this.#options = options
    this.#lease = new Lease(-Infinity, options.clocks)
  }

  get state(): RunnerEntry["state"] {
    return this.#state
  }

  /** This runner's leases hold at this moment. */
  get held(): boolean {
    return this.#lease.held
  }

  /** The lease that the last answered heartbeat gave, from before that was sent. */
  get lease(): Lease {
    return this.#lease
  }

  /**
   * The bucket's revision since which heartbeats have never been late. Whoever has seen something that was written after
   * it has seen that this runner lives; what was written before, another may have taken unseen.
   */
  get since(): number {
    return this.#since
  }

  /** A heartbeat has come back, and with it all that was in the bucket before. */
  get proven(): boolean {
    return this.#provenUpTo !== -Infinity
  }

  async setState(state: RunnerEntry["state"]): Promise<void> {
    this.#state = state
    await this.#send()
  }

  tick(): void {
    const now = this.#options.clocks.monotonic()
    if (now - this.#sentAt >= this.#options.timings.beatMs || this.#proofWanted(now)) void this.#send()
  }

  /** The view has caught up with the bucket: our own newest entry there proves what is before it. */
  caughtUp(): void {
    const beat = this.#options.view.runners.get(this.#options.name)?.beat ?? 0
    this.#provenUpTo = Math.max(this.#provenUpTo, this.#sent.get(beat) ?? -Infinity)
    for (const sent of this.#sent.keys()) if (sent < beat) this.#sent.delete(sent)
  }

  alive(name: string): boolean {
    if (name === this.#options.name) return true
    const seen = this.#options.view.runners.get(name)
    return seen !== undefined && seen.state !== "gone" && !this.silentSince(seen.seenAt)
  }

  /** Nothing came since then for longer than a lease lasts. */
  silentSince(seenAt: number): boolean {
    const { leaseMs, marginMs } = this.#options.timings
    return this.#provenUpTo >= seenAt + leaseMs + marginMs
  }

  /** Somebody has been silent for so long that a heartbeat of one's own, seen now, would prove it. */
  #proofWanted(now: number): boolean {
    const { name: self, timings, view } = this.#options
    for (const [name, { seenAt, state }] of view.runners) {
      const freeAt = seenAt + timings.leaseMs + timings.marginMs
      if (name !== self && state !== "gone" && now > freeAt && this.#sentAt < freeAt) return true
    }
    return false
  }

  async #send(): Promise<void> {
    const { balances, clocks, log, name, timings, weight, works = true, write } = this.#options
    const beat = ++this.#beat
    const sentAt = clocks.monotonic()
    const lease = new Lease(sentAt + timings.leaseMs, clocks)
    this.#sentAt = sentAt
    this.#sent.set(beat, sentAt)
    let revision: number
    try {
      revision = await write(runnerKey(name), {
        state: this.#state,
        weight,
        beat,
        balances,
        ...(works ? {} : { works })
      })
    } catch (error) {
      log("heartbeat not answered", { error: String(error) })
      return
    }
    // An answer that took so long, or a suspended machine: the others may have counted it out.
    if (!lease.held) return
    if (!this.#lease.held) this.#since = revision
    if (!this.#lease.held || lease.deadline > this.#lease.deadline) this.#lease = lease
    this.#options.onAnswered()
  }
}
