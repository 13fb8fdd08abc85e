/**
 * Holds the leases of one runner: takes the shards that are placed here when nobody has them, gives back those that are
 * placed elsewhere, and says until when each may be served. Plain TypeScript out of Effect, because what it is for is
 * being on time.
 *
 * All of its leases live by one heartbeat, and which of them are good after that was late is said there (`Heartbeat`).
 * The lease decides who tries; only the log decides who may write (SINGLE-WRITER).
 */
import { type Clocks, Lease, systemClocks } from "../owner/Lease.ts"
import { Handovers } from "./Handovers.ts"
import { Heartbeat } from "./Heartbeat.ts"
import type { LeaseWrites } from "./LeaseBucket.ts"
import { cordonKey, moveKey, runnerKey, type ShardEntry, shardKey, workerKey } from "./LeaseEntries.ts"
import type { LeaseTimings } from "./LeaseTimings.ts"
import type { LeaseChange, LeaseView } from "./LeaseView.ts"
import { place, type PlacementState } from "./Placement.ts"

/** Shards that are handed over at once: each is away only for its own closing and opening, not for that of all. */
export const releasesMax = 2
/** Wait before a shard is tried again that was written by another meanwhile, unless the watch says sooner what happened. */
const takeRetryMs = 1_000

/** What comes of leases. `close` settles what is under way; `drop` does not, because somebody else has the shard. */
export interface LeasedShards {
  setLease(shard: number, lease: Lease): void
  open(shard: number, epoch: number): void
  close(shard: number): Promise<void>
  drop(shard: number): void
}

interface Held {
  epoch: number
  revision: number
  /** The bucket has another revision, by a write of ours or of somebody else: the watch is to tell. */
  doubted: boolean
  leaving: boolean
  /** The log put this runner out: it has to be opened again, under an epoch that the bucket agrees to. */
  out: boolean
  /** The largest epoch under which the entry was written here, answered or not. */
  asked: number
  /** Writes of the entry, one after the other. */
  turn: Promise<void>
}

export interface LeaseKeeperOptions {
  readonly name: string
  readonly weight: number
  /** It carries out moves that are made because of loads; they are made only where all runners do. */
  readonly balances: boolean
  /** False: it leaves the consumers of its shards' logs to workers. */
  readonly works?: boolean
  readonly shardCount: number
  readonly bucket: LeaseWrites
  readonly view: LeaseView
  readonly timings: LeaseTimings
  readonly shards: LeasedShards
  readonly log: (message: string, what: Record<string, unknown>) => void
  readonly clocks?: Clocks
  /**
   * Tells of shards that other runners have begun to serve, until what it returns is called. Without it the next shard is
   * handed over as soon as the last one is given, whether it is served or not.
   */
  readonly onServed?: (served: (shard: number) => void) => () => void
}

export class LeaseKeeper {
  readonly name: string
  readonly #options: LeaseKeeperOptions
  readonly #timings: LeaseTimings
  readonly #clocks: Clocks
  readonly #held = new Map<number, Held>()
  /** Shards whose entries are being written for having or giving back. */
  readonly #writing = new Set<number>()
  /** To whom shards are on their way: they count as his until the bucket says what became of them. */
  readonly #going = new Map<number, { readonly to: string; readonly held: Held }>()
  /** Since when shards are to go for the sake of evenness alone. */
  readonly #unevenSince = new Map<number, number>()
  /** The last epoch under which each shard was held here. */
  readonly #epochs = new Map<number, number>()
  /** When a shard is tried again that could not be had. */
  readonly #notBefore = new Map<number, number>()
  readonly #handovers = new Handovers()
  readonly #heartbeat: Heartbeat
  readonly #startedAt: number
  #stepPlanned = false
  #timer: ReturnType<typeof setInterval> | undefined
  #unwatch: (() => void) | undefined
  #unhear: (() => void) | undefined
  /** Those who wait for the drain. */
  readonly #waiting = new Set<() => void>()

