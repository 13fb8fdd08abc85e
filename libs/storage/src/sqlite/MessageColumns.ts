/** A row of `messages` with its texts as SQLite has them, and as MessageRow. */
import type { WireText } from "@parley/protocol/WireText"
import type { MessageRow } from "../MessageRow.ts"

export const toBlob = (wire: WireText): Uint8Array => Buffer.from(wire, "latin1")
export const fromBlob = (blob: Uint8Array): WireText =>
  Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength).toString("latin1")

export interface MessageColumns {
  readonly seq: number
  readonly created: number
  readonly n: number
  readonly at: number
  readonly sender: string
  readonly edit_generation: number
  readonly edit_seq: number
  readonly delete_generation: number
  readonly delete_seq: number
  readonly edit: Uint8Array
  readonly body: Uint8Array
}

export const messageColumns =
  "id & 1099511627775 AS seq, created, n, at, sender, edit_generation, edit_seq, delete_generation, delete_seq, edit, body"

/** Rows of the range of ids first, then the text of each: `CROSS` keeps SQLite from another order. */
export const messagesWithTexts = "messages CROSS JOIN texts USING (place)"

export const toRow = (columns: MessageColumns): MessageRow => ({
  created: columns.created,
  n: columns.n,
  at: columns.at,
  by: columns.sender,
  body: fromBlob(columns.body),
  editGeneration: columns.edit_generation,
  editSeq: columns.edit_seq,
  edit: fromBlob(columns.edit),
  deleteGeneration: columns.delete_generation,
  deleteSeq: columns.delete_seq
})
