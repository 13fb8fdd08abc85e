/**
 * What an edge asks of a shard's owner, and what owners send to edges. Inside one process these are plain objects;
 * over NATS they get a codec and nothing else changes. All are decoded and authenticated by the edge; every command is
 * idempotent by its client id, so a caller repeats it without thinking (EXACTLY-ONCE-EFFECT).
 */
import type { ApiFailure } from "@parley/protocol/ApiError"
import type { Position } from "@parley/protocol/Ids"
import type { WireText } from "@parley/protocol/WireText"

/** Who is behind a command, and where his socket is. */
export interface Caller {
  readonly user: string
  readonly device: string
  /** The connection's number on its edge; the edge does not echo a live event to the connection that caused it. 0: none. */
  readonly connection: number
  readonly edge: string
}

/** Mutations of a channel: each takes a seq, or is answered with the ack of the first try. */
export type ChannelMutation =
  | {
      readonly op: "send"
      readonly channel: string
      readonly cid: string
      readonly text: string
      readonly mentions: ReadonlyArray<string>
    }
  | {
      readonly op: "edit"
      readonly channel: string
      readonly cid: string
      readonly target: number
      readonly text: string
      readonly mentions: ReadonlyArray<string>
    }
  | { readonly op: "delete"; readonly channel: string; readonly cid: string; readonly target: number }
  | {
      readonly op: "create"
      readonly channel: string
      readonly cid: string
      readonly name: string
      readonly topic: string
      readonly members: ReadonlyArray<string>
    }
  | {
      readonly op: "update"
      readonly channel: string
      readonly cid: string
      readonly name?: string
      readonly topic?: string
    }
  | { readonly op: "join"; readonly channel: string; readonly cid: string }
  | { readonly op: "leave"; readonly channel: string; readonly cid: string }
  | {
      readonly op: "add_members"
      readonly channel: string
      readonly cid: string
      readonly members: ReadonlyArray<string>
    }
  | {
      readonly op: "remove_members"
      readonly channel: string
      readonly cid: string
      readonly members: ReadonlyArray<string>
    }

export interface ChannelAck {
  readonly seq: number
  readonly n: number
  readonly at: number
  readonly generation: number
}

/** Where one user is in one channel, as a sync asks it. */
export interface SyncItem {
  readonly channel: string
  /** What the device holds; null: nothing. */
  readonly held: Position | null
  readonly cursor: Position
}

/** `sync` is a `ChannelSync` of the protocol as wire text; `lost`: the user is no member (any more) since `seq`. */
export type SyncResult =
  | { readonly _tag: "Sync"; readonly channel: string; readonly sync: WireText; readonly head: number }
  | { readonly _tag: "Lost"; readonly channel: string; readonly seq: number }
  | { readonly _tag: "Failed"; readonly channel: string; readonly failure: ApiFailure }

/** The channel's answer to `Unread`. */
export interface UnreadCounts {
  readonly unread: number
  readonly mentions: number
  /** The committed head that the counts are of, and the messages up to it. */
  readonly head: number
  readonly n: number
}

/** The session's answer to `MoveCursor` and `MarkUnread`. */
export interface CursorMoved {
  /** Where it is now, which may be further than was asked. */
  readonly cursor: Position
  /** Of `MarkUnread`: the place of its event, the same in every repetition. */
  readonly userSeq: number
}

