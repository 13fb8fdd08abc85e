/**
 * Ops of the moment: ping, watching a channel, typing, presence, foreground and background. None of them is on the
 * durable path (EPHEMERAL-IS-EPHEMERAL).
 */
import { presenceTopic, type PresenceView } from "@parley/actors/owner/OwnerProtocol"
import type { Op } from "@parley/protocol/Frame"
import { Limits } from "@parley/protocol/Limits"
import { toWire } from "@parley/protocol/WireText"
import { headOf, viewChannel } from "../ChannelViews.ts"
import type { Connection } from "../Connection.ts"
import { answerFailure, answerOk, callerOf, type EdgeRuntime } from "../EdgeRuntime.ts"
import { ask } from "../OwnerAnswers.ts"

const done = "{}"

export const ping = (edge: EdgeRuntime, connection: Connection, frame: Op<"ping">): void =>
  answerOk(edge, connection, frame.id, `{"server_time":${edge.now()}}`)

export const watch = (edge: EdgeRuntime, connection: Connection, frame: Op<"watch">): void => {
  const { channel, id } = frame
  const watched = (connection.watchedChannels ??= new Set())
  if (!watched.has(channel) && watched.size >= Limits.watchesPerConnectionMax) {
    return answerFailure(edge, connection, id, {
      code: "invalid",
      detail: `a connection watches at most ${Limits.watchesPerConnectionMax} channels`
    })
  }
  // From now on: what comes between the head of the answer and the answer must not be missed.
  watched.add(channel)
  viewChannel(edge.calls, connection.user, channel, (view) => {
    if ("ok" in view) return answerOk(edge, connection, id, toWire(JSON.stringify({ head: headOf(view.ok) })))
    connection.watchedChannels?.delete(channel)
    answerFailure(edge, connection, id, view.failure)
  })
}

export const unwatch = (edge: EdgeRuntime, connection: Connection, frame: Op<"unwatch">): void => {
  connection.watchedChannels?.delete(frame.channel)
  answerOk(edge, connection, frame.id, done)
}

export const typing = (edge: EdgeRuntime, connection: Connection, frame: Op<"typing">): void => {
  const { channel, id, on } = frame
  ask(
    edge.calls,
    edge.calls.shardOf(channel),
    { _tag: "Typing", caller: callerOf(edge, connection), channel, on },
    (reply) => {
      if ("ok" in reply) answerOk(edge, connection, id, done)
      else answerFailure(edge, connection, id, reply.failure)
    }
  )
}

export const presenceSet = (edge: EdgeRuntime, connection: Connection, frame: Op<"presence_set">): void => {
  edge.presence.set(connection.user, connection.device, frame.state)
  answerOk(edge, connection, frame.id, done)
}

/** A device in the background is away, and takes no ephemeral frames. */
export const background = (edge: EdgeRuntime, connection: Connection, frame: Op<"background" | "foreground">): void => {
  connection.background = frame.op === "background"
  edge.presence.set(connection.user, connection.device, connection.background ? "away" : "online")
  answerOk(edge, connection, frame.id, done)
}

/** Replaces the users whose presence this connection watches. */
export const presenceWatch = (edge: EdgeRuntime, connection: Connection, frame: Op<"presence_watch">): void => {
  const users = [...new Set<string>(frame.users)]
  connection.watchedUsers = users.length === 0 ? null : new Set(users)
  const shards = new Set(users.map((user) => edge.calls.shardOf(user)))
  for (const topic of connection.topics.slice()) {
    if (topic.kind === "presence" && !shards.has(topic.shard)) edge.topics.remove(topic, connection)
  }
  const views: Array<PresenceView> = []
  let waiting = shards.size
  const finish = () => {
    if (views.length < shards.size) return answerFailure(edge, connection, frame.id, { code: "unavailable" })
    const wanted = views.flatMap((view) => view.users.filter(({ user }) => connection.watchedUsers?.has(user) === true))
    answerOk(
      edge,
      connection,
      frame.id,
      JSON.stringify({
        shards: views.map(({ epoch, n, shard }) => ({ shard, epoch, n })),
        users: wanted.map(({ last_seen, state, user }) => ({ user, state, last_seen }))
      })
    )
  }
  if (waiting === 0) return finish()
  for (const shard of shards) {
    watchShard(edge, connection, shard, (view) => {
      if (view !== undefined) views.push(view)
      if (--waiting === 0) finish()
    })
  }
}

const watchShard = (
  edge: EdgeRuntime,
  connection: Connection,
  shard: number,
  finished: (view: PresenceView | undefined) => void
): void => {
  const topic = edge.topics.presence(shard)
  edge.interest.want(shard, presenceTopic(shard), connection.user, (result) => {
    if ("failure" in result || result.denied || connection.state !== "live") return finished(undefined)
    edge.topics.add(topic, connection)
    ask(edge.calls, shard, { _tag: "Watch", shard, edge: edge.name, users: watchedUsers(edge, shard) }, (reply) =>
      finished("ok" in reply ? reply.ok : undefined)
    )
  })
}

/** All users of a presence shard that connections of this edge watch. */
export const watchedUsers = (edge: EdgeRuntime, shard: number): ReadonlyArray<string> => {
  const users = new Set<string>()
  for (const connection of edge.topics.presence(shard).connections) {
    for (const user of connection.watchedUsers ?? []) if (edge.calls.shardOf(user) === shard) users.add(user)
  }
  return [...users]
}
