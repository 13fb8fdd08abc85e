/**
 * Calls, links and hints of one process over core NATS: the services that `LocalBus` and `CommitSignal` give a single
 * process. Two connections, so that a burst of delivery delays no call. Needs the directory of owners. What is
 * between nodes here may be lost, repeated or late; nothing of it is ever believed without a check by the owner.
 */
import { randomBytes } from "node:crypto"
import type { Msg, NatsConnection } from "@nats-io/transport-node"
import { Context, Effect, Layer } from "effect"
import { CommitSignal } from "../fanout/CommitSignal.ts"
import { shardOf } from "../fanout/ShardHash.ts"
import type { LocalRunner } from "../owner/LocalRunner.ts"
import { LinkBus, OwnerCalls } from "../owner/OwnerCalls.ts"
import { ShardRoutes } from "../owner/ShardRoutes.ts"
import { AttachParts } from "./AttachParts.ts"
import { Announcements } from "./Announcements.ts"
import { NatsCalls } from "./NatsCalls.ts"
import { NatsLinks } from "./NatsLinks.ts"
import { NatsOutbound } from "./NatsOutbound.ts"
import { NatsOwners } from "./NatsOwners.ts"
import { NatsSignals } from "./NatsSignals.ts"
import { OwnerDirectory } from "./OwnerDirectory.ts"
import { subjectsOf } from "./Subjects.ts"

export interface NatsBusOptions {
  /** For calls, announcements and hints. */
  readonly calls: NatsConnection
  readonly links: NatsConnection
  /** What all subjects begin with; the same in all processes of a cluster, another one for another cluster. */
  readonly prefix: string
  /** The node's name, which answers to it have in their subject. Without one the process is a node of its own. */
  readonly node?: string
  readonly shardCount: number
  /** Where tests want less than what `NatsCalls` and `NatsOwners` say. */
  readonly callsInFlightMax?: number
  readonly callsWorkedOnMax?: number
  readonly tryMsMax?: number
  readonly retryMsMax?: number
}

/** The parts behind the services, for metrics and tests. */
export class NatsBus extends Context.Service<
  NatsBus,
  {
    readonly process: string
    readonly calls: NatsCalls
    readonly owners: NatsOwners
    readonly attaches: AttachParts
    readonly links: NatsLinks
    readonly signals: NatsSignals
    readonly outbound: { readonly calls: NatsOutbound; readonly links: NatsOutbound }
  }
>()("@parley/actors/NatsBus") {
  static readonly layer = (
    options: NatsBusOptions
  ): Layer.Layer<NatsBus | ShardRoutes | OwnerCalls | LinkBus | CommitSignal, never, OwnerDirectory> =>
    Layer.effectContext(
      Effect.gen(function* () {
        const directory = yield* OwnerDirectory
        const run = Effect.runForkWith(yield* Effect.context<never>())
        const onDefect = (error: unknown) => void run(Effect.logError("a bus message could not be dealt with", error))
        const bus = yield* Effect.acquireRelease(
          Effect.sync(() => makeBus(options, directory, onDefect)),
          ({ stop }) => Effect.sync(stop)
        )
        return Context.make(NatsBus, bus.parts).pipe(
          Context.add(ShardRoutes, bus.routes),
          Context.add(OwnerCalls, bus.calls),
          Context.add(LinkBus, bus.links),
          Context.add(CommitSignal, bus.parts.signals.service)
        )
      })
    )
}

/** What the server answers where nobody listens. */
const noResponders = 503

