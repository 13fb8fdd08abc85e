/**
 * The HTTP API: everything that is not live, for programs and servers. Shapes and errors are those of the socket; a
 * mutation carries the caller's own `cid` and has one effect however often it is sent (EXACTLY-ONCE-EFFECT). The ids
 * in paths hold `:`, which may be percent-encoded or not. Protocol only: the handlers are the node's.
 */
import { Context, Schema } from "effect"
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  OpenApi
} from "effect/http-api"
import { Role } from "./Event.ts"
import { answers, ChannelHead, Name, onePlace, ops } from "./Frame.ts"
import { httpErrors, RequestErrors } from "./HttpFailure.ts"
import { ChannelId, ClientId, Millis, Seq, UserId } from "./Ids.ts"
import { Limits } from "./Limits.ts"
import { means } from "./Meaning.ts"

/** Names the user that a call with an API key acts for. Ignored with a user's own token. */
export const userHeader = "x-parley-user"

/** Who calls, as the authentication found out. */
export class HttpCaller extends Context.Service<
  HttpCaller,
  {
    /** The subject of the token, or the user that the key's holder named; null: a key, and nobody named. */
    readonly user: UserId | null
    /** By an API key: may act in any channel, and on any user. */
    readonly admin: boolean
  }
>()("@parley/protocol/HttpCaller") {}

/** `Authorization: Bearer …`, a user's token (JWT) or an API key of the deployment. */
export class Authentication extends HttpApiMiddleware.Service<Authentication, { provides: HttpCaller }>()(
  "@parley/protocol/Authentication",
  {
    error: httpErrors,
    security: {
      bearer: HttpApiSecurity.bearer.pipe(
        HttpApiSecurity.annotate(
          OpenApi.Description,
          `A user's token (JWT), or an API key. With an API key the header ${userHeader} names the user the call acts for.`
        ),
        HttpApiSecurity.annotate(OpenApi.Format, "JWT")
      )
    }
  }
) {}

const about = (summary: string, description: string) => OpenApi.annotations({ summary, description })

// --- tokens ----------------------------------------------------------------------------------------------------

export const TokenRequest = Schema.Struct({
  user: UserId,
  ttl_s: Schema.optionalKey(
    Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Limits.tokenTtlSecondsMax }))
  ).pipe(means(`How long the token is to live, in seconds. Absent: ${Limits.tokenTtlSecondsDefault}.`))
})
export const TokenAnswer = Schema.Struct({
  token: Schema.String.pipe(means("For `hello`, and for `Authorization: Bearer`.")),
  expires_at: Millis.pipe(means("When it ends."))
})

const tokens = HttpApiGroup.make("tokens")
  .add(
    HttpApiEndpoint.post("create", "/v1/tokens", {
      payload: TokenRequest,
      success: TokenAnswer.pipe(HttpApiSchema.status(201)),
      error: httpErrors
    }).annotateMerge(
      about(
        "Get a token in development mode",
        "Makes a token for any user who asks. Only in development mode: elsewhere the answer is `not_found`, and the deployment's own login service signs tokens."
      )
    )
  )
  .middleware(RequestErrors)

// --- edges -----------------------------------------------------------------------------------------------------

export const EdgeAddress = Schema.Struct({
  url: Schema.String.pipe(means("The edge's address: `/v1/socket` on it takes the WebSocket.")),
  zone: Schema.String.pipe(means("Where it is, in the deployment's own words; empty: not said."))
}).annotate({ identifier: "EdgeAddress", description: "Where a client may connect." })
export const EdgeList = Schema.Struct({
  edges: Schema.Array(EdgeAddress).pipe(
    means(
      `The best one first: of the zone asked for, with room, not stopping. At most ${Limits.edgesListedMax}; empty: any address will do as well.`
    )
  )
})

