/**
 * A runner of this process, as the buses see it: they bring it what edges and consumers ask, whether from this process
 * or from another one. It answers with the result, or "not mine" for the caller to look elsewhere; one of the two, once.
 */
import type { Attach, Attached, Detach, OwnerReply, OwnerRequest } from "./OwnerProtocol.ts"

export interface LocalRunner {
  readonly name: string
  /** The epoch under which it serves a shard; 0: it does not. */
  epochOf(shard: number): number
  /** Whether a request with the right epoch would be answered now, and be it by saying that the shard is out of service. */
  serves(shard: number): boolean
  /** `epoch` is the caller's belief: an owner of another one answers "not mine" (†17). */
  request(
    shard: number,
    epoch: number,
    request: OwnerRequest,
    reply: (reply: OwnerReply<unknown>) => void,
    notMine: () => void
  ): void
  attach(epoch: number, attach: Attach, reply: (reply: OwnerReply<Attached>) => void, notMine: () => void): void
  detach(detach: Detach): void
  resend(start: number, edge: string, from: number): void
}
