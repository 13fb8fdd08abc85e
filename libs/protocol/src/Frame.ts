/**
 * The frames of `parley.v1.json`. A client sends `{id, op, …}`; each is answered once by `{re, ok}` or `{re, error}`;
 * the server pushes `{ev, …}`. Unknown fields are ignored, an unknown op is answered with `unknown_op`.
 */
import { Schema } from "effect"
import { errorCodes } from "./ApiError.ts"
import { ChannelEvent, Fanout, MessageEvent, Role, UserEvent } from "./Event.ts"
import { ChannelId, ClientId, DeviceId, Millis, Position, Seq, UserId } from "./Ids.ts"
import { Limits } from "./Limits.ts"
import { means } from "./Meaning.ts"

export const subprotocol = "parley.v1.json"
/** Where the socket is, on the host that also serves HTTP. */
export const socketPath = "/v1/socket"

// --- values --------------------------------------------------------------------------------------------------------

const textBytes = (text: string) => new TextEncoder().encode(text).length
const textFault = (text: string): string | undefined => {
  if (text.includes("\0")) return "contains NUL"
  return text.isWellFormed() ? undefined : "contains half of a surrogate pair"
}
/** What JSON Schema has no word for; without this a document would lose the schema's description as well. */
const beyondJsonSchema = { toJsonSchema: (): [{}, true] => [{}, true] }

/** Text with something in it, no NUL, bounded in bytes. */
export const Text = Schema.String.check(
  Schema.isMinLength(1, { message: "text is empty or only white space" }),
  Schema.makeFilter((text: string) => {
    if (text.trim() === "") return "text is empty or only white space"
    // A UTF-16 unit is at most three bytes: most texts need not be encoded to be measured.
    if (text.length * 3 > Limits.textBytesMax && textBytes(text) > Limits.textBytesMax) {
      return `text is longer than ${Limits.textBytesMax} bytes`
    }
    const fault = textFault(text)
    return fault === undefined ? undefined : `text ${fault}`
  }, beyondJsonSchema)
).annotate({
  identifier: "Text",
  description: `A message's text: something other than white space, at most ${Limits.textBytesMax} bytes of UTF-8, no NUL, no half of a surrogate pair.`
})
const wellFormed = Schema.makeFilter(textFault, beyondJsonSchema)
const line = (identifier: string, charsMax: number, what: string) =>
  Schema.String.check(Schema.isMaxLength(charsMax), wellFormed).annotate({
    identifier,
    description: `${what}: at most ${charsMax} UTF-16 code units, no NUL, no half of a surrogate pair; may be empty.`
  })
export const Name = line("Name", Limits.nameCharsMax, "A name")
export const Topic = line("Topic", Limits.topicCharsMax, "A topic")

const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Mentions = Schema.optionalKey(Schema.Array(UserId).check(Schema.isMaxLength(Limits.mentionsMax))).pipe(
  means("Users named directly. Who is no member is refused with `invalid`.")
)
const Members = Schema.Array(UserId).check(Schema.isMinLength(1), Schema.isMaxLength(Limits.membersPerChangeMax))

export const PresenceState = Schema.Literals(["online", "away", "offline"]).annotate({
  identifier: "PresenceState",
  description: "Of a user: the best state of his devices."
})
export type PresenceState = typeof PresenceState.Type
export const UserPresence = Schema.Struct({
  user: UserId,
  state: PresenceState,
  last_seen: Schema.NullOr(Millis).pipe(means("When the user was last online; null: now, or not known."))
}).annotate({ identifier: "UserPresence", description: "The presence of one user." })

// --- ops -----------------------------------------------------------------------------------------------------------

const op = <const Op extends string, const Fields extends Schema.Struct.Fields>(
  name: Op,
  description: string,
  fields: Fields
) =>
  Schema.Struct({
    id: Seq.pipe(means("The client's number for the frame, echoed as `re`. Unique among the unanswered ones.")),
    op: Schema.Literal(name).pipe(means("The op.")),
    ...fields
  }).annotate({ description })

