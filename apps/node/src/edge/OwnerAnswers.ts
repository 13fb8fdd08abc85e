/**
 * What an owner's `ok` is, by the request's kind. In one process these are the owner's own objects; over a network its
 * codec has checked them.
 */
import type { OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type {
  ChannelAck,
  CursorMoved,
  OwnerReply,
  OwnerRequest,
  PresenceView,
  SessionStanding,
  SessionView,
  SyncResult,
  UnreadCounts
} from "@parley/actors/owner/OwnerProtocol"
import type { InboxPlace } from "@parley/storage/Inbox"
import type { Membership } from "@parley/storage/Directory"
import type { WireText } from "@parley/protocol/WireText"

export interface OwnerAnswers {
  readonly Mutate: ChannelAck
  readonly Sync: ReadonlyArray<SyncResult>
  /** The `ok` of the op `history`. */
  readonly History: WireText
  readonly Unread: UnreadCounts
  readonly Typing: unknown
  readonly Receipt: unknown
  /** Current stays, ascending by user. */
  readonly Members: ReadonlyArray<Membership>
  readonly InspectChannel: unknown
  readonly Standing: SessionStanding
  readonly Open: SessionView
  readonly Inbox: ReadonlyArray<InboxPlace>
  readonly MoveCursor: CursorMoved
  readonly MarkUnread: CursorMoved
  readonly Notice: unknown
  readonly Revoke: unknown
  readonly InspectSession: unknown
  readonly Report: unknown
  readonly Watch: PresenceView
  readonly InspectPresence: unknown
}

export type ReplyTo<Tag extends OwnerRequest["_tag"]> = OwnerReply<OwnerAnswers[Tag]>

/** `OwnerCalls.request` with the answer's type. */
export const ask = <R extends OwnerRequest>(
  calls: OwnerCalls["Service"],
  shard: number,
  request: R,
  reply: (reply: ReplyTo<R["_tag"]>) => void
): void =>
  // The owner answers each kind of request with its own kind of answer, see above.
  calls.request(shard, request, reply as (reply: OwnerReply<unknown>) => void)