const edges = HttpApiGroup.make("edges")
  .add(
    HttpApiEndpoint.get("list", "/v1/edges", {
      query: {
        zone: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(64))).pipe(
          means("Edges of this zone come first.")
        )
      },
      success: EdgeList,
      error: httpErrors
    }).annotateMerge(
      about(
        "Where to connect",
        "Any node answers, for all edges of its cluster. Needs no token. A client asks before it connects, and tries the next one where one can't be reached; a deployment whose load balancer does this need not use it."
      )
    )
  )
  .middleware(RequestErrors)

// --- users -----------------------------------------------------------------------------------------------------

export const UserProfile = Schema.Struct({
  user: UserId,
  name: Schema.String.pipe(means("The user's name, as others see it.")),
  created_at: Millis.pipe(means("When the profile was written first."))
}).annotate({ identifier: "UserProfile", description: "What everybody may know of a user." })
export const UserPut = Schema.Struct({
  name: Name.check(Schema.isMinLength(1)).pipe(means("Not empty."))
})
export const RevokeRequest = Schema.Struct({
  cid: ClientId,
  before: Seq.pipe(means("Tokens issued before this are void: seconds since 1970, as `iat` in a token."))
})
export const RevokeAnswer = Schema.Struct({
  before: Seq.pipe(means("The bound in force now: the latest one that was ever set."))
})

const userPath = { user: UserId }
const users = HttpApiGroup.make("users")
  .add(
    HttpApiEndpoint.get("get", "/v1/users/:user", {
      params: userPath,
      success: UserProfile,
      error: httpErrors
    }).annotateMerge(about("Read a profile", "Any user may read any profile.")),
    HttpApiEndpoint.put("put", "/v1/users/:user", {
      params: userPath,
      payload: UserPut,
      success: UserProfile,
      error: httpErrors
    }).annotateMerge(
      about("Write a profile", "One's own, or any with an API key. Creates the profile where there is none.")
    ),
    HttpApiEndpoint.post("revoke", "/v1/users/:user/revoke", {
      params: userPath,
      payload: RevokeRequest,
      success: RevokeAnswer,
      error: httpErrors
    }).annotateMerge(
      about(
        "Revoke tokens",
        "Voids the tokens of the user that were issued before an instant; connections that were made with them are closed with 4202. One's own, or any with an API key."
      )
    )
  )
  .middleware(Authentication)
  .middleware(RequestErrors)

// --- channels and members --------------------------------------------------------------------------------------

const { id: _createId, op: _createOp, ...createFields } = ops.create.fields
const { id: _updateId, op: _updateOp, channel: _updateChannel, ...updateFields } = ops.update.fields
const { id: _addId, op: _addOp, channel: _addChannel, ...addFields } = ops.add_members.fields

const channelPath = { channel: ChannelId }
const justCid = Schema.Struct({ cid: ClientId })
const channels = HttpApiGroup.make("channels")
  .add(
    HttpApiEndpoint.post("create", "/v1/channels", {
      payload: Schema.Struct(createFields),
      success: answers.create.pipe(HttpApiSchema.status(201)),
      error: httpErrors
    }).annotateMerge(
      about("Create a channel", "The user the call acts for becomes its owner; `members` are added besides.")
    ),
    HttpApiEndpoint.get("get", "/v1/channels/:channel", {
      params: channelPath,
      success: ChannelHead,
      error: httpErrors
    }).annotateMerge(
      about("Read a channel", "As it stands for the user the call acts for: head, settings, cursor, unread.")
    ),
    HttpApiEndpoint.patch("update", "/v1/channels/:channel", {
      params: channelPath,
      payload: Schema.Struct(updateFields),
      success: answers.update,
      error: httpErrors
    }).annotateMerge(about("Change a channel's settings", "What is left out stays as it is.")),
    HttpApiEndpoint.post("join", "/v1/channels/:channel/join", {
      params: channelPath,
      payload: justCid,
      success: answers.join,
      error: httpErrors
    }).annotateMerge(about("Join a channel", "Where the channel's type lets users join by themselves.")),
    HttpApiEndpoint.post("leave", "/v1/channels/:channel/leave", {
      params: channelPath,
      payload: justCid,
      success: answers.leave,
      error: httpErrors
    }).annotateMerge(about("Leave a channel", "Nothing after the answer's seq reaches the user."))
  )
  .middleware(Authentication)
  .middleware(RequestErrors)

