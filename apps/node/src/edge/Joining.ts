/**
 * Brings a user's connections onto a channel that he was added to while they were open: attach with his authorisation
 * (†7), a view of the channel as his, then the push `channel`; what comes live meanwhile waits behind it (†8).
 */
import { channelTopic } from "@parley/actors/owner/OwnerProtocol"
import { viewChannel } from "./ChannelViews.ts"
import type { Connection } from "./Connection.ts"
import type { EdgeRuntime } from "./EdgeRuntime.ts"
import { frameOf } from "./Outbound.ts"
import type { Topic } from "./Topic.ts"

/** Tries, while the user stays a member and connected. */
const joinTriesMax = 8
const retryMs = 250

/**
 * `since`: the seq that added him. His session may know of it before the channel's owner does, whose append was not answered
 * yet: an answer as of before it is of an earlier stay, whose end is yet to come, and is asked for again.
 */
export const joinChannel = (edge: EdgeRuntime, user: string, channel: string, since: number, tries = 0): void => {
  const topic = edge.topics.channel(channel)
  const joining = edge.topics.connectionsOf(user).filter((connection) => connection.synced)
  if (joining.length === 0) return
  edge.interest.want(topic.shard, channelTopic(channel), user, (result) => {
    const again = () => joinAgain(edge, user, channel, since, tries)
    if ("failure" in result) return again()
    // Removed again meanwhile: his session says so too.
    if (result.denied) return
    const started = joining.filter((connection) => edge.topics.beginJoin(topic, connection))
    viewChannel(edge.calls, user, channel, (view) => {
      if (!("ok" in view) || view.ok.head < since) {
        for (const connection of started) edge.topics.abortJoin(topic, connection)
        if ("ok" in view || view.failure.code !== "not_found") again()
        return
      }
      const frame = frameOf(`{"ev":"channel","sync":${view.ok.sync}}`)
      const there = joining.filter(({ state }) => state === "live")
      for (const connection of there) show(edge, topic, connection, frame, view.ok.head)
      // Taken off meanwhile, by a removal that may be older than his stay: the owner says so.
      if (!there.every((connection) => topic.has(connection))) again()
    })
  })
}

const show = (edge: EdgeRuntime, topic: Topic, connection: Connection, frame: string, head: number): void => {
  if (!topic.has(connection)) return
  edge.outbound.push(connection, frame, false)
  edge.topics.endJoin(topic, connection, head)
}

const joinAgain = (edge: EdgeRuntime, user: string, channel: string, since: number, tries: number): void => {
  if (tries >= joinTriesMax) {
    // They resume by sync, which lists the channel.
    for (const connection of edge.topics.connectionsOf(user)) edge.close(connection, "lost_place")
    return
  }
  setTimeout(() => joinChannel(edge, user, channel, since, tries + 1), retryMs * 2 ** Math.min(tries, 5)).unref()
}
