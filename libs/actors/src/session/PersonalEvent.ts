/** Bodies of a session's events as wire text, field for field what the Schema `UserEvent` encodes. Ids only: all ASCII. */
import type { UserEvent } from "@parley/protocol/Event"
import type { WireText } from "@parley/protocol/WireText"
import type { Entry } from "../log/Entry.ts"

/** What the event says besides its user seq and time, in the order of its Schema. */
export type Personal =
  | { readonly kind: "added"; readonly channel: string; readonly seq: number }
  | { readonly kind: "removed"; readonly channel: string; readonly seq: number }
  | { readonly kind: "mentioned"; readonly channel: string; readonly seq: number; readonly by: string }
  | { readonly kind: "marked_unread"; readonly channel: string; readonly seq: number; readonly cid: string }
  | { readonly kind: "revoked"; readonly before: number; readonly cid: string }

export const personalBody = (userSeq: number, at: number, personal: Personal): WireText =>
  JSON.stringify({ user_seq: userSeq, at, ...personal })

// as: bodies are made by personalBody and the log's hashes vouch for them, so they are what the Schema says
export const personalEvent = (entry: Entry): UserEvent => JSON.parse(entry.body) as UserEvent
