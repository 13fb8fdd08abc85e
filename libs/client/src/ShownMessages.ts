/**
 * Messages as a person sees them: those of the channel, with own edits and deletes that are on their way laid over them,
 * then own messages that have no seq yet.
 */
import type { OutboxEntry } from "./OutboxEntry.ts"
import type { PlainMessage } from "./PlainFrame.ts"
import type { MessageReceipt } from "./Receipts.ts"

export interface ViewMessage {
  /** The client id: the same before and after the ack (but for an id that the server refused). */
  readonly key: string
  /** Its place; null until the server acknowledged it. */
  readonly seq: number | null
  readonly at: number
  readonly by: string
  readonly text: string
  readonly mentions: ReadonlyArray<string>
  readonly edited: boolean
  readonly deleted: boolean
  /** `sending` also while an edit or delete of it is on its way. */
  readonly state: "sending" | "sent" | "failed"
  readonly error: { readonly code: string; readonly message: string } | null
  /** Of an own message that has its place, in a channel that has receipts. */
  readonly receipt: MessageReceipt | null
}

export interface Preview {
  readonly seq: number
  readonly at: number
  readonly by: string
  readonly text: string
  readonly deleted: boolean
}

/** The same message gives the same object, so that a screen redraws only what changed. */
const shownOf = new WeakMap<PlainMessage, ViewMessage>()

const shown = (message: PlainMessage, receipt: MessageReceipt | null): ViewMessage => {
  const known = shownOf.get(message)
  if (known !== undefined && sameReceipt(known.receipt, receipt)) return known
  const made: ViewMessage = {
    key: message.cid,
    seq: message.seq,
    at: message.at,
    by: message.by,
    text: message.text,
    mentions: message.mentions ?? [],
    edited: message.edited !== undefined && message.deleted === undefined,
    deleted: message.deleted !== undefined,
    state: "sent",
    error: null,
    receipt
  }
  shownOf.set(message, made)
  return made
}

const sameReceipt = (one: MessageReceipt | null, other: MessageReceipt | null): boolean =>
  one?.readBy === other?.readBy && one?.deliveredTo === other?.deliveredTo && one?.others === other?.others

export const shownMessages = (
  messages: ReadonlyArray<PlainMessage>,
  entries: ReadonlyArray<OutboxEntry>,
  me: string,
  receiptOf: ((message: PlainMessage) => MessageReceipt) | null
): ReadonlyArray<ViewMessage> => {
  const list = messages.map((message) =>
    shown(message, receiptOf !== null && message.by === me && message.deleted === undefined ? receiptOf(message) : null)
  )
  if (entries.length === 0) return list
  const held = new Set(messages.map(({ cid }) => cid))
  for (const { cid, at, mutation, state, error, acked } of entries) {
    if (mutation.op === "send") {
      // Its event may have been applied in this very turn.
      if (held.has(cid)) continue
      const { text, mentions = [] } = mutation.fields
      const place = { seq: acked?.seq ?? null, at: acked?.at ?? at, state: acked === null ? state : ("sent" as const) }
      list.push({ key: cid, ...place, by: me, text, mentions, edited: false, deleted: false, error, receipt: null })
    } else if (mutation.op === "edit" || mutation.op === "delete") {
      const { target } = mutation.fields
      const place = list.findIndex((message) => message.seq === target)
      const message = list[place]
      if (message === undefined || message.deleted) continue
      const change = mutation.op === "edit" ? { text: mutation.fields.text, edited: true } : { text: "", deleted: true }
      list[place] = { ...message, ...change, state: "sending" }
    }
  }
  return list
}

export const previewOf = (message: PlainMessage | null): Preview | null => {
  if (message === null) return null
  const { seq, at, by, text, deleted } = message
  return { seq, at, by, text, deleted: deleted !== undefined }
}