const channel = ChannelId.pipe(means("The channel."))
const mutation = { cid: ClientId.pipe(means("The client id of the mutation: the same in every retry.")), channel }
const target = Seq.pipe(means("The seq of the message."))

/** A page of history is asked for by one place, or by none. */
export const onePlace = Schema.makeFilter(
  (page: { readonly before?: number; readonly after?: number; readonly around?: number }) =>
    [page.before, page.after, page.around].filter((place) => place !== undefined).length > 1
      ? "at most one of before, after and around may be given"
      : undefined,
  beyondJsonSchema
)

/** Every op by its name. The first frame of a connection is `hello`; a later one only renews the token. */
export const ops = {
  hello: op(
    "hello",
    "Opens the connection, or renews its token: a later `hello` must be of the same user and device.",
    {
      token: Schema.String.check(Schema.isMaxLength(8_192)).pipe(means("The user's token (a JWT).")),
      device: DeviceId,
      client: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(128))).pipe(
        means("Name and version of the program, for operators.")
      )
    }
  ),
  ping: op("ping", "A sign of life. Sent every `heartbeat_ms` in which the client sent nothing else.", {}),
  sync: op("sync", "Names what the device holds and gets everything after it, or is told to reload.", {
    channels: Schema.Array(Schema.Tuple([ChannelId, Seq, Seq]))
      .check(Schema.isMaxLength(Limits.syncChannelsMax))
      .pipe(
        means(
          "What the device holds: `[channel, generation, seq]` each. Channels it does not name are answered as new."
        )
      ),
    session: Position.pipe(means("The last personal event it holds; 0 and 0 when it holds nothing.")),
    page: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(256))).pipe(
      means("The `more` of the page before; everything else as in the first request.")
    )
  }),
  watch: op("watch", "Shows a channel on this connection: its live events come also under read fan-out, and typing.", {
    channel
  }),
  unwatch: op("unwatch", "Ends a watch.", { channel }),
  send: op("send", "Sends a message. The answer comes once it is on stable storage.", {
    ...mutation,
    text: Text,
    mentions: Mentions,
    seen: Schema.optionalKey(Seq).pipe(
      means("The newest seq this device has shown; the read cursor moves there. Absent: the cursor stays.")
    )
  }),
  edit: op("edit", "Replaces text and mentions of a message. For its author.", {
    ...mutation,
    target,
    text: Text,
    mentions: Mentions
  }),
  delete: op(
    "delete",
    "Takes the text of a message away; its place in the sequence stays. For its author and owners of the channel.",
    { ...mutation, target }
  ),
  delivered: op("delivered", "Tells that this device has stored the channel's events up to a seq.", {
    channel,
    seq: Seq.pipe(means("Everything up to here is on the device."))
  }),
  read: op(
    "read",
    "Moves the read cursor forward. A smaller seq than the cursor's changes nothing; 0 asks for cursor and counts.",
    {
      channel,
      seq: Seq.pipe(means("Everything up to here was read. Past the channel's head: `invalid`."))
    }
  ),
  mark_unread: op("mark_unread", "Sets the read cursor, also backwards, on all devices.", {
    ...mutation,
    seq: Seq.pipe(means("The last seq that counts as read."))
  }),
  typing: op("typing", "Says that the user types, or stopped. May be lost.", {
    channel,
    on: Schema.Boolean.pipe(means("False: stopped."))
  }),
  presence_set: op("presence_set", "Sets the state of this device.", {
    state: Schema.Literals(["online", "away"]).pipe(means("What the user's other devices say counts as well."))
  }),
  presence_watch: op(
    "presence_watch",
    "Names the users whose presence the connection follows, in place of those before.",
    {
      users: Schema.Array(UserId)
        .check(Schema.isMaxLength(Limits.presenceWatchesPerConnectionMax))
        .pipe(means("Empty: follow nobody."))
    }
  ),
  foreground: op("foreground", "The program is in front of a person again: the device counts as online.", {}),
  background: op(
    "background",
    "Nobody looks at the program: the device counts as away and gets no ephemeral pushes until `foreground`.",
    {}
  ),
  create: op("create", "Creates a channel. Who does it becomes its owner.", {
    ...mutation,
    name: Name,
    topic: Schema.optionalKey(Topic).pipe(means("Absent: empty.")),
    members: Schema.Array(UserId)
      .check(Schema.isMaxLength(Limits.membersPerChangeMax))
      .pipe(means("The other first members; the creator need not be named."))
  }),
  update: op("update", "Changes settings; what is left out stays as it is. For owners of the channel.", {
    ...mutation,
    name: Schema.optionalKey(Name).pipe(means("The new name.")),
    topic: Schema.optionalKey(Topic).pipe(means("The new topic."))
  }),
  join: op("join", "Makes the user a member, where the channel's type lets users join by themselves.", mutation),
  leave: op(
    "leave",
    "Ends the user's own membership. When the last owner leaves, the member who has been there longest becomes owner.",
    mutation
  ),
  add_members: op("add_members", "Makes users members, all by one event. For owners of the channel.", {
    ...mutation,
    members: Members.pipe(means("None of them a member yet, or the answer is `conflict`."))
  }),
  remove_members: op("remove_members", "Ends memberships, all by one event. For owners of the channel.", {
    ...mutation,
    members: Members.pipe(means("All of them members, or the answer is `conflict`."))
  }),
  history: op(
    "history",
    "Reads one page of messages. At most one of `before`, `after` and `around`; none of them: the newest page.",
    {
      channel,
      before: Schema.optionalKey(Seq).pipe(means("The newest messages below this seq.")),
      after: Schema.optionalKey(Seq).pipe(means("The oldest messages above this seq.")),
      around: Schema.optionalKey(Seq).pipe(means("Messages on both sides of this seq, and its own.")),
      limit: Schema.optionalKey(
        Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Limits.historyLimitMax }))
      ).pipe(means(`Rows at most; absent: ${Limits.historyLimitDefault}.`))
    }
  ).check(onePlace)
} as const
export type OpName = keyof typeof ops
export type Op<Name extends OpName = OpName> = { [K in Name]: (typeof ops)[K]["Type"] }[Name]

