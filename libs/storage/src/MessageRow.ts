/**
 * One message as a store keeps it, and how events change it. Three columns, each owned by the largest (generation, seq)
 * that wrote it (†32): the message itself, its newest edit, its delete. So events may come in any order and any number
 * of times and give the same row; an edit or a delete may precede its message. Pure; every backend uses it.
 *
 * Text is removed, not hidden (†16): a delete blanks the message and every edit of it, of whatever generation, and what
 * arrives after the delete is blanked on arrival. The one thing a delete does not touch is a message of a *later*
 * generation at the same seq: after a restore that is another message.
 */
import type { WireText } from "@parley/protocol/WireText"
import { deletedMessage, editedMessage } from "./CurrentForm.ts"
import type { StoredEvent, StoredMessage } from "./MessageStore.ts"

export interface MessageRow {
  /** Generation of the message event; -1: it has not come (yet), and nobody sees the row. */
  readonly created: number
  readonly n: number
  /** Server time of it, in ms; like `n` and `by` its message's own, whatever was changed since. */
  readonly at: number
  readonly by: string
  /** As it was sent, or the tombstone. */
  readonly body: WireText
  /** -1: never edited. `edit` is the edit event's body; "" where there is none, or a delete made it void. */
  readonly editGeneration: number
  readonly editSeq: number
  readonly edit: WireText
  /** -1: never deleted. */
  readonly deleteGeneration: number
  readonly deleteSeq: number
}

export const absentMessage: MessageRow = {
  created: -1,
  n: 0,
  at: 0,
  by: "",
  body: "",
  editGeneration: -1,
  editSeq: 0,
  edit: "",
  deleteGeneration: -1,
  deleteSeq: 0
}

export const isPresent = (row: MessageRow): boolean => row.created >= 0
export const isDeleted = (row: MessageRow): boolean => isPresent(row) && row.deleteGeneration >= row.created
/** Whether edits of this message must be stored void. */
export const voidsEdits = (row: MessageRow): boolean => row.deleteGeneration >= 0
/** Whose message counts here as one to be read; null: nobody's. */
export const countsFor = (row: MessageRow): string | null => (isPresent(row) && !isDeleted(row) ? row.by : null)

const later = (generation: number, seq: number, thanGeneration: number, thanSeq: number): boolean =>
  generation !== thanGeneration ? generation > thanGeneration : seq > thanSeq

/** The message event. Each of these four returns the same object where nothing changes. */
export const withMessage = (row: MessageRow, event: StoredEvent): MessageRow => {
  if (row.created >= event.generation) return row
  const deleted = row.deleteGeneration >= event.generation
  return {
    ...row,
    created: event.generation,
    n: event.n,
    at: event.at,
    by: event.by,
    body: deleted ? deletedMessage(event.body, row.deleteSeq) : event.body
  }
}

/** Another kind of event, of a later generation, took the message's place in the sequence. */
export const withoutMessage = (row: MessageRow, generation: number): MessageRow =>
  isPresent(row) && row.created < generation ? { ...row, created: -1, n: 0, at: 0, by: "", body: "" } : row

export const withEdit = (row: MessageRow, event: StoredEvent): MessageRow => {
  if (!later(event.generation, event.seq, row.editGeneration, row.editSeq)) return row
  return {
    ...row,
    editGeneration: event.generation,
    editSeq: event.seq,
    edit: voidsEdits(row) ? "" : event.body
  }
}

export const withDelete = (row: MessageRow, event: StoredEvent): MessageRow => {
  if (!later(event.generation, event.seq, row.deleteGeneration, row.deleteSeq)) return row
  const deleted = { ...row, deleteGeneration: event.generation, deleteSeq: event.seq, edit: "" }
  return isDeleted(deleted) ? { ...deleted, body: deletedMessage(row.body, event.seq) } : deleted
}

/** The body as everybody may see it now. Parses only what was edited. */
export const currentBody = (row: MessageRow): WireText =>
  !isDeleted(row) && row.edit !== "" && row.editGeneration >= row.created
    ? editedMessage(row.body, row.edit, row.editSeq)
    : row.body

export const toStoredMessage = (seq: number, row: MessageRow): StoredMessage => ({
  seq,
  n: row.n,
  by: row.by,
  deleted: isDeleted(row),
  body: currentBody(row)
})
