/**
 * Bodies of channel events as wire text, field for field what the Schema of `@parley/protocol/Event` encodes (a
 * property test says so). Messages are concatenated by hand: this is on the hot path, watched by `bench send`. Ids need
 * no escaping, their grammar has nothing to escape; text goes through `JSON.stringify`.
 */
import type { ChannelEvent, Fanout } from "@parley/protocol/Event"
import { fromWire, toWire, type WireText } from "@parley/protocol/WireText"

const mentionsField = (mentions: ReadonlyArray<string>): string =>
  mentions.length === 0 ? "" : ',"mentions":["' + mentions.join('","') + '"]'

export interface MessageFields {
  readonly seq: number
  readonly at: number
  readonly by: string
  readonly cid: string
  readonly n: number
}

/** `edited` and `deleted` are 0 where nothing of the kind happened. */
export const messageBody = (
  fields: MessageFields,
  text: string,
  mentions: ReadonlyArray<string>,
  edited: number,
  deleted: number
): WireText =>
  '{"seq":' +
  fields.seq +
  ',"at":' +
  fields.at +
  ',"by":"' +
  fields.by +
  '","kind":"message","cid":"' +
  fields.cid +
  '","n":' +
  fields.n +
  ',"text":' +
  toWire(JSON.stringify(text)) +
  mentionsField(mentions) +
  (edited === 0 ? "" : ',"edited":' + edited) +
  (deleted === 0 ? "" : ',"deleted":' + deleted) +
  "}"

export const editBody = (
  fields: Omit<MessageFields, "n">,
  target: number,
  text: string,
  mentions: ReadonlyArray<string>,
  blank: boolean
): WireText =>
  '{"seq":' +
  fields.seq +
  ',"at":' +
  fields.at +
  ',"by":"' +
  fields.by +
  '","kind":"edit","cid":"' +
  fields.cid +
  '","target":' +
  target +
  ',"text":' +
  toWire(JSON.stringify(text)) +
  mentionsField(mentions) +
  (blank ? ',"void":true' : "") +
  "}"

/** An event of a rare kind; fields in the order of its Schema are the caller's business. */
export const plainBody = (event: { readonly [field: string]: unknown }): WireText => toWire(JSON.stringify(event))

// as: bodies are made by this module and the log's hashes vouch for them, so they are what the Schema says
export const parseBody = (body: WireText): ChannelEvent => JSON.parse(fromWire(body)) as ChannelEvent

const messageStart = /^\{"seq":(\d+),"at":(\d+),"by":"([^"]*)","kind":"message","cid":"([^"]*)","n":(\d+),/
const deletedEnd = /,"deleted":(\d+)\}$/

/** What a message's body says besides its text, without reading that; undefined: it is another event. */
export const messageFieldsOf = (body: WireText): (MessageFields & { readonly deleted: number }) | undefined => {
  const start = messageStart.exec(body)
  if (start === null) return undefined
  const [, seq, at, by = "", cid = "", n] = start
  return { seq: Number(seq), at: Number(at), by, cid, n: Number(n), deleted: Number(deletedEnd.exec(body)?.[1] ?? 0) }
}

/** Text and mentions of a message or an edit. */
export const textOf = (body: WireText): { readonly text: string; readonly mentions: ReadonlyArray<string> } => {
  const event = parseBody(body)
  return event.kind === "message" || event.kind === "edit"
    ? { text: event.text, mentions: event.mentions ?? [] }
    : { text: "", mentions: [] }
}

/** A message's body again with another text, or none (`deleted` above 0). */
export const changedMessage = (
  body: WireText,
  change: {
    readonly text: string
    readonly mentions: ReadonlyArray<string>
    readonly edited: number
    readonly deleted: number
  }
): WireText => {
  const event = parseBody(body)
  if (event.kind !== "message") return body
  const edited = Math.max(event.edited ?? 0, change.edited)
  return change.deleted > 0
    ? messageBody(event, "", [], 0, change.deleted)
    : messageBody(event, change.text, change.mentions, edited, event.deleted ?? 0)
}

/** The users an event adds, removes or creates the channel with. */
export const membersOf = (body: WireText): ReadonlyArray<string> => {
  const event = parseBody(body)
  return event.kind === "added" || event.kind === "removed" || event.kind === "created" ? event.members : []
}

/** What an event sets of name, topic and fan-out. */
export const settingsOf = (
  body: WireText
): { readonly name?: string; readonly topic?: string; readonly fanout?: Fanout } => {
  const event = parseBody(body)
  switch (event.kind) {
    case "created":
      return { name: event.name, topic: event.topic, fanout: event.fanout }
    case "updated":
      return {
        ...(event.name === undefined ? {} : { name: event.name }),
        ...(event.topic === undefined ? {} : { topic: event.topic })
      }
    case "fanout":
      return { fanout: event.fanout }
    default:
      return {}
  }
}
