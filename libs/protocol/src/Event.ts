/**
 * What happens in a channel and in a user's session, as everybody sees it: the public body of a log record's entry.
 * A body is encoded once, by the owner; log, link and socket carry it as it is.
 */
import { Schema } from "effect"
import { ChannelId, ClientId, Seq, UserId } from "./Ids.ts"

const base = {
  /** Place in the channel's one sequence. */
  seq: Seq,
  /** Server time in ms since 1970: for display, never for order. */
  at: Schema.Int,
  /** Who did it. */
  by: UserId
}

/** `mentions` are users named directly; each is a member. `n` counts the messages of the channel up to this one. */
export const MessageEvent = Schema.Struct({
  ...base,
  kind: Schema.Literal("message"),
  cid: ClientId,
  n: Seq,
  text: Schema.String,
  mentions: Schema.optionalKey(Schema.Array(UserId)),
  /** Present in pages and syncs when an edit replaced the text: the seq of the newest edit. */
  edited: Schema.optionalKey(Seq),
  /** Present when a delete took the text away: the seq of the delete; `text` is empty then. */
  deleted: Schema.optionalKey(Seq)
})
export type MessageEvent = typeof MessageEvent.Type

/** Replaces text and mentions of the message `target`. Blank (`text` empty, `void` true) once the message was deleted. */
export const EditEvent = Schema.Struct({
  ...base,
  kind: Schema.Literal("edit"),
  cid: ClientId,
  target: Seq,
  text: Schema.String,
  mentions: Schema.optionalKey(Schema.Array(UserId)),
  void: Schema.optionalKey(Schema.Boolean)
})
export const DeleteEvent = Schema.Struct({ ...base, kind: Schema.Literal("delete"), cid: ClientId, target: Seq })

export const Fanout = Schema.Literals(["write", "read"])
export type Fanout = typeof Fanout.Type
export const Role = Schema.Literals(["owner", "member"])
export type Role = typeof Role.Type

/** The first event of a channel. */
export const CreatedEvent = Schema.Struct({
  ...base,
  kind: Schema.Literal("created"),
  cid: ClientId,
  name: Schema.String,
  topic: Schema.String,
  members: Schema.Array(UserId),
  fanout: Fanout
})
/** Absolute new values of what was changed. */
export const UpdatedEvent = Schema.Struct({
  ...base,
  kind: Schema.Literal("updated"),
  cid: ClientId,
  name: Schema.optionalKey(Schema.String),
  topic: Schema.optionalKey(Schema.String)
})
/** Members from this seq on (it is the first they may read). */
export const AddedEvent = Schema.Struct({ ...base, kind: Schema.Literal("added"), cid: ClientId, members: Schema.Array(UserId) })
/** Members up to and including this seq; nothing later reaches them (REVOKED-IS-OUT). */
export const RemovedEvent = Schema.Struct({ ...base, kind: Schema.Literal("removed"), cid: ClientId, members: Schema.Array(UserId) })
/** The live switch between write and read fan-out, made by the channel itself. */
export const FanoutEvent = Schema.Struct({ ...base, kind: Schema.Literal("fanout"), fanout: Fanout })

export const ChannelEvent = Schema.Union([
  MessageEvent, EditEvent, DeleteEvent, CreatedEvent, UpdatedEvent, AddedEvent, RemovedEvent, FanoutEvent
])
export type ChannelEvent = typeof ChannelEvent.Type
export type EventKind = ChannelEvent["kind"]

const personal = { user_seq: Seq, at: Schema.Int }

/** What a person would miss: logged in his session, each with its user seq. */
export const UserEvent = Schema.Union([
  Schema.Struct({ ...personal, kind: Schema.Literal("added"), channel: ChannelId, seq: Seq }),
  Schema.Struct({ ...personal, kind: Schema.Literal("removed"), channel: ChannelId, seq: Seq }),
  Schema.Struct({ ...personal, kind: Schema.Literal("mentioned"), channel: ChannelId, seq: Seq, by: UserId }),
  /** The cursor of a channel was set back: its generation is this event's user seq. */
  Schema.Struct({ ...personal, kind: Schema.Literal("marked_unread"), channel: ChannelId, seq: Seq, cid: ClientId }),
  /** Tokens issued before `before` (seconds since 1970) are void. */
  Schema.Struct({ ...personal, kind: Schema.Literal("revoked"), before: Schema.Int, cid: ClientId })
])
export type UserEvent = typeof UserEvent.Type
