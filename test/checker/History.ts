/**
 * What the clients of a run saw, in the order in which this process saw it: the only thing the checker believes besides
 * the state that is read at the end. Facts are plain data, so that a test can make them up.
 */
import type { ChannelEvent, UserEvent } from "@parley/protocol/Event"
import type { OpName } from "@parley/protocol/Frame"
import type { Position } from "@parley/protocol/Ids"

/** Facts of one run; a workload that would go beyond this has lost its bounds. */
const factsMax = 2_000_000

export type MutationOp = Extract<
  OpName,
  "send" | "edit" | "delete" | "create" | "update" | "join" | "leave" | "add_members" | "remove_members" | "mark_unread"
>

/** What a client wants done, with the id it keeps through all tries. */
export interface Mutation {
  readonly op: MutationOp
  readonly channel: string
  readonly cid: string
  readonly text?: string
  readonly mentions?: ReadonlyArray<string>
  readonly target?: number
  readonly members?: ReadonlyArray<string>
  readonly name?: string
  /** Of `mark_unread`. */
  readonly seq?: number
}

/** Where a fact was seen. A connection is numbered over the whole run. */
export interface Seat {
  readonly user: string
  readonly device: string
  readonly connection: number
}

export type Fact = Seat &
  (
    | { readonly _tag: "Asked"; readonly mutation: Mutation }
    /** The answer to a mutation of a channel. `n` only for messages. */
    | {
        readonly _tag: "Acked"
        readonly channel: string
        readonly cid: string
        readonly seq: number
        readonly at: number
        readonly n?: number
      }
    | {
        readonly _tag: "Refused"
        readonly channel: string
        readonly cid: string
        readonly code: string
        readonly retryable: boolean
      }
    /**
     * Events that were shown as all there is in `(from, to]`: pushed one by one (`live`), in a sync or a `channel` push
     * (`sync`), or as a page, which has messages only (`history`).
     */
    | {
        readonly _tag: "Shown"
        readonly how: "live" | "sync" | "history"
        readonly channel: string
        readonly from: number
        readonly to: number
        readonly events: ReadonlyArray<ChannelEvent>
      }
    /** A message that was shown outside of any range: the `last` of a head. */
    | { readonly _tag: "Glimpsed"; readonly channel: string; readonly event: ChannelEvent }
    /** Personal events: of a sync, after which the session is at `position`, or one live. */
    | {
        readonly _tag: "Personal"
        readonly how: "live" | "sync"
        readonly position: number
        readonly events: ReadonlyArray<UserEvent>
      }
    /** The answer to `read` or `mark_unread`. */
    | { readonly _tag: "Marked"; readonly channel: string; readonly cursor: Position }
    /** A frame that fits no schema, or no request. */
    | { readonly _tag: "Broken"; readonly what: string }
  )
export type FactOf<Tag extends Fact["_tag"]> = Extract<Fact, { readonly _tag: Tag }>

export type History = ReadonlyArray<Fact>

export class Recorder {
  readonly facts: Array<Fact> = []

  add(fact: Fact): void {
    if (this.facts.length >= factsMax) throw new Error(`a run of more than ${factsMax} facts`)
    this.facts.push(fact)
  }
}
