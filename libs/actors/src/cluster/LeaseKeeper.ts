/**
 * Holds the leases of one runner: sends its heartbeat, takes the shards that are placed here when nobody has them, gives
 * back those that are placed elsewhere, and says until when each may be served. Plain TypeScript out of Effect, because
 * what it is for is being on time.
 *
 * All shards of a runner live by its one heartbeat. Two runners never think at once that they hold a shard, whatever is
 * slow, as far as clocks run equally fast:
 * - The holder counts its deadline from before it sent the heartbeat that was answered, on the monotonic clock (†17).
 * - The others count from when they saw that heartbeat, which is later; and they count up to the sending of a heartbeat
 *   of their own that they have seen come back. What the holder wrote before that one they have seen by then, since all
 *   of it lies in one stream and they have caught up with it; what it wrote after came too late for its deadline.
 * - A holder whose deadline has passed serves nothing, and its heartbeat alone does not change that: it writes each
 *   shard's entry anew, at the revision it knows. Whoever took the shard has changed it; whoever would take it now has
 *   to know the new revision, and so has seen the heartbeat before it.
 * The lease decides who tries all the same; only the log decides who may write (SINGLE-WRITER).
 */
import { type Clocks, Lease, systemClocks } from "../owner/Lease.ts"
import type { LeaseBucket } from "./LeaseBucket.ts"
import { cordonKey, moveKey, type RunnerEntry, runnerKey, type ShardEntry, shardKey } from "./LeaseEntries.ts"
import type { LeaseTimings } from "./LeaseTimings.ts"
import type { LeaseChange, LeaseView } from "./LeaseView.ts"
import { place } from "./Placement.ts"

/** Shards that are handed over at once: each is away only for its own closing, not for that of all. */
const releasesMax = 8
/** Wait before a shard is tried again that was written by another meanwhile, unless the watch says sooner what happened. */
const takeRetryMs = 1_000

/** What comes of leases. `close` settles what is under way; `drop` does not, because somebody else has the shard. */
export interface LeasedShards {
  setLease(shard: number, deadline: number): void
  open(shard: number, epoch: number): void
  close(shard: number): Promise<void>
  drop(shard: number): void
}

interface Held {
  epoch: number
  revision: number
  /** The heartbeat is enough to go on serving; otherwise the entry has to be written anew first. */
  valid: boolean
  leaving: boolean
  /** The log put this runner out: it has to be opened again, under an epoch that the bucket agrees to. */
  out: boolean
  /** Writes of the entry, one after the other. */
  turn: Promise<void>
}

export interface LeaseKeeperOptions {
  readonly name: string
  readonly weight: number
  readonly shardCount: number
  readonly bucket: LeaseBucket
  readonly view: LeaseView
  readonly timings: LeaseTimings
  readonly shards: LeasedShards
  readonly log: (message: string, what: Record<string, unknown>) => void
  readonly clocks?: Clocks
}

export class LeaseKeeper {
  readonly name: string
  readonly #options: LeaseKeeperOptions
  readonly #timings: LeaseTimings
  readonly #clocks: Clocks
  readonly #held = new Map<number, Held>()
  /** Shards whose entries are being written for having or giving back. */
  readonly #writing = new Set<number>()
  /** The last epoch under which each shard was held here. */
  readonly #epochs = new Map<number, number>()
  /** When a shard is tried again that could not be had. */
  readonly #notBefore = new Map<number, number>()
  readonly #beatsSent = new Map<number, number>()
  readonly #startedAt: number
  #state: RunnerEntry["state"] = "active"
  #beat = 0
  #beatSentAt = 0
  /** When the newest heartbeat was sent that came back through the watch. */
  #provenUpTo = -Infinity
  #lease: Lease
  #deadline = -Infinity
  #stepPlanned = false
  #timer: ReturnType<typeof setInterval> | undefined
  #unwatch: (() => void) | undefined
  readonly #idle = new Set<() => void>()

  constructor(options: LeaseKeeperOptions) {
    this.name = options.name
    this.#options = options
    this.#timings = options.timings
    this.#clocks = options.clocks ?? systemClocks
    this.#startedAt = this.#now
    this.#lease = new Lease(-Infinity, this.#clocks)
  }

