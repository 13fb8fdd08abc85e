/**
 * The frames of `parley.v1.json`. A client sends `{id, op, …}`; each is answered once by `{re, ok}` or `{re, error}`;
 * the server pushes `{ev, …}`. Unknown fields are ignored, an unknown op is answered with `unknown_op`.
 */
import { Schema } from "effect"
import { errorCodes } from "./ApiError.ts"
import { ChannelEvent, Fanout, MessageEvent, Role, UserEvent } from "./Event.ts"
import { ChannelId, ClientId, DeviceId, Position, Seq, UserId } from "./Ids.ts"
import { Limits } from "./Limits.ts"

export const subprotocol = "parley.v1.json"

const textBytes = (text: string) => new TextEncoder().encode(text).length
/** Text with something in it, no NUL, bounded in bytes. */
export const Text = Schema.String.check(
  Schema.makeFilter((text: string) =>
    text.trim() === "" ? "text is empty or only white space"
    : text.includes("\0") ? "text contains NUL"
    : text.length * 3 > Limits.textBytesMax && textBytes(text) > Limits.textBytesMax ? `text is longer than ${Limits.textBytesMax} bytes`
    : !text.isWellFormed() ? "text contains half of a surrogate pair"
    : undefined)
)
const Name = Schema.String.check(Schema.isMaxLength(Limits.nameCharsMax))
const Topic = Schema.String.check(Schema.isMaxLength(Limits.topicCharsMax))
const Mentions = Schema.optionalKey(Schema.Array(UserId).check(Schema.isMaxLength(Limits.mentionsMax)))
const Members = Schema.Array(UserId).check(Schema.isMinLength(1), Schema.isMaxLength(Limits.membersPerChangeMax))

const op = <const Op extends string, const Fields extends Schema.Struct.Fields>(name: Op, fields: Fields) =>
  Schema.Struct({ id: Seq, op: Schema.Literal(name), ...fields })

const channel = ChannelId
const mutation = { cid: ClientId, channel }

export const PresenceState = Schema.Literals(["online", "away", "offline"])
export type PresenceState = typeof PresenceState.Type

/** Every op by its name. The first frame of a connection is `hello`, and only it. */
export const ops = {
  hello: op("hello", {
    token: Schema.String.check(Schema.isMaxLength(8_192)),
    device: DeviceId,
    /** Name and version of the program, for operators. */
    client: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(128)))
  }),
  ping: op("ping", {}),
  sync: op("sync", {
    /** What the device holds: `[channel, generation, seq]`. Channels it does not name are answered as new. */
    channels: Schema.Array(Schema.Tuple([ChannelId, Seq, Seq])).check(Schema.isMaxLength(Limits.syncChannelsMax)),
    /** The last personal change it holds; 0 and 0 at first. */
    session: Position,
    /** The `more` of the page before; everything else unchanged. */
    page: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(256)))
  }),
  watch: op("watch", { channel }),
  unwatch: op("unwatch", { channel }),
  send: op("send", { ...mutation, text: Text, mentions: Mentions, /** The newest seq this device has shown. */ seen: Schema.optionalKey(Seq) }),
  edit: op("edit", { ...mutation, target: Seq, text: Text, mentions: Mentions }),
  delete: op("delete", { ...mutation, target: Seq }),
  delivered: op("delivered", { channel, seq: Seq }),
  read: op("read", { channel, seq: Seq }),
  /** Sets the cursor to `seq`, also backwards, on all devices. */
  mark_unread: op("mark_unread", { ...mutation, seq: Seq }),
  typing: op("typing", { channel, on: Schema.Boolean }),
  presence_set: op("presence_set", { state: Schema.Literals(["online", "away"]) }),
  presence_watch: op("presence_watch", { users: Schema.Array(UserId).check(Schema.isMaxLength(Limits.presenceWatchesPerConnectionMax)) }),
  foreground: op("foreground", {}),
  background: op("background", {}),
  create: op("create", { ...mutation, name: Name, topic: Schema.optionalKey(Topic), members: Schema.Array(UserId).check(Schema.isMaxLength(Limits.membersPerChangeMax)) }),
  update: op("update", { ...mutation, name: Schema.optionalKey(Name), topic: Schema.optionalKey(Topic) }),
  join: op("join", mutation),
  leave: op("leave", mutation),
  add_members: op("add_members", { ...mutation, members: Members }),
  remove_members: op("remove_members", { ...mutation, members: Members }),
  history: op("history", {
    channel,
    before: Schema.optionalKey(Seq),
    after: Schema.optionalKey(Seq),
    around: Schema.optionalKey(Seq),
    limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Limits.historyLimitMax })))
  })
} as const
export type OpName = keyof typeof ops
export type Op<Name extends OpName = OpName> = { [K in Name]: (typeof ops)[K]["Type"] }[Name]

/** How a channel stands for one user. */
export const ChannelHead = Schema.Struct({
  channel,
  generation: Seq,
  /** Committed head. */
  seq: Seq,
  /** Messages up to the head. */
  n: Seq,
  name: Schema.String,
  topic: Schema.String,
  members: Schema.Int,
  role: Role,
  fanout: Fanout,
  /** The user's read cursor; its generation is the user seq of the last "mark unread". */
  cursor: Position,
  unread: Schema.Int,
  mentions: Schema.Int,
  /** Where the head is a message or has one near: the newest message in its current form. */
  last: Schema.NullOr(MessageEvent)
})
export type ChannelHead = typeof ChannelHead.Type

