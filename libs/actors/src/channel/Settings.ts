/** Deciding on the channel's settings: name and topic by its owners, the fan-out mode by the channel itself. */
import type { Entry } from "../log/Entry.ts"
import type { ChannelMutation } from "../owner/OwnerProtocol.ts"
import type { ChannelState } from "./ChannelApply.ts"
import { type Decision, nextTime, plainEntry, type Question, reject } from "./Decision.ts"
import { plainBody } from "./EventBody.ts"
import { entering, ownersOnly } from "./Membership.ts"

export const decideUpdate = (question: Question, mutation: ChannelMutation & { readonly op: "update" }): Decision => {
  const stopped = entering(question, []) ?? ownersOnly(question)
  if (stopped !== undefined) return stopped
  if (mutation.name === undefined && mutation.topic === undefined) return reject("invalid", "nothing to update")
  return plainEntry(question, mutation, "updated", {
    ...(mutation.name === undefined ? {} : { name: mutation.name }),
    ...(mutation.topic === undefined ? {} : { topic: mutation.topic })
  })
}

/**
 * The event that the channel makes itself after a change of members, if one is due: the switch between write and read
 * fan-out, with hysteresis, so that a channel at the threshold does not flap. It bears the name of whoever made it due.
 */
export const followUp = (state: ChannelState, now: number): Entry | undefined => {
  const { fanoutHysteresis, fanoutThreshold } = state.limits
  const { exists, fanout, members } = state.latest
  const due = fanout === "write" ? members > fanoutThreshold : members < fanoutThreshold - fanoutHysteresis
  if (!exists || !due) return undefined
  const seq = state.seq + 1
  const at = nextTime(state, now)
  const next = fanout === "write" ? "read" : "write"
  return {
    topic: "channel",
    id: state.channel,
    generation: state.generation,
    seq,
    kind: "fanout",
    at,
    by: state.by,
    cid: "",
    bodyHash: "",
    n: state.n,
    target: 0,
    hidden: "",
    body: plainBody({ seq, at, by: state.by, kind: "fanout", fanout: next })
  }
}