const makeBus = (options: NatsBusOptions, directory: OwnerDirectory["Service"], onDefect: (error: unknown) => void) => {
  const { shardCount } = options
  const subjects = subjectsOf(options.prefix)
  const process = randomBytes(9).toString("hex")
  const node = options.node ?? process
  const outbound = {
    calls: new NatsOutbound(options.calls, process),
    links: new NatsOutbound(options.links, process)
  }
  const owned = new Map<number, LocalRunner>()
  const calls = new NatsCalls({ ...options, node, process, subjects, outbound: outbound.calls, directory })
  const owners = new NatsOwners({
    shardCount,
    outbound: outbound.calls,
    ownerOf: (shard) => owned.get(shard),
    ...(options.callsWorkedOnMax === undefined ? {} : { callsWorkedOnMax: options.callsWorkedOnMax })
  })
  const links = new NatsLinks({ connection: options.links, outbound: outbound.links, subjects, onDefect })
  const signals = new NatsSignals({ process, outbound: outbound.calls, subjects })
  const servedElsewhere = new Set<(shard: number) => void>()
  const servedAnywhere = new Set<(shard: number, epoch: number) => void>()
  const isServed = (shard: number, epoch: number) => {
    for (const served of servedAnywhere) served(shard, epoch)
  }
  const announcements = new Announcements({ process, outbound: outbound.calls, subjects })
  const attaches = new AttachParts((part, reply) => calls.attach(part, reply))

  /** Without an iterator: a message is dealt with as it is read, in the order it came. */
  const listen = (subject: string, received: (message: Msg) => void) =>
    options.calls.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) return onDefect(error)
        try {
          received(message)
        } catch (error) {
          onDefect(error)
        }
      }
    })
  const stopConnected = outbound.calls.onConnected(() => calls.reconnected())
  const subscriptions = [
    listen(subjects.inbox(node, process), ({ data, headers, subject }) =>
      calls.receive(subject, data, headers?.code === noResponders)
    ),
    listen(subjects.hint, ({ data }) => signals.receive(data)),
    listen(subjects.owned, ({ data }) =>
      announcements.receive(data, (runner, shard, epoch) => {
        calls.owners.announced(runner, shard, epoch)
        for (const served of servedElsewhere) served(shard)
        isServed(shard, epoch)
      })
    )
  ]

  /** Subscriptions of this process's runners, while they own anything. */
  const runners = new Map<LocalRunner, { readonly shards: Set<number>; readonly stop: () => void }>()
  const runnerOf = (runner: LocalRunner) => {
    let held = runners.get(runner)
    if (held === undefined) {
      const subscription = listen(subjects.run(runner.name), ({ data, reply = "" }) =>
        owners.receive(runner, data, reply)
      )
      held = { shards: new Set(), stop: () => subscription.unsubscribe() }
      runners.set(runner, held)
    }
    return held
  }
  const release = (shard: number, runner: LocalRunner) => {
    const held = runners.get(runner)
    if (held === undefined || !held.shards.delete(shard) || held.shards.size > 0) return
    runners.delete(runner)
    held.stop()
  }
  const runnerNamed = (name: string) => [...runners.keys()].find((runner) => runner.name === name)

  return {
    parts: NatsBus.of({ process, calls, owners, attaches, links, signals, outbound }),
    routes: ShardRoutes.of({
      shardCount,
      own: (shard, runner) => {
        const before = owned.get(shard)
        runnerOf(runner).shards.add(shard)
        owned.set(shard, runner)
        if (before !== undefined && before !== runner) release(shard, before)
        calls.owners.own(shard, runner)
        announcements.say(runner.name, shard, runner.epochOf(shard))
        isServed(shard, runner.epochOf(shard))
      },
      disown: (shard, runner) => {
        if (owned.get(shard) === runner) owned.delete(shard)
        release(shard, runner)
        calls.owners.disown(shard, runner)
      },
      onServed: (served) => {
        servedElsewhere.add(served)
        return () => void servedElsewhere.delete(served)
      }
    }),
    calls: OwnerCalls.of({
      shardCount,
      shardOf: (id) => shardOf(id, shardCount),
      request: (shard, request, reply) => calls.request(shard, request, reply),
      attach: (attach, reply) => attaches.attach(attach, reply),
      detach: (detach) => calls.detach(detach),
      resend: (owner, start, edge, from) => {
        const here = runnerNamed(owner)
        if (here === undefined) calls.resend(owner, start, edge, from)
        else here.resend(start, edge, from)
      },
      onServed: (served) => {
        servedAnywhere.add(served)
        return () => void servedAnywhere.delete(served)
      }
    }),
    links: LinkBus.of({
      publish: (message) => links.publish(message),
      subscribe: (edge, onMessage) => links.subscribe(edge, onMessage)
    }),
    stop: () => {
      stopConnected()
      for (const { stop } of runners.values()) stop()
      for (const subscription of subscriptions) subscription.unsubscribe()
      signals.stop()
      links.stop()
      owners.stop()
      calls.stop()
    }
  }
}