  get #now(): number {
    return this.#clocks.monotonic()
  }

  /** Shards whose leases are here, whether they may be served now or not. */
  get held(): ReadonlyArray<number> {
    return [...this.#held.keys()]
  }

  /** A heartbeat has come back, and with it all that was in the bucket before. */
  get proven(): boolean {
    return this.#provenUpTo !== -Infinity
  }

  holds(shard: number, epoch: number): boolean {
    const held = this.#held.get(shard)
    return held !== undefined && held.epoch === epoch && !held.leaving
  }

  start(): void {
    this.#unwatch = this.#options.view.onChange((change) => this.#changed(change))
    this.#timer = setInterval(() => this.#tick(), this.#timings.tickMs)
    void this.#sendBeat()
  }

  /** Stops at once, as a crash does: the leases end by themselves. */
  stop(): void {
    clearInterval(this.#timer)
    this.#unwatch?.()
    this.#timer = undefined
  }

  /** Hands all shards over; done when none is left, or `drainMsMax` is over. */
  async drain(): Promise<void> {
    if (this.#timer === undefined) return
    if (this.#state === "active") {
      this.#state = "draining"
      await this.#sendBeat()
      this.#step()
    }
    if (this.#held.size === 0) return
    await new Promise<void>((done) => {
      const bound = setTimeout(done, this.#timings.drainMsMax)
      this.#idle.add(() => {
        clearTimeout(bound)
        done()
      })
    })
  }

  /** Nothing is held any more, or will be: says so and stops. */
  async leave(): Promise<void> {
    if (this.#timer === undefined) return
    await this.drain()
    this.#state = "gone"
    await this.#sendBeat()
    this.stop()
  }

  /**
   * The shard is served under this epoch. Where the log knew of a later one than the bucket, the bucket is told, for those
   * who ask it whom to call.
   */
  served(shard: number, epoch: number): void {
    const held = this.#held.get(shard)
    if (held !== undefined && held.epoch < epoch) this.#rewrite(shard, held, epoch)
  }

  /** The log put this runner out of the shard. If the lease is still here, it serves again, under a new epoch (†23). */
  lost(shard: number): void {
    const held = this.#held.get(shard)
    if (held === undefined || held.leaving || held.out) return
    held.out = true
    this.#suspend(shard, held)
    this.#rewrite(shard, held, held.epoch + 1)
  }

  #suspend(shard: number, held: Held): void {
    held.valid = false
    this.#options.shards.setLease(shard, -Infinity)
  }

  // --- Heartbeats ---

  #tick(): void {
    const now = this.#now
    if (now - this.#beatSentAt >= this.#timings.beatMs || this.#proofWanted(now)) void this.#sendBeat()
    // A shard may have become free by silence alone.
    this.#planStep()
    this.#tidy(now)
  }

  /** Somebody has been silent for so long that a heartbeat of one's own, seen now, would prove him dead. */
  #proofWanted(now: number): boolean {
    if (now - this.#beatSentAt < this.#timings.tickMs) return false
    for (const [name, { seenAt, state }] of this.#options.view.runners) {
      const freeAt = seenAt + this.#timings.leaseMs + this.#timings.marginMs
      if (name !== this.name && state !== "gone" && now > freeAt && this.#beatSentAt < freeAt) return true
    }
    return false
  }

  async #sendBeat(): Promise<void> {
    const beat = ++this.#beat
    const sentAt = this.#now
    const lease = new Lease(sentAt + this.#timings.leaseMs, this.#clocks)
    this.#beatSentAt = sentAt
    this.#beatsSent.set(beat, sentAt)
    const { bucket, log, weight } = this.#options
    try {
      await bucket.put(runnerKey(this.name), { state: this.#state, weight, beat } satisfies RunnerEntry)
    } catch (error) {
      log("heartbeat not answered", { error: String(error) })
      return
    }
    // An answer that took so long, or a suspended machine: the others may have counted it out.
    if (lease.held) this.#answered(lease, sentAt + this.#timings.leaseMs)
  }

  #answered(lease: Lease, deadline: number): void {
    if (!this.#lease.held) for (const held of this.#held.values()) held.valid = false
    if (deadline > this.#deadline || !this.#lease.held) {
      this.#deadline = deadline
      this.#lease = lease
    }
    for (const [shard, held] of this.#held) {
      if (held.valid) this.#options.shards.setLease(shard, this.#deadline)
      else this.#rewrite(shard, held, held.out ? held.epoch + 1 : held.epoch)
    }
    this.#planStep()
  }

  // --- What the bucket says ---

  #changed(change: LeaseChange): void {
    if (change._tag === "Shard") {
      this.#notBefore.delete(change.shard)
      this.#shardChanged(change.shard)
    }
    if (change._tag === "CaughtUp") this.#beatSeen()
    this.#planStep()
  }

  #beatSeen(): void {
    const beat = this.#options.view.runners.get(this.name)?.beat ?? 0
    this.#provenUpTo = Math.max(this.#provenUpTo, this.#beatsSent.get(beat) ?? -Infinity)
    for (const sent of this.#beatsSent.keys()) if (sent < beat) this.#beatsSent.delete(sent)
  }

  #shardChanged(shard: number): void {
    const held = this.#held.get(shard)
    const seen = this.#options.view.shards.get(shard)
    if (held === undefined || seen === undefined || seen.revision <= held.revision) return
    if (seen.runner === this.name) {
      // A write of ours whose answer is still on its way, or never came.
      held.revision = seen.revision
      held.epoch = seen.epoch
      this.#epochs.set(shard, seen.epoch)
      return
    }
    this.#dropped(shard)
  }

  #dropped(shard: number): void {
    this.#held.delete(shard)
    this.#options.log("shard taken by another runner", { shard })
    this.#options.shards.drop(shard)
    this.#told()
  }

  #alive(name: string): boolean {
    if (name === this.name) return true
    const seen = this.#options.view.runners.get(name)
    return seen !== undefined && seen.state !== "gone" && !this.#silentSince(seen.seenAt)
  }

  #silentSince(seenAt: number): boolean {
    return this.#provenUpTo >= seenAt + this.#timings.leaseMs + this.#timings.marginMs
  }

  /** Nobody holds it, or one whose silence is proven. */
  #free(shard: number): boolean {
    const seen = this.#options.view.shards.get(shard)
    if (seen === undefined || seen.runner === "" || seen.runner === this.name) return true
    const runner = this.#options.view.runners.get(seen.runner)
    return runner === undefined ? this.#silentSince(seen.seenAt) : runner.state === "gone" || !this.#alive(seen.runner)
  }

  // --- Taking and giving back ---

  #planStep(): void {
    if (this.#stepPlanned || this.#timer === undefined) return
    this.#stepPlanned = true
    setImmediate(() => {
      this.#stepPlanned = false
      this.#step()
    })
  }

  #step(): void {
    const { shardCount, view } = this.#options
    if (this.#timer === undefined || !this.#lease.held || !view.caughtUp || !this.proven) return
    const placed = this.#placement()
    const now = this.#now
    const settled = now - this.#startedAt >= this.#timings.settleMs
    let leaving = 0
    for (const held of this.#held.values()) if (held.leaving) leaving++
    for (let shard = 1; shard <= shardCount; shard++) {
      const held = this.#held.get(shard)
      const here = placed[shard] === this.name
      if (held !== undefined) {
        if (here || !held.valid || held.leaving || leaving >= releasesMax) continue
        leaving++
        void this.#release(shard, held)
      } else if (!this.#writing.has(shard) && (this.#notBefore.get(shard) ?? 0) <= now) {
        if (here && this.#given(shard)) this.#adopt(shard)
        else if (here && settled && this.#free(shard)) void this.#take(shard)
        // A write of ours came through whose answer did not.
        else if (!here && view.shards.get(shard)?.runner === this.name) void this.#give(shard)
      }
    }
  }

  #placement(): ReadonlyArray<string | undefined> {
    const { shardCount, view, weight } = this.#options
    const others = [...view.runners].filter(([name]) => name !== this.name && this.#alive(name))
    const runners = [[this.name, { state: this.#state, weight }] as const, ...others]
    return place({
      shardCount,
      runners: runners.map(([name, runner]) => ({
        name,
        weight: runner.weight,
        takes: runner.state === "active" && !view.cordoned.has(name),
        leaves: runner.state !== "active"
      })),
      holderOf: (shard) => (this.#held.has(shard) ? this.name : view.shards.get(shard)?.runner),
      wishes: view.moves
    })
  }

  async #take(shard: number): Promise<void> {
    const seen = this.#options.view.shards.get(shard)
    const epoch = (seen?.epoch ?? 0) + 1
    const revision = await this.#write(shard, { runner: this.name, epoch }, seen?.revision ?? 0)
    if (revision !== undefined && this.#timer !== undefined) this.#begin(shard, epoch, revision)
  }

  /** Its last holder wrote the entry for this runner, or a write of ours came through whose answer did not. */
  #given(shard: number): boolean {
    const seen = this.#options.view.shards.get(shard)
    // Never again under an epoch that was closed (†23).
    return seen?.runner === this.name && seen.epoch > (this.#epochs.get(shard) ?? 0)
  }

  #adopt(shard: number): void {
    const seen = this.#options.view.shards.get(shard)
    if (seen !== undefined) this.#begin(shard, seen.epoch, seen.revision)
  }

  #begin(shard: number, epoch: number, revision: number): void {
    const { shards } = this.#options
    const valid = this.#lease.held
    this.#held.set(shard, { epoch, revision, valid, leaving: false, out: false, turn: Promise.resolve() })
    this.#epochs.set(shard, epoch)
    // It may have been overtaken already.
    this.#shardChanged(shard)
    if (!this.#held.has(shard)) return
    if (valid) shards.setLease(shard, this.#deadline)
    shards.open(shard, epoch)
  }

  async #give(shard: number): Promise<void> {
    const seen = this.#options.view.shards.get(shard)
    if (seen !== undefined) await this.#write(shard, { runner: "", epoch: seen.epoch }, seen.revision)
  }

  /** The entry of a shard that is not held; undefined: not written, or nobody knows, and the watch tells. */
  async #write(shard: number, entry: ShardEntry, revision: number): Promise<number | undefined> {
    this.#writing.add(shard)
    try {
      const written = await this.#options.bucket.swap(shardKey(shard), entry, revision)
      if (typeof written === "number") return written
    } catch (error) {
      this.#options.log("shard's entry not written", { shard, error: String(error) })
    } finally {
      this.#writing.delete(shard)
    }
    this.#notBefore.set(shard, this.#now + takeRetryMs)
    return undefined
  }

  /** Writes the entry of a shard that is held, at the revision that is known: it is ours still, or it has been taken. */
  #rewrite(shard: number, held: Held, epoch: number): void {
    held.turn = held.turn.then(async () => {
      if (this.#held.get(shard) !== held || held.leaving) return
      const { bucket, log, shards } = this.#options
      try {
        const revision = await bucket.swap(shardKey(shard), { runner: this.name, epoch }, held.revision)
        if (this.#held.get(shard) !== held) return
        // Taken, or an earlier write of ours whose answer was lost: the watch tells, and the next heartbeat tries again.
        if (typeof revision !== "number") return this.#suspend(shard, held)
        held.revision = revision
        held.epoch = epoch
        this.#epochs.set(shard, epoch)
        held.valid = this.#lease.held
        if (held.valid) shards.setLease(shard, this.#deadline)
        if (held.out) {
          held.out = false
          shards.open(shard, epoch)
        }
      } catch (error) {
        log("shard's lease not written", { shard, error: String(error) })
      }
    })
  }

  async #release(shard: number, held: Held): Promise<void> {
    held.leaving = true
    await held.turn
    // The lease is refreshed while it closes: what is under way may be settled.
    await this.#options.shards.close(shard)
    if (this.#held.get(shard) === held) {
      // To whom it is to have, in one write; he need not take it then.
      const next = this.#placement()[shard]
      const entry =
        next === undefined || next === this.name
          ? { runner: "", epoch: held.epoch }
          : { runner: next, epoch: held.epoch + 1 }
      this.#held.delete(shard)
      await this.#write(shard, entry, held.revision)
    }
    this.#told()
    this.#planStep()
  }

  #told(): void {
    if (this.#held.size > 0) return
    for (const done of this.#idle) done()
    this.#idle.clear()
  }

  /** Who has been silent for long is no longer known, and what was wished of him neither. */
  #tidy(now: number): void {
    const { bucket, log, view } = this.#options
    for (const [name, { seenAt }] of view.runners) {
      if (name === this.name || now - seenAt < this.#timings.forgetMs || !this.#silentSince(seenAt)) continue
      view.forget(name)
      const keys = [runnerKey(name)]
      if (view.cordoned.has(name)) keys.push(cordonKey(name))
      for (const [shard, wished] of view.moves) if (wished === name) keys.push(moveKey(shard))
      for (const key of keys) {
        bucket.remove(key).catch((error: unknown) => log("entry not removed", { key, error: String(error) }))
      }
    }
  }
}