export const ChannelMember = Schema.Struct({
  user: UserId,
  role: Role,
  since: Seq.pipe(means("The seq of the event that made the user a member: the first one to be read."))
}).annotate({ identifier: "ChannelMember", description: "One member of a channel." })
export const MembersPage = Schema.Struct({
  members: Schema.Array(ChannelMember).pipe(means("Ascending by user id, byte by byte.")),
  more: Schema.NullOr(UserId).pipe(means("The `after` of the next page; null: this was the last page."))
})

const members = HttpApiGroup.make("members")
  .add(
    HttpApiEndpoint.get("list", "/v1/channels/:channel/members", {
      params: channelPath,
      query: {
        after: Schema.optionalKey(UserId),
        limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Limits.membersLimitMax })))
      },
      success: MembersPage,
      error: httpErrors
    }).annotateMerge(about("List members", "In pages; `after` is the last user of the page before.")),
    HttpApiEndpoint.post("add", "/v1/channels/:channel/members", {
      params: channelPath,
      payload: Schema.Struct(addFields),
      success: answers.add_members,
      error: httpErrors
    }).annotateMerge(
      about("Add members", "All of them by one event. None of them a member yet, or the answer is `conflict`.")
    ),
    HttpApiEndpoint.delete("remove", "/v1/channels/:channel/members/:user", {
      params: { channel: ChannelId, user: UserId },
      query: { cid: ClientId },
      success: answers.remove_members,
      error: httpErrors
    }).annotateMerge(about("Remove a member", "Nothing after the answer's seq reaches him (REVOKED-IS-OUT)."))
  )
  .middleware(Authentication)
  .middleware(RequestErrors)

// --- messages --------------------------------------------------------------------------------------------------

const { id: _sendId, op: _sendOp, channel: _sendChannel, seen: _seen, ...sendFields } = ops.send.fields
const { id: _editId, op: _editOp, channel: _editChannel, target: _target, ...editFields } = ops.edit.fields
const { id: _historyId, op: _historyOp, channel: _historyChannel, ...historyFields } = ops.history.fields

const messagePath = { channel: ChannelId, seq: Seq }
const messages = HttpApiGroup.make("messages")
  .add(
    HttpApiEndpoint.post("send", "/v1/channels/:channel/messages", {
      params: channelPath,
      payload: Schema.Struct(sendFields),
      success: answers.send.pipe(HttpApiSchema.status(201)),
      error: httpErrors
    }).annotateMerge(
      about(
        "Send a message",
        "Answered when the message is on stable storage (DURABLE-BEFORE-ACK). Moves no read cursor."
      )
    ),
    HttpApiEndpoint.patch("edit", "/v1/channels/:channel/messages/:seq", {
      params: messagePath,
      payload: Schema.Struct(editFields),
      success: answers.edit,
      error: httpErrors
    }).annotateMerge(
      about("Edit a message", "Replaces text and mentions. The answer's seq is the edit's, not the message's.")
    ),
    HttpApiEndpoint.delete("delete", "/v1/channels/:channel/messages/:seq", {
      params: messagePath,
      query: { cid: ClientId },
      success: answers.delete,
      error: httpErrors
    }).annotateMerge(about("Delete a message", "The message stays in its place as a tombstone without text.")),
    HttpApiEndpoint.get("history", "/v1/channels/:channel/messages", {
      params: channelPath,
      query: Schema.Struct(historyFields).check(onePlace),
      success: answers.history,
      error: httpErrors
    }).annotateMerge(
      about(
        "Read history",
        "At most one of `before`, `after` and `around`; none of them: the newest page. Ascending; the page covers `(from, to]`."
      )
    )
  )
  .middleware(Authentication)
  .middleware(RequestErrors)

