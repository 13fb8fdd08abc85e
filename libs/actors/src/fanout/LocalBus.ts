/**
 * Calls and links within one process: the same services that NATS gives a cluster. A call goes to the runner that its
 * caller believes to own the shard, and names the epoch that it believes in (†17); a belief lasts until an owner says
 * "not mine", whatever has moved meanwhile. Link messages are delivered on a later turn of the event loop, so that
 * nothing may come to rely on a call being instant. Tests make it lose, repeat and delay link messages.
 */
import { Context, Effect, Layer } from "effect"
import type { Attached, LinkMessage, OwnerReply, OwnerRequest } from "../owner/OwnerProtocol.ts"
import type { LocalRunner } from "../owner/LocalRunner.ts"
import { LinkBus, OwnerCalls, ownerRetryMsMax } from "../owner/OwnerCalls.ts"
import { ShardRoutes } from "../owner/ShardRoutes.ts"
import { shardOf } from "./ShardHash.ts"

/** Wait between two tries of a call whose owner is changing. */
const ownerRetryMs = 25

/** What happens to a link message on its way; "blank": it arrives without its items, which nothing can notice. */
export type LinkFault = "deliver" | "lose" | "twice" | "late" | "blank"

export class LocalBus extends Context.Service<
  LocalBus,
  {
    /** Decides the fate of each link message; undefined: all are delivered. */
    setLinkFault(fault: ((message: LinkMessage) => LinkFault) | undefined): void
  }
>()("@parley/actors/LocalBus") {
  static readonly layer = (options: {
    readonly shardCount: number
  }): Layer.Layer<LocalBus | ShardRoutes | OwnerCalls | LinkBus> =>
    Layer.effectContext(
      Effect.sync(() => {
        const bus = makeBus(options.shardCount)
        return Context.make(LocalBus, bus.local).pipe(
          Context.add(ShardRoutes, bus.routes),
          Context.add(OwnerCalls, bus.calls),
          Context.add(LinkBus, bus.links)
        )
      })
    )
}

const moved = { failure: { code: "moved" } } as const

/** Whom a caller holds for a shard's owner, and since which epoch. */
interface Belief {
  readonly runner: LocalRunner
  readonly epoch: number
}

const makeBus = (shardCount: number) => {
  const owners = new Map<number, LocalRunner>()
  const runners = new Map<string, LocalRunner>()
  const edges = new Map<string, (message: LinkMessage) => void>()
  const serving = new Set<(shard: number, epoch: number) => void>()
  let fault: ((message: LinkMessage) => LinkFault) | undefined

  const beliefs = new Map<number, Belief>()
  const learn = (shard: number): Belief | undefined => {
    const runner = owners.get(shard)
    if (runner === undefined) return undefined
    const belief = { runner, epoch: runner.epochOf(shard) }
    beliefs.set(shard, belief)
    return belief
  }

  /** Tries until an owner takes it, or the time is over. */
  const retrying = <A>(
    shard: number,
    attempt: (belief: Belief, reply: (reply: OwnerReply<A>) => void, notMine: () => void) => void,
    reply: (reply: OwnerReply<A>) => void,
    refusedBy?: Belief
  ) => {
    const deadline = performance.now() + ownerRetryMsMax
    const tryWith = (belief: Belief) => attempt(belief, reply, () => refused(belief))
    const refused = (belief: Belief) => {
      if (beliefs.get(shard) === belief) beliefs.delete(shard)
      const now = learn(shard)
      if (now !== undefined && (now.runner !== belief.runner || now.epoch !== belief.epoch)) tryWith(now)
      else later()
    }
    const later = () => {
      if (performance.now() >= deadline) reply(moved)
      else setTimeout(once, ownerRetryMs)
    }
    const once = () => {
      const belief = beliefs.get(shard) ?? learn(shard)
      if (belief === undefined) later()
      else tryWith(belief)
    }
    if (refusedBy === undefined) once()
    else refused(refusedBy)
  }

  const request = (
    shard: number,
    asked: OwnerRequest,
    reply: (reply: OwnerReply<unknown>) => void,
    refusedBy?: Belief
  ): void =>
    retrying(
      shard,
      ({ epoch, runner }, done, notMine) => runner.request(shard, epoch, asked, done, notMine),
      reply,
      refusedBy
    )

  const deliver = (message: LinkMessage) => edges.get(message.edge)?.(message)

  return {
    local: LocalBus.of({
      setLinkFault: (next) => {
        fault = next
      }
    }),
    routes: ShardRoutes.of({
      shardCount,
      own: (shard, runner) => {
        owners.set(shard, runner)
        runners.set(runner.name, runner)
        for (const served of serving) served(shard, runner.epochOf(shard))
      },
      disown: (shard, runner) => {
        if (owners.get(shard) === runner) owners.delete(shard)
      }
    }),
    calls: OwnerCalls.of({
      shardCount,
      shardOf: (id) => shardOf(id, shardCount),
      request: (shard, asked, reply) => {
        const belief = beliefs.get(shard)
        // Nearly always the first try is the last.
        if (belief === undefined) request(shard, asked, reply)
        else belief.runner.request(shard, belief.epoch, asked, reply, () => request(shard, asked, reply, belief))
      },
      attach: (attach, reply) =>
        retrying<Attached>(
          attach.shard,
          ({ epoch, runner }, done, notMine) => runner.attach(epoch, attach, done, notMine),
          reply
        ),
      detach: (detach) => owners.get(detach.shard)?.detach(detach),
      resend: (owner, start, edge, from) => runners.get(owner)?.resend(start, edge, from),
      onServed: (served) => {
        serving.add(served)
        return () => void serving.delete(served)
      }
    }),
    links: LinkBus.of({
      publish: (message) => {
        const fate = fault === undefined ? "deliver" : fault(message)
        if (fate === "lose") return
        if (fate === "late") setTimeout(deliver, 20, message)
        else if (fate === "blank") queueMicrotask(() => deliver({ ...message, items: [] }))
        else queueMicrotask(() => deliver(message))
        if (fate === "twice") queueMicrotask(() => deliver(message))
      },
      subscribe: (edge, onMessage) => {
        edges.set(edge, onMessage)
        return () => {
          if (edges.get(edge) === onMessage) edges.delete(edge)
        }
      }
    })
  }
}
