/**
 * What happens in a channel and in a user's session, as everybody sees it: the public body of a log record's entry.
 * A body is encoded once, by the owner; log, link and socket carry it as it is.
 */
import { Schema } from "effect"
import { ChannelId, ClientId, Millis, Seq, UserId } from "./Ids.ts"
import { means } from "./Meaning.ts"

const base = {
  seq: Seq.pipe(means("Place in the channel's one sequence.")),
  at: Millis.pipe(means("Server time: for display, never for order.")),
  by: UserId.pipe(means("Who did it."))
}
const cid = ClientId.pipe(means("The client id of the mutation that made the event."))
/** `marked_unread` as part of a name in the documents: `MarkedUnread`. */
const capitalised = (name: string) => name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())
const kind = <const Kind extends string>(name: Kind) => Schema.Literal(name).pipe(means("Says which event this is."))
const event = <const Kind extends string, const Fields extends Schema.Struct.Fields>(
  name: Kind,
  description: string,
  fields: Fields
) =>
  Schema.Struct({ ...base, kind: kind(name), ...fields }).annotate({
    identifier: `${capitalised(name)}Event`,
    description
  })

const mentionsMeaning = "Users named directly; each is a member."

export const MessageEvent = event("message", "A message, in its current form wherever it is read again.", {
  cid,
  n: Seq.pipe(means("How many messages the channel has up to and with this one.")),
  text: Schema.String.pipe(means("The text; empty once the message was deleted.")),
  mentions: Schema.optionalKey(Schema.Array(UserId)).pipe(means(mentionsMeaning)),
  edited: Schema.optionalKey(Seq).pipe(
    means("In pages and syncs, when an edit replaced the text: the seq of the newest edit.")
  ),
  deleted: Schema.optionalKey(Seq).pipe(
    means("In pages and syncs, when a delete took the text away: the seq of the delete.")
  )
})
export type MessageEvent = typeof MessageEvent.Type

export const EditEvent = event("edit", "Replaces text and mentions of a message.", {
  cid,
  target: Seq.pipe(means("The seq of the message.")),
  text: Schema.String.pipe(means("The new text; empty when `void`.")),
  mentions: Schema.optionalKey(Schema.Array(UserId)).pipe(means("The new mentions; absent: none.")),
  void: Schema.optionalKey(Schema.Boolean).pipe(
    means("True when the message, or this edit's text, was taken away since: there is nothing to show.")
  )
})
export const DeleteEvent = event("delete", "Takes the text of a message away; its place in the sequence stays.", {
  cid,
  target: Seq.pipe(means("The seq of the message."))
})

export const Fanout = Schema.Literals(["write", "read"]).annotate({
  identifier: "Fanout",
  description:
    "`write`: every device of every member gets the channel's events. `read`: only connections that watch the channel do."
})
export type Fanout = typeof Fanout.Type
export const Role = Schema.Literals(["owner", "member"]).annotate({
  identifier: "Role",
  description: "What a member is in a channel."
})
export type Role = typeof Role.Type

export const CreatedEvent = event("created", "The first event of a channel.", {
  cid,
  name: Schema.String.pipe(means("The channel's name.")),
  topic: Schema.String.pipe(means("The channel's topic; may be empty.")),
  members: Schema.Array(UserId).pipe(means("The first members, the creator among them.")),
  fanout: Fanout
})
export const UpdatedEvent = event("updated", "New settings: absolute values of what was changed.", {
  cid,
  name: Schema.optionalKey(Schema.String).pipe(means("The new name.")),
  topic: Schema.optionalKey(Schema.String).pipe(means("The new topic."))
})
export const AddedEvent = event("added", "Users became members.", {
  cid,
  members: Schema.Array(UserId).pipe(means("Members from this seq on: it is the first they may read."))
})
export const RemovedEvent = event("removed", "Users are members no longer, because they left or were removed.", {
  cid,
  members: Schema.Array(UserId).pipe(means("Members up to and including this seq; nothing later reaches them."))
})
/** The live switch between write and read fan-out, made by the channel itself. */
export const FanoutEvent = event("fanout", "The channel changed how its events are delivered.", { fanout: Fanout })

export const ChannelEvent = Schema.Union([
  MessageEvent,
  EditEvent,
  DeleteEvent,
  CreatedEvent,
  UpdatedEvent,
  AddedEvent,
  RemovedEvent,
  FanoutEvent
]).annotate({ identifier: "ChannelEvent", description: "One event of a channel, by its `kind`." })
export type ChannelEvent = typeof ChannelEvent.Type
export type EventKind = ChannelEvent["kind"]

const personal = <const Kind extends string, const Fields extends Schema.Struct.Fields>(
  name: Kind,
  description: string,
  fields: Fields
) =>
  Schema.Struct({
    user_seq: Seq.pipe(means("Place in the user's own sequence.")),
    at: Millis.pipe(means("Server time, for display.")),
    kind: kind(name),
    ...fields
  }).annotate({ identifier: `Personal${capitalised(name)}`, description })
const channel = ChannelId.pipe(means("The channel it is about."))

/** What a person would miss: logged in his session, each with its user seq. */
export const UserEvent = Schema.Union([
  personal("added", "The user became a member of a channel.", {
    channel,
    seq: Seq.pipe(means("The channel's seq of it: the first one the user may read."))
  }),
  personal("removed", "The user is a member no longer.", {
    channel,
    seq: Seq.pipe(means("The channel's seq of it: the last one the user may read."))
  }),
  personal("mentioned", "A message names the user.", {
    channel,
    seq: Seq.pipe(means("The seq of the message.")),
    by: UserId.pipe(means("Who wrote it."))
  }),
  personal("marked_unread", "The cursor of a channel was set, also backwards; its generation is this `user_seq`.", {
    channel,
    seq: Seq.pipe(means("Where the cursor stands now.")),
    cid
  }),
  personal("revoked", "Tokens of the user were revoked.", {
    before: Schema.Int.pipe(means("Tokens issued before this are void: seconds since 1970, as `iat` in a token.")),
    cid
  })
]).annotate({ identifier: "UserEvent", description: "One personal event of a user, by its `kind`." })
export type UserEvent = typeof UserEvent.Type