  constructor(options: LeaseKeeperOptions) {
    this.name = options.name
    this.#options = options
    this.#timings = options.timings
    this.#clocks = options.clocks ?? systemClocks
    this.#startedAt = this.#now
    this.#heartbeat = new Heartbeat({
      ...options,
      clocks: this.#clocks,
      write: (key, entry) => options.bucket.put(key, entry),
      onAnswered: () => this.#answered()
    })
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
    return this.#heartbeat.proven
  }

  /** What placement is made from, as this runner has seen it; undefined: it has not seen enough, or serves nothing now. */
  get placementState(): PlacementState | undefined {
    const { view } = this.#options
    return this.#timer !== undefined && this.#heartbeat.held && view.caughtUp && this.proven ? this.#state() : undefined
  }

  holds(shard: number, epoch: number): boolean {
    const held = this.#held.get(shard)
    return held !== undefined && held.epoch === epoch && !held.leaving
  }

  start(): void {
    this.#unwatch = this.#options.view.onChange((change) => this.#changed(change))
    this.#unhear = this.#options.onServed?.((shard) => {
      if (this.#handovers.served(shard)) this.#planStep()
    })
    this.#timer = setInterval(() => this.#tick(), this.#timings.tickMs)
    this.#tick()
  }

  /** Stops at once, as a crash does: the leases end by themselves. */
  stop(): void {
    clearInterval(this.#timer)
    this.#unwatch?.()
    this.#unhear?.()
    this.#timer = undefined
  }

  /** Hands all shards over; done when none is left, none can be handed over any more, or `drainMsMax` is over. */
  async drain(): Promise<void> {
    if (this.#timer === undefined) return
    if (this.#heartbeat.state === "active") {
      await this.#heartbeat.setState("draining")
      this.#step()
    }
    if (this.#drained) return
    await new Promise<void>((done) => {
      const bound = setTimeout(done, this.#timings.drainMsMax)
      this.#waiting.add(() => {
        clearTimeout(bound)
        done()
      })
    })
  }

  /** Drains, says that nothing is held here any more, and stops. */
  async leave(): Promise<void> {
    if (this.#timer === undefined) return
    await this.drain()
    for (const shard of this.held) this.#drop(shard)
    await this.#heartbeat.setState("gone")
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
    this.#suspend(shard)
    this.#rewrite(shard, held, held.epoch + 1)
  }

  /** The heartbeat is enough to go on serving. */
  #good(held: Held): boolean {
    return !held.doubted && !held.out && held.revision > this.#heartbeat.since
  }

  #serve(shard: number): void {
    this.#options.shards.setLease(shard, this.#heartbeat.lease)
  }

  #suspend(shard: number): void {
    this.#options.shards.setLease(shard, new Lease(-Infinity, this.#clocks))
  }

  #tick(): void {
    this.#heartbeat.tick()
    // A shard may have become free by silence alone.
    this.#planStep()
    this.#tellDrained()
    this.#tidy(this.#now)
  }

  #answered(): void {
    for (const [shard, held] of this.#held) {
      if (this.#good(held)) this.#serve(shard)
      else this.#rewrite(shard, held, held.out ? held.epoch + 1 : held.epoch)
    }
    this.#planStep()
  }

  #changed(change: LeaseChange): void {
    if (change._tag === "Worker") return
    if (change._tag === "Shard") {
      this.#notBefore.delete(change.shard)
      this.#shardChanged(change.shard)
    }
    if (change._tag === "CaughtUp") this.#heartbeat.caughtUp()
    this.#planStep()
  }

  #shardChanged(shard: number): void {
    const held = this.#held.get(shard)
    const seen = this.#options.view.shards.get(shard)
    if (held === undefined || seen === undefined || seen.revision <= held.revision) return
    if (seen.runner === this.name && seen.epoch <= held.asked) {
      // A write of ours whose answer is still on its way, or never came.
      held.revision = seen.revision
      held.epoch = seen.epoch
      held.doubted = false
      this.#epochs.set(shard, seen.epoch)
      return
    }
    // Somebody else had it, or has given it back already: a watch that was behind tells of the last entry only. Then it is
    // opened anew, for what was written in between is not known here.
    const gaveItBack = seen.runner === this.name
    this.#options.log(gaveItBack ? "shard was another runner's meanwhile" : "shard taken by another runner", {
      shard,
      ...(gaveItBack ? { epoch: seen.epoch } : { runner: seen.runner })
    })
    this.#drop(shard)
  }

  #drop(shard: number): void {
    this.#held.delete(shard)
    this.#going.delete(shard)
    this.#options.shards.drop(shard)
    this.#tellDrained()
  }

  /** Nobody holds it, or one whose silence is proven. */
  #free(shard: number): boolean {
    const seen = this.#options.view.shards.get(shard)
    if (seen === undefined || seen.runner === "" || seen.runner === this.name) return true
    const runner = this.#options.view.runners.get(seen.runner)
    return runner === undefined ? this.#heartbeat.silentSince(seen.seenAt) : !this.#heartbeat.alive(seen.runner)
  }

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
    if (this.#timer === undefined || !this.#heartbeat.held || !view.caughtUp || !this.proven) return
    const placed = this.#placement()
    const now = this.#now
    const settled = now - this.#startedAt >= this.#timings.settleMs
    let leaving = this.#handovers.count(now)
    for (const held of this.#held.values()) if (held.leaving) leaving++
    for (let shard = 1; shard <= shardCount; shard++) {
      const held = this.#held.get(shard)
      const here = placed[shard] === this.name
      if (held !== undefined) {
        if (here) this.#unevenSince.delete(shard)
        if (here || !this.#good(held) || held.leaving || leaving >= releasesMax || !this.#due(shard, now)) continue
        leaving++
        const to = placed[shard]
        if (to !== undefined) this.#going.set(shard, { to, held })
        void this.#release(shard, held)
      } else if (!this.#writing.has(shard) && (this.#notBefore.get(shard) ?? 0) <= now) {
        if (here && this.#given(shard)) this.#adopt(shard)
        else if (here && settled && this.#free(shard)) void this.#take(shard)
        // A write of ours came through whose answer did not.
        else if (!here && view.shards.get(shard)?.runner === this.name) void this.#give(shard)
      }
    }
  }

  /**
   * What an operator wishes and what a drain asks for is due at once. What counts alone ask for is when they have asked for
   * a while: wishes that belong together are seen one after the other, and nobody is to even out what is half seen.
   */
  #due(shard: number, now: number): boolean {
    const { timings, view } = this.#options
    if (this.#heartbeat.state !== "active" || view.moves.has(shard)) return true
    const since = this.#unevenSince.get(shard) ?? now
    this.#unevenSince.set(shard, since)
    return now - since >= timings.settleMs
  }

  #placement(): ReadonlyArray<string | undefined> {
    return place(this.#state())
  }

  #state(): PlacementState {
    const { balances, shardCount, view, weight } = this.#options
    const others = [...view.runners].filter(([name]) => name !== this.name && this.#heartbeat.alive(name))
    const runners = [[this.name, { state: this.#heartbeat.state, weight, balances }] as const, ...others]
    const takers = new Set<string>()
    for (const [name, { state }] of runners) {
      if (state === "active" && !view.cordoned.has(name)) takers.add(name)
    }
    return {
      shardCount,
      runners: runners.map(([name, runner]) => ({
        name,
        weight: runner.weight,
        takes: takers.has(name),
        leaves: runner.state !== "active",
        balances: runner.balances ?? false
      })),
      holderOf: (shard) => {
        const seen = view.shards.get(shard)
        const going = this.#going.get(shard)
        if (going !== undefined && (seen?.revision ?? 0) <= going.held.revision && takers.has(going.to)) return going.to
        return this.#held.has(shard) ? this.name : seen?.runner
      },
      wishes: view.moves,
      balance: view.balance.moves
    }
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
    const held = { epoch, revision, doubted: false, leaving: false, out: false, asked: epoch, turn: Promise.resolve() }
    this.#held.set(shard, held)
    this.#going.delete(shard)
    this.#unevenSince.delete(shard)
    this.#epochs.set(shard, epoch)
    // It may have been overtaken already.
    this.#shardChanged(shard)
    if (this.#held.get(shard) !== held) return
    if (this.#good(held)) this.#serve(shard)
    else this.#rewrite(shard, held, epoch)
    this.#options.shards.open(shard, epoch)
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
  #rewrite(shard: number, held: Held, epochAtLeast: number): void {
    held.turn = held.turn.then(async () => {
      if (this.#held.get(shard) !== held || held.leaving) return
      const { bucket, log, shards } = this.#options
      const epoch = Math.max(epochAtLeast, held.epoch)
      held.asked = Math.max(held.asked, epoch)
      try {
        const revision = await bucket.swap(shardKey(shard), { runner: this.name, epoch }, held.revision)
        if (this.#held.get(shard) !== held) return
        // Taken, or an earlier write of ours whose answer was lost. The next heartbeat tries again.
        if (typeof revision !== "number") {
          held.doubted = true
          return this.#suspend(shard)
        }
        const out = held.out
        this.#epochs.set(shard, epoch)
        Object.assign(held, { epoch, revision, doubted: false, out: false })
        if (this.#good(held)) this.#serve(shard)
        if (out) shards.open(shard, epoch)
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
      if (entry.runner !== "" && this.#unhear !== undefined) this.#handovers.begun(shard, this.#now)
      // Not written, or nobody knows: the watch is to tell.
      if ((await this.#write(shard, entry, held.revision)) === undefined) this.#going.delete(shard)
    }
    this.#tellDrained()
    this.#planStep()
  }

  /** Nothing is left to hand over; without a lease others take it by themselves. */
  get #drained(): boolean {
    return this.#heartbeat.state !== "active" && (this.#held.size === 0 || !this.#heartbeat.held)
  }

  #tellDrained(): void {
    if (!this.#drained) return
    for (const done of this.#waiting) done()
    this.#waiting.clear()
  }

  /** Who has been silent for long is no longer known, and what was wished of him neither. */
  #tidy(now: number): void {
    const { bucket, log, view } = this.#options
    const remove = (key: string): void => {
      bucket.remove(key).catch((error: unknown) => log("entry not removed", { key, error: String(error) }))
    }
    for (const [name, { seenAt }] of view.runners) {
      if (name === this.name || now - seenAt < this.#timings.forgetMs || !this.#heartbeat.silentSince(seenAt)) continue
      view.forget(name)
      const keys = [runnerKey(name)]
      if (view.cordoned.has(name)) keys.push(cordonKey(name))
      for (const [shard, wished] of view.moves) if (wished === name) keys.push(moveKey(shard))
      for (const key of keys) remove(key)
    }
    for (const [name, { seenAt }] of view.workers) {
      if (now - seenAt < this.#timings.forgetMs || !this.#heartbeat.silentSince(seenAt)) continue
      view.forgetWorker(name)
      remove(workerKey(name))
    }
  }
}