/** Asked of the owner of the channel's shard. */
export type ChannelRequest =
  | { readonly _tag: "Mutate"; readonly caller: Caller; readonly mutation: ChannelMutation; readonly admin: boolean }
  | {
      readonly _tag: "Sync"
      readonly user: string
      readonly items: ReadonlyArray<SyncItem>
      readonly eventsMax: number
      readonly bytesMax: number
    }
  | {
      readonly _tag: "History"
      readonly user: string
      readonly admin: boolean
      readonly channel: string
      readonly before: number | null
      readonly after: number | null
      readonly around: number | null
      readonly limit: number
    }
  /** Counts after `seq`, and whether the user may be there: the first half of a read. */
  | { readonly _tag: "Unread"; readonly user: string; readonly channel: string; readonly cursor: Position }
  | { readonly _tag: "Typing"; readonly caller: Caller; readonly channel: string; readonly on: boolean }
  /** Ephemeral: how far the caller has come. */
  | {
      readonly _tag: "Receipt"
      readonly caller: Caller
      readonly channel: string
      readonly delivered: number
      readonly read: number
    }
  | {
      readonly _tag: "Members"
      readonly user: string
      readonly admin: boolean
      readonly channel: string
      readonly afterUser: string
      readonly limit: number
    }
  | { readonly _tag: "InspectChannel"; readonly channel: string; readonly payloads: boolean }

/** Asked of the owner of the user's shard. */
export type SessionRequest =
  /** The user's position, and whose tokens are void: all that a connection's first frame needs. */
  | { readonly _tag: "Standing"; readonly user: string }
  /** The user's position, channels with cursors, and personal events after `after` (reload: these can't be continued). */
  | { readonly _tag: "Open"; readonly user: string; readonly after: Position }
  /**
   * The channels that a reconnecting user should look at first, with their places (†10). Those that he marked unread
   * after the user seq `asOf` are left out: pages that were begun then have passed their places.
   */
  | { readonly _tag: "Inbox"; readonly user: string; readonly asOf: number }
  /** Moves the cursor forward (merge by max), tells the other devices. The counts were the channel's answer. */
  | {
      readonly _tag: "MoveCursor"
      readonly caller: Caller
      readonly channel: string
      readonly seq: number
      readonly unread: number
      readonly mentions: number
      readonly head: number
      /** Null: of whatever generation the cursor is; else a cursor of another generation stays where it is. */
      readonly generation: number | null
    }
  | {
      readonly _tag: "MarkUnread"
      readonly caller: Caller
      readonly channel: string
      readonly seq: number
      readonly cid: string
      readonly unread: number
      readonly mentions: number
      readonly head: number
    }
  /** From the member fan-out, by log (†12): idempotent by (channel, seq, kind). */
  | {
      readonly _tag: "Notice"
      readonly user: string
      readonly kind: "added" | "removed" | "mentioned"
      readonly channel: string
      readonly seq: number
      readonly by: string
    }
  | { readonly _tag: "Revoke"; readonly user: string; readonly before: number; readonly cid: string }
  | { readonly _tag: "InspectSession"; readonly user: string; readonly payloads: boolean }

/** Asked of the owner of a presence shard. */
export type PresenceRequest =
  /** An edge's report of an interval: its devices that came, changed or went, or everything it has (`full`). */
  | {
      readonly _tag: "Report"
      readonly shard: number
      readonly edge: string
      readonly full: boolean
      readonly devices: ReadonlyArray<{
        readonly user: string
        readonly device: string
        readonly state: "online" | "away" | "gone"
      }>
    }
  | { readonly _tag: "Watch"; readonly shard: number; readonly edge: string; readonly users: ReadonlyArray<string> }
  | { readonly _tag: "InspectPresence"; readonly shard: number }

export interface PresenceChange {
  readonly user: string
  readonly state: "online" | "away" | "offline"
  /** Milliseconds since 1970; null: unknown, or online. */
  readonly last_seen: number | null
}

/** The presence shard's answer to `Watch`. */
export interface PresenceView {
  readonly shard: number
  readonly epoch: number
  readonly n: number
  readonly users: ReadonlyArray<PresenceChange>
}

export type OwnerRequest = ChannelRequest | SessionRequest | PresenceRequest

export interface SessionStanding {
  readonly position: Position
  /** Tokens issued before this are void (s since 1970); 0: none. */
  readonly revokedBefore: number
}

/** The session as its owner lists it for a connection. */
export interface SessionView extends SessionStanding {
  readonly reload: boolean
  /** `UserEvent`s after the named position, ascending, as wire text. */
  readonly personal: ReadonlyArray<WireText>
  readonly channels: ReadonlyArray<{ readonly channel: string; readonly cursor: Position }>
  /** Channels the user is in no longer, with the seq of the removal, as far back as tombstones reach. */
  readonly left: ReadonlyArray<{ readonly channel: string; readonly seq: number }>
}