// --- answers -------------------------------------------------------------------------------------------------------

/** How far a member has come in a small channel; `delivered` is at least `read`. */
export const Receipt = Schema.Struct({
  user: UserId,
  delivered: Seq.pipe(means("The newest seq that a device of the user has.")),
  read: Seq.pipe(means("The newest seq that the user has read."))
}).annotate({ identifier: "Receipt", description: "How far a member has come in a small channel." })
export type Receipt = typeof Receipt.Type

/** How a channel stands for one user. */
export const ChannelHead = Schema.Struct({
  channel,
  generation: Seq.pipe(
    means("The channel's generation, from 1 on. Another than the device holds: drop what it holds.")
  ),
  seq: Seq.pipe(means("The committed head: the newest seq.")),
  n: Seq.pipe(means("Messages up to the head.")),
  name: Schema.String.pipe(means("The channel's name.")),
  topic: Schema.String.pipe(means("The channel's topic; may be empty.")),
  members: Count.pipe(means("How many members there are.")),
  role: Role.pipe(means("What the user is there.")),
  fanout: Fanout,
  cursor: Position.pipe(
    means("The user's read cursor; its generation is the `user_seq` of the last `mark_unread`, 0 without one.")
  ),
  unread: Count.pipe(means("Messages after the cursor, without deleted ones and the user's own.")),
  mentions: Count.pipe(means("How many of the unread messages name the user.")),
  last: Schema.NullOr(MessageEvent).pipe(
    means(
      "The newest message in its current form, for a list of channels; null where the tail has none, or the user may read none."
    )
  ),
  receipts: Schema.optionalKey(Schema.Array(Receipt)).pipe(
    means("How far the members have come, as far as it is known; absent above `receipts_members_max` members.")
  )
}).annotate({ identifier: "ChannelHead", description: "How a channel stands for one user." })
export type ChannelHead = typeof ChannelHead.Type

const from = Seq.pipe(means("The covered range begins after this seq."))
const to = Seq.pipe(means("The covered range ends with this seq."))

