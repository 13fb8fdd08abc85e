/**
 * Presence pushes: each connection gets the changes of the users it watches. Every watcher of a shard gets every
 * version, also one without a change for it, so that a missing version shows.
 */
import type { LinkItem } from "@parley/actors/owner/OwnerProtocol"
import type { Outbound } from "./Outbound.ts"
import { frameOf } from "./Outbound.ts"
import type { Topic } from "./Topic.ts"

type PresenceItem = Extract<LinkItem, { readonly _tag: "Presence" }>

export const deliverPresence = (outbound: Outbound, topic: Topic, item: PresenceItem): void => {
  const start = `{"ev":"presence","shard":${item.shard},"epoch":${item.epoch},"n":${item.n},"users":[`
  const nothing = frameOf(`${start}]}`)
  const parts = new Map(item.users.map((change) => [change.user, JSON.stringify(change)]))
  for (const connection of topic.connections) {
    if (connection.background) continue
    let users = ""
    for (const [user, part] of parts) {
      if (connection.watchedUsers?.has(user) === true) users += users === "" ? part : `,${part}`
    }
    outbound.push(connection, users === "" ? nothing : frameOf(`${start}${users}]}`), true)
  }
}
