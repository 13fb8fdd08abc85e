/**
 * A runner: the shards that one process owns, their links, and what they need. Opening a shard takes it over in the
 * log; closing it stops answering first, then settles what is under way (†23). The lease that lets it try is somebody
 * else's business (`cluster/`); whether it may write is the log's.
 */
import { Effect, Option } from "effect"
import type { EventLog, LogPosition, LogUnavailable } from "@parley/storage/EventLog"
import { memberFanoutConsumer, persisterConsumer } from "../fanout/ConsumerNames.ts"
import { OwnerLinks } from "../fanout/OwnerLink.ts"
import { openShard, type OpenShardError } from "../log/Takeover.ts"
import { ColdChannels } from "./ColdChannels.ts"
import { type Clocks, Lease, systemClocks } from "./Lease.ts"
import type { LocalRunner } from "./LocalRunner.ts"
import { type OwnerBounds, type OwnerContext, ownerBoundsDefault, type OwnerStores } from "./OwnerContext.ts"
import type { Attach, Attached, Detach, LinkMessage, OwnerReply, OwnerRequest } from "./OwnerProtocol.ts"
import { ShardOwner } from "./ShardOwner.ts"
import { StoreGate } from "./StoreGate.ts"
import { UnconsumedChecks } from "./UnconsumedChecks.ts"

/** Time between two ticks of the shards (typing signs, presence, cursors, checkpoints), and between link heartbeats. */
export const ownerTickMs = 500
export const linkHeartbeatMs = 2_000
/** How long closing a shard waits for its log, and, before it stops answering, for its last full checkpoint. */
const closeMsMax = 5_000
const closingCheckpointMsMax = 2_000

/** How long an opening waits for the store to say how far the log had come. */
const placeMsMax = 300
/** Ticks between two looks at how far the store is, of shards that wait for it. */
const storedTicks = 4
/** Ticks between two questions about it, where it was opened without. */
const placeTicks = 10

/** Nobody else has the shard either: waiting for an owner would only hold the caller up. */
const outOfService = {
  failure: { code: "unavailable", detail: "this shard's log is damaged and was taken out of service" }
} as const

export interface RunnerOptions {
  readonly name: string
  readonly shardCount: number
  readonly log: EventLog["Service"]
  readonly stores: OwnerStores
  /** How far the store knows a shard's log to have come; where it can't say, the runner asks again. */
  readonly placeInStore?: (shard: number) => Effect.Effect<LogPosition, unknown>
  readonly publish: (message: LinkMessage) => void
  readonly bounds?: Partial<OwnerBounds>
  readonly clocks?: Clocks
  readonly forgetIds?: boolean
  /** Something was committed on a shard: its consumers may read. */
  readonly onCommitted?: (shard: number) => void
  readonly onLost?: (shard: number, why: string) => void
  /** A shard's log is damaged: the runner goes on answering for it, and only that it is out of service. */
  readonly onQuarantined?: (shard: number, what: string) => void
}

/** How far the store is for an owner that did not know it, and what it knew of what is parked when that was asked. */
interface StoreMoved {
  readonly owner: ShardOwner
  readonly position: LogPosition
  readonly changes: number
}

export class Runner implements LocalRunner {
  readonly name: string
  readonly links: OwnerLinks
  readonly #context: OwnerContext
  readonly #owners = new Map<number, ShardOwner>()
  /** Shards whose log is damaged or behind what is known, and what is wrong: they are not tried again (†24). */
  readonly quarantined = new Map<number, string>()
  readonly #leases = new Map<number, Lease>()
  readonly #onQuarantined: (shard: number, what: string) => void
  readonly #clocks: Clocks
  readonly #placeInStore: (shard: number) => Effect.Effect<LogPosition, unknown>
  /** Shards that were opened before the store had said how far their log had come, and where they were opened. */
  readonly #unplaced = new Map<number, LogPosition>()
  /** Those of them that it is being asked about. */
  readonly #askingPlace = new Set<number>()
  /** Whether the log is being asked how far the store is. */
  #askingStored = false
  readonly #checks: UnconsumedChecks
  #ticks = 0
  #askingParked = false

