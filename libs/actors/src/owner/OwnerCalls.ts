/**
 * How edges and consumers reach the owner of a shard, and how owners reach edges, whatever lies between: a function
 * call in one process, NATS in a cluster. Out of Effect: it is on the hot path (bench `send`).
 *
 * `request` retries "not mine" and "no answer" itself with the same request, for `ownerRetryMsMax`, and then answers
 * `moved`; it calls back exactly once and never throws.
 */
import { Context } from "effect"
import type { Attach, Attached, Detach, LinkMessage, OwnerReply, OwnerRequest } from "./OwnerProtocol.ts"

/** How long a call rides out a change of owner before the client is told "not now, retry" (FACTS: "sending" rides 15 s). */
export const ownerRetryMsMax = 15_000

export class OwnerCalls extends Context.Service<
  OwnerCalls,
  {
    /** The shard of a channel id or user id; presence shards are numbered by the same hash. */
    shardOf(id: string): number
    readonly shardCount: number
    request(shard: number, request: OwnerRequest, reply: (reply: OwnerReply<unknown>) => void): void
    attach(attach: Attach, reply: (reply: OwnerReply<Attached>) => void): void
    detach(detach: Detach): void
    /** Asks for link messages again, from `from` on; answered over the link, or not at all where the ring no longer has them. */
    resend(owner: string, start: number, edge: string, from: number): void
    /**
     * Tells of each shard that somebody has begun to serve, here or in another process, and under which epoch, until what it
     * returns is called. An announcement may be lost: a heartbeat's digest tells the same, seconds later (†9).
     */
    onServed(served: (shard: number, epoch: number) => void): () => void
  }
>()("@parley/actors/OwnerCalls") {}

/** The owner's side of links: publishes to an edge. At most once, may be lost: links repair (†9). */
export class LinkBus extends Context.Service<
  LinkBus,
  {
    publish(message: LinkMessage): void
    subscribe(edge: string, onMessage: (message: LinkMessage) => void): () => void
  }
>()("@parley/actors/LinkBus") {}