/** One channel of a sync's answer: `events` cover `(from, to]`; `reload` means: drop what you hold, fetch history on demand. */
export const ChannelSync = Schema.Struct({
  head: ChannelHead,
  from,
  to,
  events: Schema.Array(ChannelEvent).pipe(
    means("Ascending, in their current form: all there is to show in `(from, to]`.")
  ),
  reload: Schema.Boolean.pipe(
    means("True: what the device holds can't be continued. It drops the channel's events and begins anew with these.")
  )
}).annotate({ identifier: "ChannelSync", description: "One channel of a sync's answer." })
export type ChannelSync = typeof ChannelSync.Type

/** A cursor, and what is unread after it as of the channel's seq `head`: what comes later counts on top. */
export const ReadState = Schema.Struct({
  cursor: Position.pipe(means("The cursor after this.")),
  unread: Count.pipe(means("Unread messages as of `head`.")),
  mentions: Count.pipe(means("Unread mentions as of `head`.")),
  head: Seq.pipe(
    means(
      "The channel's seq up to which the counts were made, perhaps below what the device holds; what is later counts on top."
    )
  )
})
export type ReadState = typeof ReadState.Type

const at = Millis.pipe(means("Server time of the event."))
const ownSeq = Seq.pipe(means("The event's seq; the answer covers `(seq - 1, seq]`."))
const MutationAck = Schema.Struct({ channel, seq: ownSeq, at })
const nothing = Schema.Struct({})

/** The `ok` of each op's answer. */
export const answers = {
  hello: Schema.Struct({
    user: UserId.pipe(means("Whom the token is for.")),
    device: DeviceId,
    server_time: Millis.pipe(means("Correct the clock that client ids are made with by it.")),
    heartbeat_ms: Count.pipe(means("Send something at least this often.")),
    session: Position.pipe(means("The newest personal event there is.")),
    expires_at: Millis.pipe(means("When the token ends; send a `hello` with a new one before.")),
    limits: Schema.Record(Schema.String, Schema.Int).pipe(
      means("Limits by name, see the limits table. Names the client does not know are ignored.")
    )
  }),
  ping: Schema.Struct({ server_time: Millis.pipe(means("The server's clock.")) }),
  sync: Schema.Struct({
    session: Position.pipe(means("The session's position after `personal`; the same in every page.")),
    reload: Schema.Boolean.pipe(
      means(
        "True: the device's session position can't be continued. It drops its channel list and takes the one of this sync. Only in the first page."
      )
    ),
    personal: Schema.Array(UserEvent).pipe(
      means("Personal events after the named position, ascending. Only in the first page.")
    ),
    channels: Schema.Array(ChannelSync).pipe(means("Channels of the user; all pages together hold each of them once.")),
    lost: Schema.Array(
      Schema.Struct({
        channel,
        seq: Seq.pipe(means("The last seq the user may read; 0: nothing of the channel."))
      })
    ).pipe(means("Channels that the device named and the user is in no longer: cut them off at `seq`.")),
    unavailable: Schema.optionalKey(Schema.Array(ChannelId)).pipe(
      means(
        "Channels of the user that can't be answered now. The device keeps what it holds of them, and syncs again after a while."
      )
    ),
    more: Schema.NullOr(Schema.String).pipe(
      means("Send the same sync with `page` set to this; null: this was the last page.")
    )
  }),
  watch: Schema.Struct({ head: ChannelHead }),
  unwatch: nothing,
  send: Schema.Struct({ channel, seq: ownSeq, n: Seq.pipe(means("The message's number among the messages.")), at }),
  edit: MutationAck,
  delete: MutationAck,
  delivered: nothing,
  read: ReadState,
  mark_unread: Schema.Struct({
    ...ReadState.fields,
    user_seq: Seq.pipe(means("The personal event's place; also the cursor's new generation."))
  }),
  typing: nothing,
  presence_set: nothing,
  presence_watch: Schema.Struct({
    shards: Schema.Array(
      Schema.Struct({
        shard: Count.pipe(means("A presence shard that some of the users belong to.")),
        epoch: Seq.pipe(means("First half of its version.")),
        n: Seq.pipe(means("Second half of its version."))
      })
    ).pipe(means("The versions that the states are of.")),
    users: Schema.Array(UserPresence).pipe(
      means(
        "The named users whose state is known. A shard with a new owner does not know everybody at once; the rest is pushed."
      )
    )
  }),
  foreground: nothing,
  background: nothing,
  create: Schema.Struct({ channel, seq: ownSeq, at, generation: Seq.pipe(means("The channel's generation.")) }),
  update: MutationAck,
  join: MutationAck,
  leave: MutationAck,
  add_members: MutationAck,
  remove_members: MutationAck,
  history: Schema.Struct({
    channel,
    generation: Seq.pipe(means("The channel's generation.")),
    from,
    to,
    events: Schema.Array(MessageEvent).pipe(
      means("Messages only, ascending, in their current form; deleted ones as tombstones.")
    ),
    before: Schema.Boolean.pipe(means("Whether there is more up to `from`.")),
    after: Schema.Boolean.pipe(means("Whether there is more after `to`."))
  })
} as const satisfies Record<OpName, Schema.Top>
export type Answer<Name extends OpName> = (typeof answers)[Name]["Type"]

