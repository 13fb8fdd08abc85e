/**
 * The rows of `messages` and `channel_events`: where they are, how they are written, how they are read. A message row is
 * the columns of MessageRow, of which what never changes is one value, `sent`; it has no sender where an event of a later
 * generation than the first took the place for something else, so that each table knows by itself what is not its own
 * any more.
 */
import type { WireText } from "@parley/protocol/WireText"
import { messageTombstone } from "../CurrentForm.ts"
import { isDeleted, type MessageRow, voidsEdits } from "../MessageRow.ts"
import type { Row } from "./Cassandra.ts"
import { select, Upsert } from "./Cql.ts"

/** Seqs in a partition. */
export const bucketSeqs = 10_000
export const bucketOf = (seq: number): number => Math.floor(seq / bucketSeqs)

const place = { key: ["channel", "bucket", "seq"], partitionColumns: 2 }
export const putMessage = new Upsert({
  table: "messages",
  ...place,
  set: ["sent", "body"]
})
export const putEdit = new Upsert({ table: "messages", ...place, set: ["edit_generation", "edit_seq", "edit"] })
export const putDelete = new Upsert({ table: "messages", ...place, set: ["delete_generation", "delete_seq", "edit"] })
export const blankMessage = new Upsert({ table: "messages", ...place, set: ["body"] })
export const putEvent = new Upsert({
  table: "channel_events",
  ...place,
  set: ["generation", "kind", "target", "body"]
})
export const voidEvent = new Upsert({ table: "channel_events", ...place, set: ["body"] })

export const noText = Buffer.alloc(0)
export const toBlob = (body: WireText): Buffer => Buffer.from(body, "latin1")
// as: the columns are blobs
const fromBlob = (column: unknown): WireText => (column === null ? "" : (column as Buffer).toString("latin1"))

const all = "seq, sent, body, edit_generation, edit_seq, edit, delete_generation, delete_seq"
const within = "channel = ? AND bucket = ? AND seq > ? AND seq < ?"

export const selectOldest = select(`SELECT ${all} FROM messages WHERE ${within} ORDER BY seq ASC LIMIT ?`)
export const selectNewest = select(`SELECT ${all} FROM messages WHERE ${within} ORDER BY seq DESC LIMIT ?`)
export const selectSent = select("SELECT sent FROM messages WHERE channel = ? AND bucket = ? AND seq = ?")
export const selectDeleted = select(
  "SELECT delete_generation FROM messages WHERE channel = ? AND bucket = ? AND seq = ?"
)
export const selectEvents = select(
  `SELECT seq, generation, kind, body FROM channel_events WHERE ${within} ORDER BY seq ASC LIMIT ?`
)
export const selectEvent = select(
  "SELECT generation, kind, target, body FROM channel_events WHERE channel = ? AND bucket = ? AND seq = ?"
)

export const numberOf = (row: Row, column: string): number => Number(row.get(column) ?? -1)
export const textOf = (row: Row, column: string): string => String(row.get(column) ?? "")

/** What a message's event said of it but for its text. */
export interface Sent {
  /** -1: nothing has its place yet. */
  readonly generation: number
  readonly n: number
  readonly at: number
  readonly cid: string
  /** "": it has no message's place, or no more. */
  readonly by: string
}

const notSent: Sent = { generation: -1, n: -1, at: -1, cid: "", by: "" }

/** For people too, who look at rows. Ids have no spaces. */
export const sentText = ({ at, by, cid, generation, n }: Sent): string => `${generation} ${n} ${at} ${cid} ${by}`
/** An event that is no message has the place. */
export const notSentText = (generation: number): string => `${generation}`

export const sentOf = (row: Row): Sent => {
  const text = textOf(row, "sent")
  if (text === "") return notSent
  const [generation, n, at, cid = "", by = ""] = text.split(" ")
  if (by === "") return { ...notSent, generation: Number(generation) }
  return { generation: Number(generation), n: Number(n), at: Number(at), cid, by }
}

/** Whether a message has its place: there is one, and no other event of a later generation is there. */
export const isMessage = ({ by }: Sent): boolean => by !== ""

export const messageRowOf = (row: Row, sent: Sent): MessageRow => {
  const message = {
    created: isMessage(sent) ? sent.generation : -1,
    n: sent.n,
    at: sent.at,
    by: sent.by,
    body: fromBlob(row.get("body")),
    editGeneration: numberOf(row, "edit_generation"),
    editSeq: Math.max(0, numberOf(row, "edit_seq")),
    edit: fromBlob(row.get("edit")),
    deleteGeneration: numberOf(row, "delete_generation"),
    deleteSeq: Math.max(0, numberOf(row, "delete_seq"))
  }
  if (!voidsEdits(message)) return message
  const { at, by, deleteSeq, n } = message
  const { cid } = sent
  const seq = numberOf(row, "seq")
  return {
    ...message,
    edit: "",
    body: isDeleted(message) ? messageTombstone({ seq, at, by, cid, n }, deleteSeq) : message.body
  }
}

/** An event that is no message; undefined: its place is a message's. */
export interface EventRow {
  readonly seq: number
  readonly generation: number
  readonly body: WireText
}
export const eventRowOf = (row: Row): EventRow | undefined =>
  textOf(row, "kind") === ""
    ? undefined
    : { seq: numberOf(row, "seq"), generation: numberOf(row, "generation"), body: fromBlob(row.get("body")) }

export const bodyOf = (row: Row): WireText => fromBlob(row.get("body"))
