/** What a channel's event tells to whom: notices for the sessions of those it is about. */
import { changedAuthor } from "../channel/Tail.ts"
import type { Entry } from "../log/Entry.ts"
import type { SessionRequest } from "../owner/OwnerProtocol.ts"

export type Notice = SessionRequest & { readonly _tag: "Notice" }

/** What an event tells to whom. */
export const noticesOf = (entry: Entry): ReadonlyArray<Notice> => {
  // Most messages name nobody: no need to parse them.
  if ((entry.kind === "message" || entry.kind === "edit") && !entry.body.includes('"mentions":')) return []
  const { by, id: channel, seq } = entry
  // Our own encoding of a ChannelEvent.
  const event = JSON.parse(entry.body) as {
    readonly members?: ReadonlyArray<string>
    readonly mentions?: ReadonlyArray<string>
  }
  const to = (users: ReadonlyArray<string> | undefined, kind: Notice["kind"], at = seq): ReadonlyArray<Notice> =>
    (users ?? []).map((user) => ({ _tag: "Notice", user, kind, channel, seq: at, by }))
  switch (entry.kind) {
    case "created":
    case "added":
      return to(event.members, "added")
    case "removed":
      return to(event.members, "removed")
    case "message":
      return to(
        event.mentions?.filter((user) => user !== by),
        "mentioned"
      )
    case "edit":
      // The mention is the message's: it is read, counted and taken away with it, and nobody's own message names him.
      return to(
        event.mentions?.filter((user) => user !== changedAuthor(entry)),
        "mentioned",
        entry.target
      )
    default:
      return []
  }
}