export const ErrorBody = Schema.Struct({
  code: Schema.Literals(errorCodes).pipe(
    means("Stable; see the error table. Treat an unknown one by `retryable` alone.")
  ),
  message: Schema.String.pipe(means("A sentence for a person, in English.")),
  retryable: Schema.Boolean.pipe(means("Whether the same request, with the same client id, may succeed later.")),
  retry_after_ms: Schema.optionalKey(Count).pipe(means("Wait this long at least. Present when retryable.")),
  server_time: Schema.optionalKey(Millis).pipe(means("Only with `id_ahead`: the server's clock."))
}).annotate({ identifier: "Error", description: "What went wrong." })

// --- pushes --------------------------------------------------------------------------------------------------------

const push = <const Ev extends string, const Fields extends Schema.Struct.Fields>(
  name: Ev,
  description: string,
  fields: Fields
) =>
  Schema.Struct({ ev: Schema.Literal(name).pipe(means("Says which push this is.")), ...fields }).annotate({
    description
  })

/** What the server pushes, by `ev`. */
export const pushes = {
  event: push("event", "One event of a channel.", { channel, from, to, event: ChannelEvent }),
  covered: push("covered", "Seqs that passed without anything to show. Also how a lost last event is noticed.", {
    channel,
    from,
    to
  }),
  personal: push("personal", "A personal event of this user, in order of its `user_seq`.", { event: UserEvent }),
  channel: push("channel", "The user is in this channel from now on: what a sync would say of it.", {
    sync: ChannelSync
  }),
  cursor: push("cursor", "The read cursor moved: on another device, or by what a send of this one had seen.", {
    channel,
    ...ReadState.fields
  }),
  typing: push("typing", "Somebody else types in a watched channel, or stopped.", {
    channel,
    user: UserId.pipe(means("Who.")),
    on: Schema.Boolean.pipe(means("False: stopped.")),
    ttl_ms: Count.pipe(means("Forget it after this time unless it comes again."))
  }),
  receipt: push("receipt", "Another member of a small channel got or read more. Values only grow; may be lost.", {
    channel,
    ...Receipt.fields
  }),
  presence: push("presence", "Changes of followed users of one presence shard since its version `(epoch, n - 1)`.", {
    shard: Count.pipe(means("The presence shard.")),
    epoch: Seq.pipe(means("First half of its version; another than the client holds: follow again.")),
    n: Seq.pipe(means("Second half of its version.")),
    users: Schema.Array(UserPresence).pipe(
      means("Only those that changed; may be empty, so that no version is missing.")
    )
  }),
  drain: push("drain", "The server goes away: connect again after the delay. Until then everything works.", {
    after_ms: Count.pipe(means("Milliseconds to wait before connecting again."))
  })
} as const
export type PushName = keyof typeof pushes
export type Push<Name extends PushName = PushName> = { [K in Name]: (typeof pushes)[K]["Type"] }[Name]