/** One channel of a sync's answer: `events` cover `(from, to]`; `reload` means: drop what you hold, fetch history on demand. */
export const ChannelSync = Schema.Struct({
  head: ChannelHead,
  from: Seq,
  to: Seq,
  events: Schema.Array(ChannelEvent),
  reload: Schema.Boolean
})
export type ChannelSync = typeof ChannelSync.Type

/** A cursor, and what is unread after it as of the channel's seq `head`: what comes later counts on top. */
export const ReadState = Schema.Struct({ cursor: Position, unread: Schema.Int, mentions: Schema.Int, head: Seq })
export type ReadState = typeof ReadState.Type

const MutationAck = Schema.Struct({ channel, seq: Seq, at: Schema.Int })

/** The `ok` of each op's answer. */
export const answers = {
  hello: Schema.Struct({
    user: UserId,
    device: DeviceId,
    /** Milliseconds since 1970: correct the clock that client ids are made with. */
    server_time: Schema.Int,
    heartbeat_ms: Schema.Int,
    /** The session's position: generation ("session epoch") and user seq. */
    session: Position,
    /** When the token ends, ms since 1970; a new one may be sent by another hello on the same connection. */
    expires_at: Schema.Int,
    limits: Schema.Record(Schema.String, Schema.Int)
  }),
  ping: Schema.Struct({ server_time: Schema.Int }),
  sync: Schema.Struct({
    session: Position,
    /** The device's session position can't be continued: it drops its channel list, and takes this answer's. */
    reload: Schema.Boolean,
    personal: Schema.Array(UserEvent),
    channels: Schema.Array(ChannelSync),
    /** Channels that the device named and the user is in no longer: cut them off at `seq`. */
    lost: Schema.Array(Schema.Struct({ channel, seq: Seq })),
    /** Send the same sync with `page` set to this; null: this was the last page. */
    more: Schema.NullOr(Schema.String)
  }),
  watch: Schema.Struct({ head: ChannelHead }),
  unwatch: Schema.Struct({}),
  send: Schema.Struct({ channel, seq: Seq, n: Seq, at: Schema.Int }),
  edit: MutationAck,
  delete: MutationAck,
  delivered: Schema.Struct({}),
  read: ReadState,
  mark_unread: Schema.Struct({ ...ReadState.fields, user_seq: Seq }),
  typing: Schema.Struct({}),
  presence_set: Schema.Struct({}),
  presence_watch: Schema.Struct({ shards: Schema.Array(Schema.Struct({ shard: Schema.Int, epoch: Seq, n: Seq })), users: Schema.Array(Schema.Struct({ user: UserId, state: PresenceState, last_seen: Schema.NullOr(Schema.Int) })) }),
  foreground: Schema.Struct({}),
  background: Schema.Struct({}),
  create: Schema.Struct({ channel, seq: Seq, at: Schema.Int, generation: Seq }),
  update: MutationAck,
  join: MutationAck,
  leave: MutationAck,
  add_members: MutationAck,
  remove_members: MutationAck,
  /** Ascending. `events` holds messages only (deleted ones as tombstones) and covers `(from, to]`. */
  history: Schema.Struct({
    channel,
    generation: Seq,
    from: Seq,
    to: Seq,
    events: Schema.Array(MessageEvent),
    /** Whether there is more before `from`, and after `to`. */
    before: Schema.Boolean,
    after: Schema.Boolean
  })
} as const satisfies Record<OpName, Schema.Top>
export type Answer<Name extends OpName> = (typeof answers)[Name]["Type"]

export const ErrorBody = Schema.Struct({
  code: Schema.Literals(errorCodes),
  message: Schema.String,
  retryable: Schema.Boolean,
  retry_after_ms: Schema.optionalKey(Schema.Int),
  server_time: Schema.optionalKey(Schema.Int)
})

/** What the server pushes, by `ev`. */
export const pushes = {
  /** One event of a channel; covers `(from, to]`. */
  event: Schema.Struct({ ev: Schema.Literal("event"), channel, from: Seq, to: Seq, event: ChannelEvent }),
  /** Seqs that passed without anything to show: covers `(from, to]`. Also how a lost last event is noticed. */
  covered: Schema.Struct({ ev: Schema.Literal("covered"), channel, from: Seq, to: Seq }),
  /** A personal change of this user, in order of its user seq. */
  personal: Schema.Struct({ ev: Schema.Literal("personal"), event: UserEvent }),
  /** The user is in this channel from now on: its head, as a sync would say. */
  channel: Schema.Struct({ ev: Schema.Literal("channel"), sync: ChannelSync }),
  /** Reading moved on another device. */
  cursor: Schema.Struct({ ev: Schema.Literal("cursor"), channel, ...ReadState.fields }),
  typing: Schema.Struct({ ev: Schema.Literal("typing"), channel, user: UserId, on: Schema.Boolean, ttl_ms: Schema.Int }),
  /** Changes of watched users of one presence shard since its version `(epoch, n - 1)`; a client that holds another version watches again. */
  presence: Schema.Struct({ ev: Schema.Literal("presence"), shard: Schema.Int, epoch: Seq, n: Seq, users: Schema.Array(Schema.Struct({ user: UserId, state: PresenceState, last_seen: Schema.NullOr(Schema.Int) })) }),
  /** The server goes away: connect again after `after_ms`. */
  drain: Schema.Struct({ ev: Schema.Literal("drain"), after_ms: Schema.Int })
} as const
export type PushName = keyof typeof pushes
export type Push<Name extends PushName = PushName> = { [K in Name]: (typeof pushes)[K]["Type"] }[Name]
