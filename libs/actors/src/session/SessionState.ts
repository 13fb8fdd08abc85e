/**
 * The session as its shell uses it: the state and its changes (SessionApply), and here its answers: to notices from the member fan-out, which come at least once and in any order (†12), and to
 * what its user does. Changes nothing.
 */
import type { ApiFailure } from "@parley/protocol/ApiError"
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import { Limits } from "@parley/protocol/Limits"
import type { Entry } from "../log/Entry.ts"
import type { Caller } from "../owner/OwnerProtocol.ts"
import { personalBody, personalEvent, type Personal } from "./PersonalEvent.ts"
import type { SessionState } from "./SessionApply.ts"

export {
  apply,
  commit,
  dropMention,
  moveCursor,
  readUpTo,
  replay,
  sessionLimits,
  SessionState,
  standingOf,
  view
} from "./SessionApply.ts"

export type SessionDecision =
  /** Exactly one next event; the caller applies it. */
  | { readonly _tag: "Accept"; readonly entry: Entry }
  /** Done before, as this user seq; the answer waits for its commit where that is still to come. */
  | { readonly _tag: "Duplicate"; readonly userSeq: number; readonly committed: boolean }
  /** There is nothing to change. */
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Reject"; readonly failure: ApiFailure }

export interface Notice {
  readonly kind: "added" | "removed" | "mentioned"
  readonly channel: string
  readonly seq: number
  readonly by: string
}

interface Identity {
  readonly by: string
  readonly cid: string
  readonly bodyHash: string
  readonly hidden: string
}

const nothing: SessionDecision = { _tag: "Nothing" }

/** Ordered by the channel's seq: what is older than what the session knows of the channel changes nothing. */
export const decideNotice = (state: SessionState, notice: Notice, now: number): SessionDecision => {
  const { by, channel, kind, seq } = notice
  const again = state.pendingEntries().find((entry) => {
    const event = personalEvent(entry)
    return event.kind === kind && event.channel === channel && event.seq === seq
  })
  if (again !== undefined) return { _tag: "Duplicate", userSeq: again.seq, committed: false }
  const { left, since } = standing(state, channel)
  const identity = { by, cid: "", bodyHash: "", hidden: "" }
  switch (kind) {
    case "added":
      return seq <= since || seq <= left ? nothing : accept(state, now, identity, { kind, channel, seq })
    case "removed":
      return seq < since || seq <= left ? nothing : accept(state, now, identity, { kind, channel, seq })
    case "mentioned": {
      const index = state.mentions.get(channel)
      const known = index !== undefined && (seq <= index.from || index.seqs.includes(seq))
      return known || seq < since || seq <= left ? nothing : accept(state, now, identity, { kind, channel, seq, by })
    }
  }
}

/** Sets the cursor to `seq`, also backwards, in a new generation. That he may be in the channel is the channel's to say. */
export const decideMarkUnread = (
  state: SessionState,
  caller: Caller,
  channel: string,
  seq: number,
  cid: string,
  now: number
): SessionDecision => {
  const identity = {
    by: caller.user,
    cid,
    bodyHash: `mark_unread ${channel} ${seq}`,
    hidden: '{"device":"' + caller.device + '"}'
  }
  return decideId(state, identity, now) ?? accept(state, now, identity, { kind: "marked_unread", channel, seq, cid })
}

/** Voids tokens issued before `before`; never takes that back. */
export const decideRevoke = (state: SessionState, before: number, cid: string, now: number): SessionDecision => {
  const identity = { by: state.user, cid, bodyHash: `revoke ${before}`, hidden: "" }
  const known = decideId(state, identity, now)
  if (known !== undefined) return known
  return before <= state.revokedBefore ? nothing : accept(state, now, identity, { kind: "revoked", before, cid })
}

/**
 * What the client id alone decides; undefined: it is new. Ids not after T that the window does not have can't be told
 * from executed ones here, and there is no store of them: they are refused as expired, never executed (†30).
 */
const decideId = (state: SessionState, identity: Identity, now: number): SessionDecision | undefined => {
  const { bodyHash, by, cid } = identity
  const first = state.window.get(by, cid)
  if (first !== undefined) {
    return first.bodyHash === bodyHash
      ? { _tag: "Duplicate", userSeq: first.seq, committed: first.seq <= state.committedUserSeq }
      : { _tag: "Reject", failure: { code: "id_reused" } }
  }
  const time = clientIdTime(cid)
  if (time > now + Limits.clientIdAheadMsMax) return { _tag: "Reject", failure: { code: "id_ahead", server_time: now } }
  return time <= state.window.bound || time < now - Limits.idempotencyWindowMs
    ? { _tag: "Reject", failure: { code: "id_expired" } }
    : undefined
}

/** How he stands with a channel once all that is pending is committed: in since, or out since; 0: not. */
const standing = (state: SessionState, channel: string): { readonly since: number; readonly left: number } => {
  let since = state.channels.get(channel) ?? 0
  let left = state.left.get(channel) ?? 0
  for (const entry of state.pendingEntries()) {
    const event = personalEvent(entry)
    if (event.kind === "added" && event.channel === channel) [since, left] = [event.seq, 0]
    else if (event.kind === "removed" && event.channel === channel) [since, left] = [0, event.seq]
  }
  return { since, left }
}

const accept = (state: SessionState, now: number, identity: Identity, personal: Personal): SessionDecision => {
  const userSeq = state.userSeq + 1
  const at = Math.max(now, state.at)
  return {
    _tag: "Accept",
    entry: {
      topic: "user",
      id: state.user,
      generation: state.generation,
      seq: userSeq,
      kind: personal.kind,
      at,
      ...identity,
      n: 0,
      target: 0,
      body: personalBody(userSeq, at, personal)
    }
  }
}
