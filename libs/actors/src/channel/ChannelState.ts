/**
 * The channel as its shell uses it: the state and its changes (ChannelApply), and here its answer to a mutation. First the client id (EXACTLY-ONCE-EFFECT): one that was executed gets the ack of
 * that, whatever the caller may do by now. Then room, then what the op's own file says. Pure but for what it learns of
 * members from the store. Hot: watched by `bench send`.
 */
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import { Limits } from "@parley/protocol/Limits"
import type { Caller, ChannelMutation } from "../owner/OwnerProtocol.ts"
import type { ChannelState } from "./ChannelApply.ts"
import { ask, type Decision, type Known, type Question, reject } from "./Decision.ts"
import { decideAdd, decideCreate, decideJoin, decideLeave, decideRemove } from "./Membership.ts"
import { decideDelete, decideEdit, decideSend } from "./Messages.ts"
import { mutationHash } from "./MutationHash.ts"
import { decideUpdate } from "./Settings.ts"

export { apply, ChannelState, commit, replay } from "./ChannelApply.ts"
export { type ChannelLimits, channelLimitsDefault } from "./ChannelLimits.ts"
export type { Decision, Known, Need } from "./Decision.ts"
export { mutationHash } from "./MutationHash.ts"
export { followUp } from "./Settings.ts"

export const decide = (
  state: ChannelState,
  caller: Caller,
  admin: boolean,
  mutation: ChannelMutation,
  now: number,
  known: Known
): Decision => {
  const bodyHash = mutationHash(mutation)
  const before = decideId(state, caller.user, mutation.cid, bodyHash, now, known)
  if (before !== undefined) return before
  if (state.tail.pinnedBytes + state.pendingBytes > state.limits.tailPinnedBytesMax) {
    return reject("log_full", "too much of the channel is not in the store yet")
  }
  return decideOp({ state, caller, admin, now, known, bodyHash }, mutation)
}

const decideOp = (question: Question, mutation: ChannelMutation): Decision => {
  switch (mutation.op) {
    case "send":
      return decideSend(question, mutation)
    case "edit":
      return decideEdit(question, mutation)
    case "delete":
      return decideDelete(question, mutation)
    case "create":
      return decideCreate(question, mutation)
    case "update":
      return decideUpdate(question, mutation)
    case "join":
      return decideJoin(question, mutation)
    case "leave":
      return decideLeave(question, mutation)
    case "add_members":
      return decideAdd(question, mutation)
    case "remove_members":
      return decideRemove(question, mutation)
  }
}

/** What the client id alone decides; undefined: it is new. */
const decideId = (
  state: ChannelState,
  sender: string,
  cid: string,
  bodyHash: string,
  now: number,
  known: Known
): Decision | undefined => {
  const remembered = state.window.get(sender, cid)
  if (remembered !== undefined) return decideAgain(state, remembered, bodyHash)
  const time = clientIdTime(cid)
  if (time > now + Limits.clientIdAheadMsMax) return { _tag: "Reject", failure: { code: "id_ahead", server_time: now } }
  if (time < now - Limits.idempotencyWindowMs) return reject("id_expired")
  if (time > state.window.bound) return undefined
  // Not in the window and not after T: the store has it if it was ever executed, for the window keeps what the store
  // may not have. A tail that was cut after the store was asked could hide one that was executed in between.
  if (known.id === undefined || !state.joins(known.floor ?? state.floor)) return ask(state, { id: cid, sender })
  for (const event of state.tail.after(state.tailFrom)) {
    if (event.cid === cid && event.by === sender && event.bodyHash !== "") return decideAgain(state, event, bodyHash)
  }
  return known.id === null ? undefined : decideAgain(state, known.id, bodyHash)
}

/** The answer to an id that was executed: the first ack, if it is the same mutation. */
const decideAgain = (
  state: ChannelState,
  first: { readonly seq: number; readonly n: number; readonly at: number; readonly bodyHash: string },
  bodyHash: string
): Decision => {
  if (first.bodyHash !== bodyHash) return reject("id_reused")
  const ack = { seq: first.seq, n: first.n, at: first.at, generation: state.generation }
  return { _tag: "Duplicate", seq: first.seq, ack, committed: first.seq <= state.committedSeq }
}