// --- operations ------------------------------------------------------------------------------------------------

export const InspectKind = Schema.Literals(["channel", "session", "presence"])
export const Inspection = Schema.Record(Schema.String, Schema.Unknown).annotate({
  identifier: "Inspection",
  description: "The entity's state as its owner has it: for operators, not for programs; its fields may change."
})

const operations = HttpApiGroup.make("operations")
  .add(
    HttpApiEndpoint.get("inspect", "/v1/inspect/:kind/:id", {
      params: { kind: InspectKind, id: Schema.String.check(Schema.isMaxLength(128)) },
      query: { payloads: Schema.optionalKey(Schema.Literals(["true", "false"])) },
      success: Inspection,
      error: httpErrors
    }).annotateMerge(
      about(
        "Inspect an entity",
        "The state of a channel, a user's session or a presence shard (by its number, or by a user of it). Needs an API key or the operator's key; texts and names are left out unless `payloads` is `true`."
      )
    )
  )
  .middleware(Authentication)
  .middleware(RequestErrors)

// --- parked events ---------------------------------------------------------------------------------------------

export const ParkedTopic = Schema.Literals(["channel", "user"])
const parkedPath = {
  consumer: Schema.String.check(Schema.isMaxLength(64)),
  topic: ParkedTopic,
  id: Schema.String.check(Schema.isMaxLength(128))
}
export const ParkedEventInfo = Schema.Struct({
  consumer: Schema.String.pipe(
    means("Who can't handle it: `persister` writes the store, `member-fanout` tells members.")
  ),
  topic: ParkedTopic.pipe(means("Whose sequence the event is of.")),
  id: Schema.String.pipe(means("The channel or the user.")),
  generation: Seq.pipe(means("With `seq`, the event's position.")),
  seq: Seq.pipe(means("The event's place in the channel's or user's sequence.")),
  kind: Schema.String.pipe(means("The event's kind.")),
  why: Schema.String.pipe(means("Why it can't be handled; empty: it waits behind one that can't.")),
  parked_at: Millis.pipe(means("When it was parked."))
}).annotate({ identifier: "ParkedEvent", description: "An event that a consumer of the log could not handle." })
export const ParkedList = Schema.Struct({
  events: Schema.Array(ParkedEventInfo).pipe(means("By consumer, topic, id and sequence; without what the event says."))
})
export const ParkedRetried = Schema.Struct({
  written: Seq.pipe(means("Events that could be handled now.")),
  left: Seq.pipe(means("Events that are still parked.")),
  why: Schema.String.pipe(means("Why the first of those can't be handled; empty: none is left."))
}).annotate({ identifier: "ParkedRetried", description: "How trying again ended." })

const parked = HttpApiGroup.make("parked")
  .add(
    HttpApiEndpoint.get("list", "/v1/parked", {
      query: { limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))) },
      success: ParkedList,
      error: httpErrors
    }).annotateMerge(
      about(
        "List parked events",
        "Events that could not be stored or given to members, and what waits behind them. They are read all the same. Needs an API key or the operator's key."
      )
    ),
    HttpApiEndpoint.post("retry", "/v1/parked/:consumer/:topic/:id/retry", {
      params: parkedPath,
      success: ParkedRetried,
      error: httpErrors
    }).annotateMerge(
      about(
        "Try parked events again",
        "All of one channel or user, in order. Repeating it is harmless. Needs an API key or the operator's key."
      )
    ),
    HttpApiEndpoint.delete("drop", "/v1/parked/:consumer/:topic/:id/:seq", {
      params: { ...parkedPath, seq: Seq },
      success: ParkedRetried,
      error: httpErrors
    }).annotateMerge(
      about(
        "Give a parked event's text up",
        "The message is stored as a deleted one, the edit as void, and what waits behind it is tried. Only the first parked event, and no event that others build on. Needs an API key or the operator's key."
      )
    )
  )
  .middleware(Authentication)
  .middleware(RequestErrors)

