/**
 * One simulated node: the product's own runner, edge, bus, persister and member fan-out, wired as a node wires them, with
 * the simulated log, stores, leases and network below. One object a start: a node that comes back is a new one.
 */
import { Context, Effect, Exit, Layer, Logger, References, Scope } from "effect"
import { assembleEdge } from "@parley/node/edge/EdgeParts"
import type { EdgeSocket } from "@parley/node/edge/EdgeSocket"
import { type NodeSettings, readSettings } from "@parley/node/NodeConfig"
import { layerPersister } from "@parley/node/workers/Persister"
import { CommitSignal } from "@parley/actors/fanout/CommitSignal"
import { persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { LocalBus } from "@parley/actors/fanout/LocalBus"
import { Lease, systemClocks } from "@parley/actors/owner/Lease"
import type { LocalRunner } from "@parley/actors/owner/LocalRunner"
import { ShardRoutes } from "@parley/actors/owner/ShardRoutes"
import { layerMemberFanout } from "@parley/actors/fanout/MemberFanout"
import { ParkedOperations } from "@parley/actors/fanout/Parking"
import type { OwnerBounds } from "@parley/actors/owner/OwnerContext"
import { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { LinkMessage } from "@parley/actors/owner/OwnerProtocol"
import { ownerTickMs, Runner } from "@parley/actors/owner/Runner"
import { ChannelStore } from "@parley/storage/ChannelStore"
import { CursorStore } from "@parley/storage/CursorStore"
import { Directory } from "@parley/storage/Directory"
import { EventLog } from "@parley/storage/EventLog"
import { Inbox } from "@parley/storage/Inbox"
import { MessageStore } from "@parley/storage/MessageStore"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { RemoteRunner } from "./RemoteRunner.ts"
import type { SimLog } from "./SimLog.ts"
import type { SimNetwork } from "./SimNetwork.ts"
import { type Leases, leaseMs, refreshMs, type SimPlacement, workerLease } from "./SimPlacement.ts"
import { type EdgeEnd, listeners, resetSockets } from "./SimSocket.ts"
import type { AllStores, SimStores } from "./SimStores.ts"
import type { StaleReads } from "./StaleReads.ts"
import type { SimProcess, VirtualTime } from "./VirtualTime.ts"

/** How often a node says which shards it owns, besides when it got them. */
const announceMs = 2_000

export interface Cluster {
  readonly time: VirtualTime
  readonly network: SimNetwork
  readonly log: SimLog
  readonly stores: SimStores
  readonly placement: SimPlacement
  readonly shardCount: number
  readonly bounds: Partial<OwnerBounds>
  readonly settings: Partial<NodeSettings>
  readonly staleReads: StaleReads
  /** By host, what runs there now, or ran there last. */
  readonly nodes: Map<string, SimNode>
  /** Where edges hear their links, by the edge's name. */
  readonly edges: Map<string, { readonly process: SimProcess; readonly receive: (message: LinkMessage) => void }>
  readonly note: (what: string) => void
  readonly onQuarantined: (shard: number, what: string) => void
  /** The shard whose log comes back with less than it had (†24). */
  lostShard: number | undefined
  lostShardIsQuarantined: boolean
  /** A shard could not be taken over for want of room in the log. */
  readonly onLogFull: (shard: number) => void
}

export class SimNode {
  readonly process: SimProcess
  readonly runner: Runner
  readonly bus: ShardRoutes["Service"]
  readonly signal: CommitSignal["Service"]
  readonly #cluster: Cluster
  readonly #context: Context.Context<
    AllStores | EventLog | OwnerCalls | LinkBus | ShardRoutes | CommitSignal | ParkedOperations
  >
  readonly #parked: ParkedOperations["Service"]
  readonly #opening = new Set<number>()
  readonly #closing = new Set<number>()
  readonly #leases = new Map<number, Lease>()
  /** Under which lease each shard was opened: one that was lost meanwhile and got again is another. */
  readonly #openedUnder = new Map<number, number>()
  /** The newest lease of each shard that was given back. */
  readonly #released = new Map<number, number>()
  /** The newest epoch heard of, by shard. */
  readonly #owners = new Map<number, number>()
  #worker: Scope.Closeable | undefined
  readonly edge: ReturnType<typeof assembleEdge>

  /** Called within the node's own process. */
  constructor(cluster: Cluster, process: SimProcess) {
    this.process = process
    this.#cluster = cluster
    const { network, shardCount, time } = cluster
    const local = Effect.runSync(build(Layer.fresh(LocalBus.layer({ shardCount }))))
    this.bus = Context.get(local, ShardRoutes)
    this.signal = Context.get(Effect.runSync(build(Layer.fresh(CommitSignal.layer))), CommitSignal)
    const operations = Context.get(Effect.runSync(build(Layer.fresh(ParkedOperations.layer))), ParkedOperations)
    this.#parked = operations
    const links = LinkBus.of({
      publish: (message) => {
        const edge = cluster.edges.get(message.edge)
        if (edge !== undefined) network.send(process.host, edge.process, () => edge.receive(message))
      },
      subscribe: (edge, receive) => {
        cluster.edges.set(edge, { process, receive })
        return () => void cluster.edges.delete(edge)
      }
    })
    const watched = cluster.staleReads.watching(Context.get(local, OwnerCalls))
    const calls = OwnerCalls.of({
      ...watched,
      // An edge may miss what its process hears: then a digest has to tell.
      onServed: (served) =>
        watched.onServed((shard, epoch) => network.send(process.host, process, () => served(shard, epoch)))
    })
    this.#context = cluster.stores
      .services()
      .pipe(
        Context.add(EventLog, cluster.log.service()),
        Context.add(OwnerCalls, calls),
        Context.add(LinkBus, links),
        Context.add(ShardRoutes, this.bus),
        Context.add(CommitSignal, this.signal),
        Context.add(ParkedOperations, operations)
      )
    this.runner = this.#makeRunner(links)
    this.signal.onDamaged((shard, what) => this.runner.quarantine(shard, what))
    this.signal.onStored((shard, position, parked) => {
      this.runner.owner(shard)?.setStored(position, parked)
      for (const other of this.#others()) {
        network.send(process.host, other.process, () => other.runner.owner(shard)?.setStored(position, parked))
      }
    })
    time.every(ownerTickMs, () => this.runner.tick())
    time.every(refreshMs, () => this.#refresh())
    time.every(announceMs, () => this.#announceAll())
    this.edge = this.#startEdge(calls, links)
    this.#refresh()
  }

  /** Hears who owns a shard. */
  heard(shard: number, epoch: number, owner: SimNode): void {
    if (epoch <= (this.#owners.get(shard) ?? 0)) return
    this.#owners.set(shard, epoch)
    const runner: LocalRunner =
      owner === this ? this.runner : new RemoteRunner(this.#cluster.network, owner.process, owner.runner, shard, epoch)
    this.bus.own(shard, runner)
  }

  get serving(): ReadonlyArray<number> {
    return this.runner.shards.filter((shard) => this.runner.owner(shard)?.serving === true)
  }

  /** As an operator asks for it: why it could not be, or the empty string. */
  retryParked(topic: "channel" | "user", id: string): Promise<string> {
    const parking = this.#parked.find(persisterConsumer)
    if (parking === undefined) return Promise.resolve("nobody works here")
    return Effect.runPromise(Effect.map(parking.retry(topic, id), ({ why }) => why))
  }

  /** Kills it: nothing of it ever runs again. */
  kill(): void {
    this.process.alive = false
    if (listeners.get(this.process.host)?.process === this.process) listeners.delete(this.process.host)
    resetSockets(this.process)
  }

  #makeRunner(links: LinkBus["Service"]): Runner {
    const { bounds, note, onQuarantined, shardCount } = this.#cluster
    const context = this.#context
    const runner: Runner = new Runner({
      name: this.process.name,
      shardCount,
      log: Context.get(context, EventLog),
      stores: {
        channels: Context.get(context, ChannelStore),
        messages: Context.get(context, MessageStore),
        directory: Context.get(context, Directory),
        cursors: Context.get(context, CursorStore),
        inbox: Context.get(context, Inbox),
        parked: Context.get(context, ParkedEvents)
      },
      bounds,
      publish: links.publish,
      onCommitted: (shard) => {
        this.signal.committed(shard)
        for (const other of this.#others()) {
          this.#cluster.network.send(this.process.host, other.process, () => other.signal.committed(shard))
        }
      },
      onLost: (shard, why) => {
        note(`${this.process.name} lost shard ${shard}: ${why}`)
        this.bus.disown(shard, runner)
      },
      onQuarantined
    })
    // Whatever way it is asked, it answers as an owner only while nobody else is one.
    const { request } = runner
    runner.request = (shard, epoch, asked, reply, notMine) =>
      request.call(runner, shard, epoch, asked, this.#cluster.staleReads.asOwner(shard, epoch, asked, reply), notMine)
    return runner
  }

  #startEdge(calls: OwnerCalls["Service"], links: LinkBus["Service"]): ReturnType<typeof assembleEdge> {
    const settings = { ...defaults, ...this.#cluster.settings, name: this.process.host }
    const edge = assembleEdge(settings, calls, links, {
      // Who somebody is, is not what is simulated: a token is the user's name.
      verify: (token, done) =>
        // as: names of the workload are ids
        done({ ok: { user: token as never, issuedAt: 0, expiresAt: Number.MAX_SAFE_INTEGER } }),
      isApiKey: () => false,
      mint: null
    })
    edge.start()
    const { alive, gone, text } = edge.connections.handlers
    listeners.set(this.process.host, {
      process: this.process,
      // as: the calls that an edge makes of a socket are those of `EdgeEnd`
      accept: (socket: EdgeEnd) => edge.connections.accept(socket as unknown as EdgeSocket, "10.0.0.1"),
      alive,
      gone,
      text
    })
    return edge
  }

  *#others(): Iterable<SimNode> {
    for (const node of this.#cluster.nodes.values()) if (node !== this) yield node
  }

  // --- leases -----------------------------------------------------------------------------------------------------

  #refresh(): void {
    const lease = new Lease(performance.now() + leaseMs, systemClocks)
    this.#cluster.placement.refresh(this.process.name, (leases) => {
      // A machine that was suspended meanwhile has to ask again.
      if (leases !== undefined && lease.held) this.#leased(leases, lease)
    })
  }

  #leased({ granted, moving }: Leases, lease: Lease): void {
    const here = new Set<number>()
    for (const { epoch, shard } of granted) {
      // An answer from before it was given back, or that was not heard: it is not taken up again.
      if (epoch <= (this.#released.get(shard) ?? 0)) {
        this.#release(shard, granted)
        continue
      }
      here.add(shard)
      // Answers may overtake each other.
      const known = this.#leases.get(shard)
      const newest = known?.held === true && known.deadline > lease.deadline ? known : lease
      this.#leases.set(shard, newest)
      if (shard === workerLease) continue
      this.runner.holdLease(shard, newest)
      if (this.#closing.has(shard) || this.#opening.has(shard)) continue
      if (this.runner.owner(shard) !== undefined && this.#openedUnder.get(shard) !== epoch) {
        this.runner.drop(shard)
        this.runner.holdLease(shard, newest)
      }
      if (this.runner.owner(shard) === undefined) this.#open(shard, epoch)
    }
    for (const [shard, { deadline }] of this.#leases) {
      if (here.has(shard) || deadline > lease.deadline) continue
      this.#leases.delete(shard)
      if (shard === workerLease) continue
      const { runner } = this
      if (runner.owner(shard) !== undefined) this.bus.disown(shard, runner)
      runner.drop(shard)
    }
    for (const shard of moving) if (shard !== workerLease) this.#handOver(shard, granted)
    this.#work(here.has(workerLease) && !moving.includes(workerLease))
    if (moving.includes(workerLease)) this.#release(workerLease, granted)
  }

  #open(shard: number, epoch: number): void {
    if (this.runner.quarantined.has(shard)) return
    this.#opening.add(shard)
    this.#openedUnder.set(shard, epoch)
    void Effect.runPromiseExit(this.runner.open(shard, epoch)).then((exit) => {
      this.#opening.delete(shard)
      if (Exit.isFailure(exit)) {
        this.#cluster.note(`${this.process.name} could not open ${shard}: ${exit.cause}`)
        if (`${exit.cause}`.includes("ShardLogFull")) this.#cluster.onLogFull(shard)
        return
      }
      if (this.#leases.get(shard)?.held !== true) return this.runner.drop(shard)
      const served = this.runner.owner(shard)?.epoch ?? 0
      this.#cluster.staleReads.opened(shard, served)
      this.#cluster.note(`${this.process.name} owns shard ${shard} under ${served}`)
      this.announce(shard, served)
    })
  }

  announce(shard: number, epoch: number): void {
    this.heard(shard, epoch, this)
    for (const other of this.#others()) {
      this.#cluster.network.send(this.process.host, other.process, () => other.heard(shard, epoch, this))
    }
  }

  #release(shard: number, granted: Leases["granted"]): void {
    const epoch = granted.find((lease) => lease.shard === shard)?.epoch
    if (epoch === undefined) return
    this.#released.set(shard, Math.max(epoch, this.#released.get(shard) ?? 0))
    this.#cluster.placement.release(this.process.name, shard, epoch)
  }

  #handOver(shard: number, granted: Leases["granted"]): void {
    if (this.#closing.has(shard) || this.#opening.has(shard)) return
    this.#closing.add(shard)
    void Effect.runPromise(this.runner.close(shard)).then(() => {
      this.#closing.delete(shard)
      this.bus.disown(shard, this.runner)
      this.runner.drop(shard)
      this.#leases.delete(shard)
      this.#release(shard, granted)
    })
  }

  // --- behind the log ---------------------------------------------------------------------------------------------

  /** What it knows of others' shards it says again. */
  #announceAll(): void {
    for (const shard of this.runner.shards) {
      const owner = this.runner.owner(shard)
      if (owner !== undefined) this.announce(shard, owner.epoch)
    }
  }

  #work(wanted: boolean): void {
    if (wanted === (this.#worker !== undefined)) return
    if (this.#worker !== undefined) {
      const worker = this.#worker
      this.#worker = undefined
      void Effect.runPromise(Scope.close(worker, Exit.void))
      return
    }
    const scope = Scope.makeUnsafe()
    this.#worker = scope
    const layer = Layer.fresh(layerMemberFanout.pipe(Layer.provideMerge(layerPersister))).pipe(
      Layer.provide(Layer.succeedContext(this.#context))
    )
    const start = Layer.buildWithScope(layer, scope).pipe(Effect.provide(quiet))
    void Effect.runPromiseExit(start).then((exit) => {
      if (Exit.isSuccess(exit) || this.#worker !== scope) return
      // Tried again with the next refresh.
      this.#worker = undefined
      this.#cluster.note(`${this.process.name} can't work yet: ${exit.cause}`)
    })
  }
}

const quiet = Layer.mergeAll(Logger.layer([]), Layer.succeed(References.MinimumLogLevel, "None"))

const build = <A>(layer: Layer.Layer<A>): Effect.Effect<Context.Context<A>> =>
  Effect.flatMap(Scope.make(), (scope) => Layer.buildWithScope(layer, scope))

/** As in development, without the limits that protect from strangers. */
const defaults: NodeSettings = {
  ...Effect.runSync(readSettings({ flags: { mode: "development" } })),
  sendsPerSecond: 10_000,
  mutationsPerSecond: 10_000,
  readsPerSecond: 10_000,
  ephemeralPerSecond: 10_000,
  framesPerSecond: 10_000,
  connectsPerAddressPerSecond: 10_000,
  unauthenticatedPerAddressMax: 10_000,
  presenceReportMs: 10_000
}