/** Every answer: `ok` is what the request's kind says, or a failure the client may see. */
export type OwnerReply<A> = { readonly ok: A } | { readonly failure: ApiFailure }

// --- interest and links (DESIGN §4) --------------------------------------------------------------------------

/** `c/<channel>`, `u/<user>` or `p/<presence shard>`. */
export type TopicName = string
export const channelTopic = (channel: string): TopicName => `c/${channel}`
export const userTopic = (user: string): TopicName => `u/${user}`
export const presenceTopic = (shard: number): TopicName => `p/${shard}`

/** One batch a shard: topics an edge wants, and for whom (†7: each user is authorised, also where the edge has the topic). */
export interface Attach {
  readonly shard: number
  readonly edge: string
  readonly topics: ReadonlyArray<{ readonly topic: TopicName; readonly users: ReadonlyArray<string> }>
}
export interface Attached {
  readonly shard: number
  readonly epoch: number
  /** The version of this edge's interest in the shard after this batch. */
  readonly interestVersion: number
  /**
   * In the order asked: the committed head, and the users who may not have it. Of topics that are left out the owner can't
   * say it now (their state can't be loaded): that denies nobody, and is asked again.
   */
  readonly topics: ReadonlyArray<{
    readonly topic: TopicName
    readonly head: number
    readonly generation: number
    readonly denied: ReadonlyArray<string>
  }>
}
export interface Detach {
  readonly shard: number
  readonly edge: string
  readonly topics: ReadonlyArray<TopicName>
}

/** What a link message carries. Bodies are wire text, encoded once at the owner. */
export type LinkItem =
  | {
      readonly _tag: "Event"
      readonly topic: TopicName
      readonly from: number
      readonly to: number
      /** The event's public body. */
      readonly body: WireText
      readonly kind: string
      /** The connection that caused it (its ack says the same), on `originEdge`. */
      readonly originEdge: string
      readonly originConnection: number
      /** For `added` and `removed`: who, so that the edge takes connections on and off exactly here. */
      readonly members: ReadonlyArray<string>
      /** Fan-out mode in force for this event. */
      readonly readFanout: boolean
    }
  | { readonly _tag: "Covered"; readonly topic: TopicName; readonly from: number; readonly to: number }
  /** Ephemeral: `frame` is a whole push. `exceptUser`: not to this one. Dropped first. */
  | {
      readonly _tag: "Ephemeral"
      readonly topic: TopicName
      readonly frame: WireText
      readonly exceptUser: string
      readonly exceptConnection: number
    }
  /** Changes of a presence shard; the edge picks the users each connection watches. Dropped first. */
  | {
      readonly _tag: "Presence"
      readonly topic: TopicName
      readonly shard: number
      readonly epoch: number
      readonly n: number
      readonly users: ReadonlyArray<PresenceChange>
    }
  /** A personal event, or (ephemeral, seq 0) a cursor push for the user's connections but `exceptConnection`. */
  | {
      readonly _tag: "Personal"
      readonly topic: TopicName
      readonly seq: number
      readonly kind: string
      readonly frame: WireText
      readonly channel: string
      readonly channelSeq: number
      readonly exceptConnection: number
      readonly revokedBefore: number
    }

/** One message a flush from an owner to an edge. */
export interface LinkMessage {
  readonly owner: string
  /** Changes with each start of the owner. */
  readonly start: number
  readonly edge: string
  /** 1, 2, 3 … a link; heartbeats carry the last number and no items. */
  readonly number: number
  readonly items: ReadonlyArray<LinkItem>
  /** Only on heartbeats: what the owner serves for this edge. */
  readonly digest: ReadonlyArray<{
    readonly shard: number
    readonly epoch: number
    readonly interestVersion: number
  }> | null
}
