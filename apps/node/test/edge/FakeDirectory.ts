/** A directory of profiles in memory; everything else of it is the owners' business. */
import { Effect, Layer, Option } from "effect"
import { Directory, type UserRow } from "@parley/storage/Directory"

export const layerFakeDirectory = Layer.effect(
  Directory,
  Effect.sync(() => {
    const users = new Map<string, UserRow>()
    const unused = () => Effect.die("not part of the edge")
    return Directory.of({
      channel: unused,
      channelWithOrigins: unused,
      channelIds: unused,
      writeChannels: unused,
      moveChannels: unused,
      members: unused,
      membership: unused,
      writeMembers: unused,
      channelsOf: unused,
      session: unused,
      writeSessions: unused,
      user: (user) => Effect.sync(() => Option.fromUndefinedOr(users.get(user))),
      putUser: (row) => Effect.sync(() => void users.set(row.user, row))
    })
  })
)