// --- cluster ---------------------------------------------------------------------------------------------------

export const ClusterRunner = Schema.Struct({
  runner: Schema.String.pipe(means("Its name; another one at each start.")),
  state: Schema.Literals(["active", "draining", "silent"]).pipe(
    means("`draining`: it hands its shards over. `silent`: not heard of for so long that others take its shards.")
  ),
  shards: Seq.pipe(means("How many shards it holds.")),
  cordoned: Schema.Boolean.pipe(means("It keeps what it has and takes no more, unless nobody else is there.")),
  load: Schema.Finite.pipe(means("Of its shards together.")),
  heard_ms: Seq.pipe(means("Milliseconds since the asked node heard of it."))
}).annotate({ identifier: "ClusterRunner", description: "A process that holds shards." })
export const ClusterShard = Schema.Struct({
  shard: Seq,
  runner: Schema.String.pipe(means("Who holds it; empty: nobody.")),
  epoch: Seq.pipe(means("Grows with each holder.")),
  wanted: Schema.String.pipe(means("Where an operator wants it; empty: nobody said so.")),
  balanced: Schema.Boolean.pipe(
    means("The cluster itself brought it where it is, or has it on its way, because of what runners have to do.")
  ),
  load: Schema.Finite.pipe(
    means("Requests that it took and messages that it sent to edges, a second, over the last two seconds.")
  ),
  hot: Schema.Boolean.pipe(
    means("It has more to do than half of a runner's even share: moving others away from it is all that helps.")
  )
}).annotate({ identifier: "ClusterShard", description: "Where a shard is, and what it has to do." })
export const ClusterEdge = Schema.Struct({
  edge: Schema.String.pipe(means("Its name: the runner's of the same process, where that is both.")),
  url: Schema.String,
  zone: Schema.String,
  connections: Seq,
  open: Schema.Boolean.pipe(means("It takes connections: it is neither leaving nor overloaded.")),
  heard_ms: Seq.pipe(means("Milliseconds since the asked node heard of it."))
}).annotate({ identifier: "ClusterEdge", description: "A process that clients connect to." })
export const ClusterWorker = Schema.Struct({
  worker: Schema.String.pipe(means("Its name; another one at each start.")),
  shards: Seq.pipe(means("Of how many shards it consumes the log.")),
  heard_ms: Seq.pipe(means("Milliseconds since the asked node heard of it."))
}).annotate({ identifier: "ClusterWorker", description: "A process that only consumes the log." })
export const ClusterStatus = Schema.Struct({
  cluster: Schema.String.pipe(means("The cluster's name.")),
  runners: Schema.Array(ClusterRunner).pipe(means("By name.")),
  edges: Schema.Array(ClusterEdge).pipe(means("By name.")),
  workers: Schema.optionalKey(Schema.Array(ClusterWorker)).pipe(
    means("By name, those that live. A node of an older release says nothing of them.")
  ),
  shards: Schema.Array(ClusterShard).pipe(means("By number."))
}).annotate({ identifier: "ClusterStatus", description: "The cluster as the asked node sees it." })

const Done = Schema.Struct({ done: Schema.Literal(true) })
const runnerPath = { runner: Schema.String.check(Schema.isMaxLength(128)) }
const shardPath = { shard: Seq }
const edgePath = { edge: Schema.String.check(Schema.isMaxLength(128)) }

