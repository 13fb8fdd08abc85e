/**
 * Bodies in their current form: a message after its newest edit, a message after its delete, an edit whose message was
 * deleted. A delete keeps a list of fields and drops every other, known today or not: what was deleted has no text in
 * tail, event table, index or replay (†16). Owners' tails and stores use the same functions, so they serve the same bytes.
 */
import { fromWire, toWire, type WireText } from "@parley/protocol/WireText"

type Body = Readonly<Record<string, unknown>>

// Reason for `as`: a body is the JSON object that the owner encoded.
const parse = (body: WireText): Body => JSON.parse(fromWire(body)) as Body
const encode = (body: Body): WireText => toWire(JSON.stringify(body))

/** What remains of a deleted message, and of an edit of one; a new field must be put here to outlive a delete. */
const deletedMessageFields = ["seq", "at", "by", "kind", "cid", "n"]
const voidEditFields = ["seq", "at", "by", "kind", "cid", "target"]

const pick = (body: Body, fields: ReadonlyArray<string>): Record<string, unknown> => {
  const kept: Record<string, unknown> = {}
  for (const field of fields) {
    if (body[field] !== undefined) kept[field] = body[field]
  }
  return kept
}

/** `message` with text and mentions of `edit` (an edit event's body). */
export const editedMessage = (message: WireText, edit: WireText, editSeq: number): WireText => {
  const { text: _text, mentions: _mentions, edited: _edited, ...kept } = parse(message)
  const { text, mentions } = parse(edit)
  return encode({ ...kept, text, ...(mentions === undefined ? {} : { mentions }), edited: editSeq })
}

/** The tombstone of `message`; of a tombstone too. */
export const deletedMessage = (message: WireText, deleteSeq: number): WireText =>
  encode({ ...pick(parse(message), deletedMessageFields), text: "", deleted: deleteSeq })

/**
 * The same of a message whose body is gone, by what a store keeps of it: a field that is to outlive a delete must be
 * there as well.
 */
export const messageTombstone = (
  kept: { readonly seq: number; readonly at: number; readonly by: string; readonly cid: string; readonly n: number },
  deleteSeq: number
): WireText => {
  const { cid, ...others } = kept
  const fields = { ...others, kind: "message", ...(cid === "" ? {} : { cid }) }
  return encode({ ...pick(fields, deletedMessageFields), text: "", deleted: deleteSeq })
}

/** An edit event of a message that was deleted. */
export const voidEdit = (edit: WireText): WireText =>
  encode({ ...pick(parse(edit), voidEditFields), text: "", void: true })
