/** Deciding on messages: send, edit and delete, and who may. */
import type { StoredMessage } from "@parley/storage/MessageStore"
import type { ChannelMutation } from "../owner/OwnerProtocol.ts"
import { ask, type Decision, nextEntry, nextTime, plainEntry, type Question, reject } from "./Decision.ts"
import { editBody, messageBody, textOf } from "./EventBody.ts"
import { entering, outsiders } from "./Membership.ts"
import { isDeleted } from "./Tail.ts"

type Send = ChannelMutation & { readonly op: "send" }
type Edit = ChannelMutation & { readonly op: "edit" }
type Delete = ChannelMutation & { readonly op: "delete" }

export const decideSend = (question: Question, mutation: Send): Decision => {
  const { caller, now, state } = question
  const stopped = entering(question, mutation.mentions) ?? namesOutsiders(question, mutation.mentions)
  if (stopped !== undefined) return stopped
  const fields = { seq: state.seq + 1, at: nextTime(state, now), by: caller.user, cid: mutation.cid, n: state.n + 1 }
  const body = messageBody(fields, mutation.text, mutation.mentions, 0, 0)
  return nextEntry(question, mutation, { kind: "message", body, n: fields.n, target: 0 })
}

export const decideEdit = (question: Question, mutation: Edit): Decision => {
  const { admin, caller, now, state } = question
  const stopped = entering(question, mutation.mentions)
  if (stopped !== undefined) return stopped
  const target = findTarget(question, mutation.target)
  if ("_tag" in target) return target
  if (target.by !== caller.user && !admin) return reject("forbidden", "only the author may edit a message")
  if (target.deleted) return reject("conflict", "the message was deleted")
  const outside = namesOutsiders(question, mutation.mentions)
  if (outside !== undefined) return outside
  const fields = { seq: state.seq + 1, at: nextTime(state, now), by: caller.user, cid: mutation.cid }
  const body = editBody(fields, mutation.target, mutation.text, mutation.mentions, false)
  const more =
    authorOf(target, caller.user) + unmentioned(target.mentions.filter((user) => !mutation.mentions.includes(user)))
  return nextEntry(question, mutation, { kind: "edit", body, n: state.n, target: mutation.target, more })
}

export const decideDelete = (question: Question, mutation: Delete): Decision => {
  const { admin, caller, state } = question
  const stopped = entering(question, [])
  if (stopped !== undefined) return stopped
  const target = findTarget(question, mutation.target)
  if ("_tag" in target) return target
  if (target.by !== caller.user && !admin && state.members.standing(caller.user) !== "owner") {
    return reject("forbidden", "only the author or the channel's owner may delete a message")
  }
  if (target.deleted) return reject("conflict", "the message was deleted before")
  const more = authorOf(target, caller.user) + unmentioned(target.mentions)
  return plainEntry(question, mutation, "delete", { target: mutation.target }, more)
}

/** Whose message it is, where that is somebody else: his counts do not change, which those who count have to know. */
const authorOf = (target: Target, caller: string): string =>
  target.by === caller ? "" : ',"author":"' + target.by + '"'

/** Whom the message names no longer, for the member fan-out. Ids need no escaping. */
const unmentioned = (users: ReadonlyArray<string>): string =>
  users.length === 0 ? "" : ',"unmentioned":["' + users.join('","') + '"]'

const namesOutsiders = (question: Question, mentions: ReadonlyArray<string>): Decision | undefined => {
  const outside = outsiders(question, mentions)
  return outside.length === 0 ? undefined : reject("invalid", `mentions who are no members: ${outside.join(", ")}`)
}

interface Target extends Pick<StoredMessage, "by" | "deleted"> {
  readonly mentions: ReadonlyArray<string>
}

/** The message that a mutation changes, as it is with all that is pending; or the answer where there is none. */
const findTarget = (question: Question, seq: number): Target | Decision => {
  const { known, state } = question
  if (seq < 1 || seq > state.seq) return reject("not_found", "there is no such message")
  const changes = state.pendingEntries().filter((entry) => entry.target === seq)
  const gone = changes.some((entry) => entry.kind === "delete")
  const edit = changes.findLast((entry) => entry.kind === "edit")
  const held = state.tail.get(seq)
  if (held !== undefined || seq > state.committedSeq) {
    const event = held ?? state.pendingEntries().find((entry) => entry.seq === seq)
    return event === undefined || event.kind !== "message"
      ? reject("not_found", "there is no such message")
      : {
          by: event.by,
          deleted: gone || (held !== undefined && isDeleted(held)),
          mentions: textOf((edit ?? event).body).mentions
        }
  }
  const { target } = known
  if (target === undefined || (target !== null && target.seq !== seq) || !state.joins(known.floor ?? state.floor)) {
    return ask(state, { target: seq })
  }
  if (target === null) return reject("not_found", "there is no such message")
  const change = state.changeOf(seq, state.tailFrom)
  const mentions = edit === undefined ? (change ?? textOf(target.body)).mentions : textOf(edit.body).mentions
  return { by: target.by, deleted: target.deleted || gone || change?.deleted !== undefined, mentions }
}
