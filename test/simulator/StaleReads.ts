/**
 * Watches that nobody is answered by an owner who is none any more (†17, †18): who asks after an acknowledgement came in
 * gets an answer that knows of it, whatever had to be waited for meanwhile; and nobody answers under an epoch after another
 * has begun to serve under a later one. What was acknowledged is what clients were told, of all nodes.
 */
import type { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { OwnerReply, OwnerRequest, SyncResult, UnreadCounts } from "@parley/actors/owner/OwnerProtocol"

export interface StaleRead {
  readonly channel: string
  readonly asked: string
  readonly acknowledged: number
  readonly answered: number
}

export class StaleReads {
  readonly found: Array<StaleRead> = []
  /** The newest epoch under which each shard has been served, and answers of older ones. */
  readonly #served = new Map<number, number>()
  readonly late: Array<string> = []
  /** The highest seq that a client was told of, by channel. */
  readonly #acked: (channel: string) => number

  constructor(acked: (channel: string) => number) {
    this.#acked = acked
  }

  opened(shard: number, epoch: number): void {
    this.#served.set(shard, Math.max(epoch, this.#served.get(shard) ?? 0))
  }

  /** Looks at an owner's answer as it is given. An ack is good whoever gives it: the log decided that. */
  asOwner(
    shard: number,
    epoch: number,
    asked: OwnerRequest,
    reply: (answer: OwnerReply<unknown>) => void
  ): (answer: OwnerReply<unknown>) => void {
    if (!reads.has(asked._tag)) return reply
    return (answer) => {
      const served = this.#served.get(shard) ?? 0
      if ("ok" in answer && served > epoch) {
        this.late.push(
          `${asked._tag} of shard ${shard} was answered under epoch ${epoch}, it is served under ${served}`
        )
      }
      reply(answer)
    }
  }

  watching(calls: OwnerCalls["Service"]): OwnerCalls["Service"] {
    return {
      ...calls,
      request: (shard, request, reply) => {
        const known = this.#known(request)
        if (known.length === 0) return calls.request(shard, request, reply)
        calls.request(shard, request, (answer) => {
          this.#look(request, known, answer)
          reply(answer)
        })
      }
    }
  }

  #known(request: OwnerRequest): ReadonlyArray<readonly [string, number]> {
    if (request._tag === "Sync") return request.items.map(({ channel }) => [channel, this.#acked(channel)] as const)
    // A page's end is what was asked for, but of the newest.
    if (request._tag === "History" && request.before === null && request.after === null && request.around === null)
      return [[request.channel, this.#acked(request.channel)]]
    return request._tag === "Unread" ? [[request.channel, this.#acked(request.channel)]] : []
  }

  #look(request: OwnerRequest, known: ReadonlyArray<readonly [string, number]>, answer: OwnerReply<unknown>): void {
    if (!("ok" in answer)) return
    known.forEach(([channel, acknowledged], at) => {
      const answered = headOf(request, answer.ok, at)
      if (answered < acknowledged) this.found.push({ channel, asked: request._tag, acknowledged, answered })
    })
  }
}

const reads: ReadonlySet<OwnerRequest["_tag"]> = new Set([
  "Sync",
  "History",
  "Unread",
  "Members",
  "Standing",
  "Open",
  "Inbox"
])

/** The head that an answer is of. */
const headOf = (request: OwnerRequest, ok: unknown, at: number): number => {
  // as: the answer's type is the request's, as the protocol says
  if (request._tag === "Unread") return (ok as UnreadCounts).head
  // as: likewise
  if (request._tag === "History") return (JSON.parse(ok as string) as { readonly to: number }).to
  // as: likewise
  const result = (ok as ReadonlyArray<SyncResult>)[at]
  return result?._tag === "Sync" ? result.head : Infinity
}
