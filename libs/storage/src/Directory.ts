/**
 * Who and what exists: channels with their settings and members, users with their channels, sessions' snapshots.
 * Written behind the log; each column is owned by one sequence and takes absolute values, smaller seqs change nothing.
 * Membership is a list of intervals, so that a head says exactly who could read what (†15).
 */
import type { Effect, Option } from "effect"
import { Context } from "effect"
import type { Fanout, Role } from "@parley/protocol/Event"
import type { StoreRefused, StoreUnavailable } from "./StoreError.ts"

export interface ChannelRow {
  readonly channel: string
  readonly generation: number
  /** The event that owns these values. */
  readonly seq: number
  readonly n: number
  readonly name: string
  readonly topic: string
  readonly fanout: Fanout
  readonly createdAt: number
  readonly members: number
  /** Largest embedded time ever evicted from the idempotency window (†29). */
  readonly idBound: number
  /** Not there: all of it is of the row's own event. */
  readonly origins?: RowOrigins
}

/** Where an event is in its channel. */
export interface EventPlace {
  readonly generation: number
  readonly seq: number
}

/** A row's parts that events change one by one. */
export const rowParts = ["name", "topic", "fanout", "createdAt"] as const
export type RowPart = (typeof rowParts)[number]

/** The events that the parts of a row are of. A count of members may be put right later, so often (`recountsMax`). */
export type RowOrigins = Readonly<Record<RowPart, EventPlace>> & {
  readonly members: EventPlace & { readonly recounts: number }
}
export const recountsMax = 15

/** A row to be carried forward. */
export interface ChannelRowWithOrigins extends ChannelRow {
  readonly origins: RowOrigins
}

/** All of a row is of one event. */
export const originsAt = ({ generation, seq }: EventPlace): RowOrigins => {
  const at = { generation, seq }
  return { name: at, topic: at, fanout: at, createdAt: at, members: { ...at, recounts: 0 } }
}

export const isLater = (a: EventPlace, b: EventPlace): boolean =>
  a.generation !== b.generation ? a.generation > b.generation : a.seq > b.seq

/** Where an event that changes neither settings nor members takes its channel's row. */
export type ChannelMove = Pick<ChannelRow, "channel" | "generation" | "seq" | "n" | "idBound">

/** One stay of a user in a channel: a member for seqs `from <= seq <= to`; `to` null while it lasts. */
export interface Membership {
  readonly channel: string
  readonly user: string
  readonly role: Role
  readonly from: number
  readonly to: number | null
  /** The event that owns this row's end (or its beginning, while it lasts). */
  readonly seq: number
}

/** A session's committed state as its entity encodes it, owned by its user seq. */
export interface SessionRow {
  readonly user: string
  readonly generation: number
  readonly userSeq: number
  readonly state: Uint8Array
}

export interface UserRow {
  readonly user: string
  readonly name: string
  readonly createdAt: number
}

export class Directory extends Context.Service<
  Directory,
  {
    /** Without the origins of its parts. */
    channel(channel: string): Effect.Effect<Option.Option<ChannelRow>, StoreUnavailable>
    /**
     * The same with them, for who carries the row forward. A store that loses the last of its writes, and nothing before them,
     * has no need to keep them apart: the row's own event stands for all.
     */
    channelWithOrigins(channel: string): Effect.Effect<Option.Option<ChannelRowWithOrigins>, StoreUnavailable>
    /** The ids of all channels that have a row, ascending byte by byte, in pages. */
    channelIds(after: string, limit: number): Effect.Effect<ReadonlyArray<string>, StoreUnavailable>
    /** Each part as of the latest event that any row says it is of (†32). */
    writeChannels(rows: ReadonlyArray<ChannelRow>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /** Moves rows that are there on to a later seq; a channel without one stays without one. */
    moveChannels(moves: ReadonlyArray<ChannelMove>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /** Current and past stays of the first `limit` users after `afterUser`, by user, then `from`; no user is cut in two. */
    members(
      channel: string,
      afterUser: string,
      limit: number
    ): Effect.Effect<ReadonlyArray<Membership>, StoreUnavailable>
    /** All stays of one user in one channel. */
    membership(channel: string, user: string): Effect.Effect<ReadonlyArray<Membership>, StoreUnavailable>
    writeMembers(rows: ReadonlyArray<Membership>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /** The channels the user is in now, ascending by id. */
    channelsOf(user: string): Effect.Effect<ReadonlyArray<Membership>, StoreUnavailable>
    session(user: string): Effect.Effect<Option.Option<SessionRow>, StoreUnavailable>
    writeSessions(rows: ReadonlyArray<SessionRow>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    user(user: string): Effect.Effect<Option.Option<UserRow>, StoreUnavailable>
    putUser(row: UserRow): Effect.Effect<void, StoreUnavailable>
  }
>()("@parley/storage/Directory") {}
