/**
 * The server does not echo an event to the connection that caused it: the ack says the same. This is the event that an
 * ack stands for, where mutation and ack together hold all of it.
 */
import type { AnswerOf, PlainEvent } from "./PlainFrame.ts"
import type { MutationName, OutboxEntry } from "./OutboxEntry.ts"

export const eventOfAck = (
  { cid, mutation }: OutboxEntry,
  answer: Exclude<AnswerOf<MutationName>, AnswerOf<"mark_unread">>,
  me: string
): PlainEvent | undefined => {
  const base = { seq: answer.seq, at: answer.at, by: me, cid }
  switch (mutation.op) {
    case "send": {
      const { text, mentions } = mutation.fields
      const n = "n" in answer ? answer.n : 0
      return { ...base, kind: "message", n, text, ...(mentions === undefined ? {} : { mentions }) }
    }
    case "edit":
      return { ...base, kind: "edit", ...mutation.fields }
    case "delete":
      return { ...base, kind: "delete", ...mutation.fields }
    case "update":
      return { ...base, kind: "updated", ...mutation.fields }
    // All of them or none: otherwise the answer is `conflict`.
    case "add_members":
      return { ...base, kind: "added", ...mutation.fields }
    case "remove_members":
      return { ...base, kind: "removed", ...mutation.fields }
    default:
      return undefined
  }
}