  constructor(options: RunnerOptions) {
    this.name = options.name
    this.#clocks = options.clocks ?? systemClocks
    this.#placeInStore = options.placeInStore ?? (() => Effect.succeed(0))
    this.#onQuarantined = options.onQuarantined ?? (() => {})
    this.links = new OwnerLinks({ owner: options.name, start: Date.now(), publish: options.publish })
    const { run } = new StoreGate()
    this.#context = {
      name: options.name,
      shardCount: options.shardCount,
      log: options.log,
      stores: options.stores,
      cold: new ColdChannels(options.stores.channels, run),
      links: this.links,
      bounds: { ...ownerBoundsDefault, ...options.bounds },
      now: this.#clocks.wall,
      forgetIds: options.forgetIds ?? false,
      leaseHeld: (shard) => this.#leases.get(shard)?.held ?? false,
      run,
      committed: options.onCommitted ?? (() => {}),
      full: () => {
        for (const owner of this.#owners.values()) owner.checkpoints.makeRoom()
      },
      lost: (shard, why) => {
        this.#owners.delete(shard)
        options.onLost?.(shard, why)
      },
      quarantine: (shard, what) => this.quarantine(shard, what)
    }
    this.#checks = new UnconsumedChecks({
      log: options.log,
      run,
      owns: (owner) => this.#owners.get(owner.shard) === owner,
      damaged: this.#context.quarantine
    })
  }

  get shards(): ReadonlyArray<number> {
    return [...this.#owners.keys()]
  }

  get owners(): Iterable<ShardOwner> {
    return this.#owners.values()
  }

  owner(shard: number): ShardOwner | undefined {
    return this.#owners.get(shard)
  }

  epochOf(shard: number): number {
    return this.#owners.get(shard)?.epoch ?? 0
  }

  serves(shard: number): boolean {
    return this.#owners.get(shard)?.serving ?? this.quarantined.has(shard)
  }

  /** The lease holds until `deadline` on the monotonic clock: for leases that are granted here and now. */
  setLease(shard: number, deadline: number): void {
    this.holdLease(shard, new Lease(deadline, this.#clocks))
  }

  /** A lease that was made before its refresh was sent: by the time of the answer the machine may have been suspended (†17). */
  holdLease(shard: number, lease: Lease): void {
    this.#leases.set(shard, lease)
  }

  /** Takes the shard over in the log and serves it, under an epoch above `epochAtLeast`. */
  open(shard: number, epochAtLeast: number): Effect.Effect<void, LogUnavailable | OpenShardError> {
    return this.#checks.whileOpening(this.#open(shard, epochAtLeast))
  }

  #open(shard: number, epochAtLeast: number): Effect.Effect<void, LogUnavailable | OpenShardError> {
    return Effect.gen({ self: this }, function* () {
      const { log } = this.#context
      const [stored, fannedOut, place] = yield* Effect.all(
        [
          log.consumerPosition(persisterConsumer, shard),
          log.consumerPosition(memberFanoutConsumer, shard),
          // A store that is slow, or away, holds no takeover up.
          Effect.option(this.#placeInStore(shard)).pipe(Effect.timeoutOption(placeMsMax), Effect.map(Option.flatten))
        ],
        { concurrency: 3 }
      )
      const opened = yield* openShard({
        log,
        shard,
        epochAtLeast,
        knownAtLeast: Math.max(
          stored,
          fannedOut,
          Option.getOrElse(place, () => 0)
        )
      }).pipe(Effect.tapErrorTag("ShardQuarantined", ({ what }) => Effect.sync(() => this.quarantine(shard, what))))
      this.quarantined.delete(shard)
      const owner = new ShardOwner(this.#context, opened, stored)
      this.#owners.set(shard, owner)
      this.#checks.add({ owner, after: Math.min(stored, fannedOut), upTo: opened.replayedFrom })
      if (Option.isNone(place)) this.#unplaced.set(shard, opened.position)
      else this.#unplaced.delete(shard)
      // What was replayed has to be in the store before anything cold is loaded. The persister may have come past it
      // before there was an owner to be told; if not, it looks now and not at its next poll. Nothing else waits for it.
      this.#context.run(log.consumerPosition(persisterConsumer, shard), (position) => {
        if ("ok" in position && this.#owners.get(shard) === owner) owner.setStored(position.ok)
      })
      this.#context.committed(shard)
      this.#askParked()
    })
  }

  /** Asks the store, for all shards that do not know yet, what is parked of them; where it is away, again at a tick. */
  #askParked(): void {
    if (this.#askingParked) return
    const unknown = [...this.#owners.values()].filter((owner) => !owner.parked.known)
    if (unknown.length === 0) return
    this.#askingParked = true
    this.#context.run(this.#context.stores.parked.entities(persisterConsumer), (result) => {
      this.#askingParked = false
      if (!("ok" in result)) return
      for (const owner of unknown) owner.setParked(result.ok.filter(({ shard }) => shard === owner.shard))
      this.#askParked()
    })
  }

  /**
   * Asks the store again how far the logs of shards had come that were opened without it (†24). Until it has said so, it may
   * be told of nothing that came since (`placedUpTo`), or the answer would be that.
   */
  #askPlaces(): void {
    for (const [shard, openedAt] of this.#unplaced) {
      const owner = this.#owners.get(shard)
      if (owner === undefined) this.#unplaced.delete(shard)
      if (owner === undefined || this.#askingPlace.has(shard)) continue
      this.#askingPlace.add(shard)
      this.#context.run(this.#placeInStore(shard), (result) => {
        this.#askingPlace.delete(shard)
        if (this.#owners.get(shard) !== owner || !("ok" in result)) return
        this.#unplaced.delete(shard)
        if (result.ok > openedAt)
          this.quarantine(shard, `it was opened at ${openedAt}, but the store knows of ${result.ok}`)
      })
    }
  }

  /**
   * Up to where the store may be told that the shard's log has come: its end, where it is owned here and the store's own
   * word on that was heard; else 0 (†24).
   */
  placedUpTo(shard: number): LogPosition {
    return this.#unplaced.has(shard) ? 0 : (this.#owners.get(shard)?.log.end ?? 0)
  }

  /**
   * Takes a shard out of service whose log is damaged: at opening, while serving, or found by a consumer (†24). What was
   * under way is told "moved"; whoever asks again is told that the shard is out of service. Nothing in the log is touched.
   */
  quarantine(shard: number, what: string): void {
    if (this.quarantined.has(shard)) return
    this.quarantined.set(shard, what)
    const owner = this.#owners.get(shard)
    this.#owners.delete(shard)
    owner?.takeAway()
    this.#onQuarantined(shard, what)
  }

  /**
   * Leaves a checkpoint while it still answers, so that the next owner has little to replay; then stops answering and
   * settles what is under way. The shard is anybody's then.
   */
  close(shard: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function* () {
      const owner = this.#owners.get(shard)
      if (owner === undefined) return
      owner.sessions.leave()
      yield* Effect.callback<void>((resume) => owner.checkpoints.write(() => resume(Effect.void))).pipe(
        Effect.timeoutOption(closingCheckpointMsMax)
      )
      owner.stop()
      owner.sessions.leave()
      yield* owner.log.flush()
      owner.checkpoints.leave()
      yield* owner.log.flush()
      this.#owners.delete(shard)
      this.#leases.delete(shard)
    }).pipe(Effect.timeoutOption(closeMsMax), Effect.asVoid)
  }

  /** Takes the shard away without a word, as a crash or a lost lease does. */
  drop(shard: number): void {
    this.#owners.get(shard)?.takeAway()
    this.#owners.delete(shard)
    this.#leases.delete(shard)
  }

  /** A request that believes in another epoch was meant for another owner: its caller looks again (†17). */
  request(
    shard: number,
    epoch: number,
    request: OwnerRequest,
    reply: (reply: OwnerReply<unknown>) => void,
    notMine: () => void
  ): void {
    const owner = this.#owners.get(shard)
    if (owner === undefined && this.quarantined.has(shard)) reply(outOfService)
    else if (owner?.epoch === epoch) owner.request(request, reply, notMine)
    else notMine()
  }

  attach(epoch: number, attach: Attach, reply: (reply: OwnerReply<Attached>) => void, notMine: () => void): void {
    const owner = this.#owners.get(attach.shard)
    if (owner === undefined && this.quarantined.has(attach.shard)) reply(outOfService)
    else if (owner?.epoch === epoch) owner.attach(attach, reply, notMine)
    else notMine()
  }

  detach(detach: Detach): void {
    this.#owners.get(detach.shard)?.detach(detach)
  }

  resend(start: number, edge: string, from: number): void {
    if (start === this.links.start) this.links.resend(edge, from)
  }

  /**
   * Of shards that wait for the store: what the persister says of it may have been said before there was an owner. What is
   * parked is read after the positions, for it is parked before they move past it (†26): a floor may not pass it.
   */
  #askStored(): void {
    if (this.#askingStored) return
    const waiting = [...this.#owners.values()].filter(({ storeReady }) => !storeReady)
    if (waiting.length === 0) return
    this.#askingStored = true
    const moved: Array<StoreMoved> = []
    let left = waiting.length
    for (const owner of waiting) {
      this.#context.run(this.#context.log.consumerPosition(persisterConsumer, owner.shard), (position) => {
        if ("ok" in position && position.ok > owner.storePosition)
          moved.push({ owner, position: position.ok, changes: owner.parked.changes })
        if (--left > 0) return
        if (moved.length > 0) this.#askMoved(moved)
        else this.#askingStored = false
      })
    }
  }

  #askMoved(moved: ReadonlyArray<StoreMoved>): void {
    this.#context.run(this.#context.stores.parked.entities(persisterConsumer), (result) => {
      this.#askingStored = false
      if (!("ok" in result)) return
      for (const { changes, owner, position } of moved) {
        // What the persister said meanwhile is newer than what was read.
        if (this.#owners.get(owner.shard) !== owner || owner.parked.changes !== changes) continue
        owner.setStored(
          position,
          result.ok.filter(({ shard }) => shard === owner.shard)
        )
      }
    })
  }

  /** Called every `ownerTickMs`. */
  tick(): void {
    this.#askParked()
    this.#checks.tick()
    if (this.#ticks % storedTicks === 0) this.#askStored()
    if (++this.#ticks % placeTicks === 0) this.#askPlaces()
    for (const owner of this.#owners.values()) owner.tick()
    if (this.#ticks % (linkHeartbeatMs / ownerTickMs) === 0) this.#heartbeat()
  }

  /** Lists every shard served here, also those that know nothing of the edge (version 0): it may think they do. */
  #heartbeat(): void {
    for (const edge of this.links.edges) {
      const digest = [...this.#owners.values()].map(({ epoch, interest, shard }) => ({
        shard,
        epoch,
        interestVersion: interest.version(edge)
      }))
      this.links.heartbeat(edge, digest)
    }
  }
}
