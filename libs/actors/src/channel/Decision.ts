/**
 * What the channel answers to a mutation, and what it may have to ask the store first. Deciding changes nothing that
 * counts: only `apply` of the accepted entry does.
 */
import type { ApiFailure, ErrorCode } from "@parley/protocol/ApiError"
import type { Membership } from "@parley/storage/Directory"
import type { StoredAck, StoredMessage } from "@parley/storage/MessageStore"
import type { Entry } from "../log/Entry.ts"
import type { Caller, ChannelAck, ChannelMutation } from "../owner/OwnerProtocol.ts"
import type { ChannelState } from "./ChannelApply.ts"
import { plainBody } from "./EventBody.ts"

export type Need =
  /** An id older than T that the window does not have (†29). */
  | { readonly id: string; readonly sender: string }
  /** A message older than the tail. */
  | { readonly target: number }
  /** Users of whom a large channel does not know here whether they are in. */
  | { readonly member: ReadonlyArray<string> }

/** What the store answered. `floor` is that of the `Need`; named, a tail that was cut above it meanwhile asks again (†31). */
export interface Known {
  readonly floor?: number
  readonly id?: StoredAck | null
  readonly target?: StoredMessage | null
  readonly memberships?: ReadonlyMap<string, ReadonlyArray<Membership>>
}

export type Decision =
  /** Exactly one next event; the caller applies it. */
  | { readonly _tag: "Accept"; readonly entry: Entry }
  /** Done before: its ack waits for the commit where that is still to come. */
  | { readonly _tag: "Duplicate"; readonly seq: number; readonly ack: ChannelAck; readonly committed: boolean }
  | { readonly _tag: "Reject"; readonly failure: ApiFailure }
  /** Ask the store, then decide again with the answer. `floor` as of now. */
  | { readonly _tag: "Need"; readonly need: Need; readonly floor: number }

/** All that a feature's decision reads. */
export interface Question {
  readonly state: ChannelState
  readonly caller: Caller
  /** A server with an API key: may do everything, in the name of `caller.user`. */
  readonly admin: boolean
  readonly now: number
  readonly known: Known
  readonly bodyHash: string
}

export const reject = (code: ErrorCode, detail?: string): Decision => ({
  _tag: "Reject",
  failure: detail === undefined ? { code } : { code, detail }
})

export const ask = (state: ChannelState, need: Need): Decision => ({ _tag: "Need", need, floor: state.floor })

/** The private part of an entry. Ids need no escaping. */
const hiddenPart = (question: Question, more: string): string =>
  '{"device":"' + question.caller.device + '"' + (question.admin ? ',"admin":true' : "") + more + "}"

/** Time of the channel's next event: never before the last one's, whatever the clock says. */
export const nextTime = (state: ChannelState, now: number): number => Math.max(now, state.at)

/** The entry of the channel's next event. `more` is a continuation of the private JSON object. */
export const nextEntry = (
  question: Question,
  mutation: ChannelMutation,
  event: {
    readonly kind: string
    readonly body: string
    readonly n: number
    readonly target: number
    readonly more?: string
  }
): Decision => {
  const { bodyHash, caller, now, state } = question
  return {
    _tag: "Accept",
    entry: {
      topic: "channel",
      id: state.channel,
      generation: state.generation,
      seq: state.seq + 1,
      kind: event.kind,
      at: nextTime(state, now),
      by: caller.user,
      cid: mutation.cid,
      bodyHash,
      n: event.n,
      target: event.target,
      hidden: hiddenPart(question, event.more ?? ""),
      body: event.body
    }
  }
}

/** The same for an event of a rare kind, from its own fields. */
export const plainEntry = (
  question: Question,
  mutation: ChannelMutation,
  kind: string,
  fields: { readonly [field: string]: unknown },
  more = ""
): Decision => {
  const { caller, now, state } = question
  const base = { seq: state.seq + 1, at: nextTime(state, now), by: caller.user, kind, cid: mutation.cid }
  const target = "target" in mutation ? mutation.target : 0
  return nextEntry(question, mutation, { kind, body: plainBody({ ...base, ...fields }), n: state.n, target, more })
}
