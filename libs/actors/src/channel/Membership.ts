/** Deciding on members: who may act in the channel at all, and create, join, leave, add, remove. */
import type { ChannelMutation } from "../owner/OwnerProtocol.ts"
import { ask, type Decision, plainEntry, type Question, reject } from "./Decision.ts"
import type { ChannelState } from "./ChannelApply.ts"

type Mutation<Op extends ChannelMutation["op"]> = ChannelMutation & { readonly op: Op }

/**
 * The answer that stops a caller at the door, if any: to one who is not in, a channel is the same as none. Asks for
 * `others` in the same go.
 */
export const entering = (question: Question, others: ReadonlyArray<string>): Decision | undefined => {
  const { admin, caller, state } = question
  if (!state.latest.exists) return reject("not_found")
  const unknown = learnAndFindUnknown(question, admin ? others : [caller.user, ...others])
  // Others are looked up for members only, or an outsider could make the store work.
  if (!admin && state.members.standing(caller.user) === "out") return reject("not_found")
  return unknown.length === 0 ? undefined : ask(state, { member: unknown })
}

/** Those of the users who are not in. */
export const outsiders = (question: Question, users: ReadonlyArray<string>): ReadonlyArray<string> =>
  users.filter((user) => question.state.members.standing(user) === "out")

const learnAndFindUnknown = (question: Question, users: ReadonlyArray<string>): ReadonlyArray<string> => {
  const { known, state } = question
  if (state.members.resident) return []
  const unknown: Array<string> = []
  for (const user of users) {
    if (state.members.standing(user) !== "unknown") continue
    const rows = known.memberships?.get(user)
    if (rows === undefined || !state.learn(user, rows, known.floor ?? state.floor)) unknown.push(user)
  }
  return unknown
}

export const decideCreate = (question: Question, mutation: Mutation<"create">): Decision => {
  const { caller, state } = question
  if (state.latest.exists) return reject("conflict", "the channel exists")
  const members = [...new Set([caller.user, ...mutation.members])]
  const fanout = members.length > state.limits.fanoutThreshold ? "read" : "write"
  return plainEntry(question, mutation, "created", { name: mutation.name, topic: mutation.topic, members, fanout })
}

export const decideJoin = (question: Question, mutation: Mutation<"join">): Decision => {
  const { caller, state } = question
  if (!state.latest.exists) return reject("not_found")
  const unknown = learnAndFindUnknown(question, [caller.user])
  if (unknown.length > 0) return ask(state, { member: unknown })
  if (state.members.standing(caller.user) !== "out") return reject("conflict", "already a member")
  if (!state.type.open && !question.admin) return reject("not_found")
  return plainEntry(question, mutation, "added", { members: [caller.user] })
}

export const decideLeave = (question: Question, mutation: Mutation<"leave">): Decision => {
  const { caller, state } = question
  const stopped = entering(question, [caller.user]) ?? fixed(question)
  if (stopped !== undefined) return stopped
  if (state.members.standing(caller.user) === "out") return reject("conflict", "not a member")
  return plainEntry(question, mutation, "removed", { members: [caller.user] }, heirPart(state, [caller.user]))
}

export const decideAdd = (question: Question, mutation: Mutation<"add_members">): Decision => {
  const members = [...new Set(mutation.members)]
  const stopped = entering(question, []) ?? fixed(question) ?? ownersOnly(question) ?? entering(question, members)
  if (stopped !== undefined) return stopped
  const outside = new Set(outsiders(question, members))
  const inside = members.filter((user) => !outside.has(user))
  if (inside.length > 0) return reject("conflict", `already members: ${inside.join(", ")}`)
  return plainEntry(question, mutation, "added", { members })
}

export const decideRemove = (question: Question, mutation: Mutation<"remove_members">): Decision => {
  const members = [...new Set(mutation.members)]
  const stopped = entering(question, []) ?? fixed(question) ?? ownersOnly(question) ?? entering(question, members)
  if (stopped !== undefined) return stopped
  const outside = outsiders(question, members)
  if (outside.length > 0) return reject("conflict", `no members: ${outside.join(", ")}`)
  return plainEntry(question, mutation, "removed", { members }, heirPart(question.state, members))
}

/** Answers one who may not change the channel. */
export const ownersOnly = (question: Question): Decision | undefined =>
  question.admin || question.state.members.standing(question.caller.user) === "owner"
    ? undefined
    : reject("forbidden", "only an owner of the channel may do this")

const fixed = (question: Question): Decision | undefined =>
  question.state.type.fixedMembers && !question.admin
    ? reject("forbidden", "the members of a channel of this type do not change")
    : undefined

/** With the last owner gone, the longest-standing member inherits: named in the log, so that nobody has to work it out. */
const heirPart = (state: ChannelState, leavers: ReadonlyArray<string>): string => {
  const heir = state.members.ownersStayWithout(leavers) ? undefined : state.members.heirOf(leavers)
  return heir === undefined ? "" : ',"heir":"' + heir + '"'
}