const cluster = HttpApiGroup.make("cluster")
  .add(
    HttpApiEndpoint.get("status", "/v1/cluster", { success: ClusterStatus, error: httpErrors }).annotateMerge(
      about(
        "Who holds what",
        "Runners and shards of the cluster as the asked node sees them. `not_found` from a server that is alone. Needs an API key or the operator's key."
      )
    ),
    HttpApiEndpoint.put("cordon", "/v1/cluster/runners/:runner/cordon", {
      params: runnerPath,
      success: Done,
      error: httpErrors
    }).annotateMerge(
      about("Give a runner no more shards", "It keeps those it has. Needs an API key or the operator's key.")
    ),
    HttpApiEndpoint.delete("uncordon", "/v1/cluster/runners/:runner/cordon", {
      params: runnerPath,
      success: Done,
      error: httpErrors
    }).annotateMerge(about("Give a runner shards again", "Needs an API key or the operator's key.")),
    HttpApiEndpoint.put("leave", "/v1/cluster/edges/:edge/leaving", {
      params: edgePath,
      success: Done,
      error: httpErrors
    }).annotateMerge(
      about(
        "Have an edge's clients move",
        "It takes no more connections, tells its clients to move, spread over its window, and goes on answering HTTP. Needs an API key or the operator's key."
      )
    ),
    HttpApiEndpoint.delete("comeBack", "/v1/cluster/edges/:edge/leaving", {
      params: edgePath,
      success: Done,
      error: httpErrors
    }).annotateMerge(about("Let an edge take connections again", "Needs an API key or the operator's key.")),
    HttpApiEndpoint.put("move", "/v1/cluster/shards/:shard/runner/:runner", {
      params: { ...shardPath, ...runnerPath },
      success: Done,
      error: httpErrors
    }).annotateMerge(
      about(
        "Move a shard",
        "It goes to that runner and stays there until it is released, or the runner goes. Needs an API key or the operator's key."
      )
    ),
    HttpApiEndpoint.delete("release", "/v1/cluster/shards/:shard/runner", {
      params: shardPath,
      success: Done,
      error: httpErrors
    }).annotateMerge(
      about("Let a shard be placed again", "Takes back what was said about it. Needs an API key or the operator's key.")
    )
  )
  .middleware(Authentication)
  .middleware(RequestErrors)

// --- health ----------------------------------------------------------------------------------------------------

export const Alive = Schema.Struct({ alive: Schema.Literal(true) })
export const Ready = Schema.Struct({
  ready: Schema.Literal(true),
  degraded: Schema.optionalKey(Schema.Array(Schema.String)).pipe(
    means("A sentence for each thing that an operator has to see to though the node serves; absent: nothing.")
  )
}).annotate({ identifier: "Ready" })
export const NotReady = Schema.Struct({
  ready: Schema.Literal(false),
  reasons: Schema.Array(Schema.String).pipe(
    means("A sentence for each part that is not ready, for an operator; no addresses, no secrets.")
  )
})
  .annotate({ identifier: "NotReady", description: "The node should get no new connections now." })
  .pipe(HttpApiSchema.status(503))

const health = HttpApiGroup.make("health").add(
  HttpApiEndpoint.get("live", "/livez", { success: Alive }).annotateMerge(
    about("Is the process alive", "Answers while the process can answer at all. For a supervisor that restarts it.")
  ),
  HttpApiEndpoint.get("ready", "/readyz", { success: Ready, error: NotReady }).annotateMerge(
    about(
      "May traffic come here",
      "503 while starting, draining, or when the log can't be reached. For a load balancer."
    )
  )
)

/** The whole API. */
export class ParleyApi extends HttpApi.make("parley")
  .add(tokens, edges, users, channels, members, messages, operations, parked, cluster, health)
  .annotateMerge(
    OpenApi.annotations({
      title: "Parley HTTP API",
      version: "1",
      description:
        "What is not live: tokens in development, profiles, channels, members, messages and history, health. The live protocol is `parley.v1.json` over WebSocket.",
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" }
    })
  ) {}
