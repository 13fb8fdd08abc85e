/**
 * What a runner gives to the shards it owns: services, clock, lease and bounds. One object a runner, so that a shard
 * and its handlers stay small.
 */
import type { Effect } from "effect"
import type { ChannelStore } from "@parley/storage/ChannelStore"
import type { CursorStore } from "@parley/storage/CursorStore"
import type { Directory } from "@parley/storage/Directory"
import type { EventLog } from "@parley/storage/EventLog"
import type { Inbox } from "@parley/storage/Inbox"
import type { MessageStore } from "@parley/storage/MessageStore"
import type { ParkedEvents } from "@parley/storage/ParkedEvents"
import type { OwnerLinks } from "../fanout/OwnerLink.ts"
import type { ColdChannels } from "./ColdChannels.ts"

export interface OwnerStores {
  readonly channels: ChannelStore["Service"]
  readonly messages: MessageStore["Service"]
  readonly directory: Directory["Service"]
  readonly cursors: CursorStore["Service"]
  readonly inbox: Inbox["Service"]
  readonly parked: ParkedEvents["Service"]
}

export interface OwnerBounds {
  /** Resident and warm state of one shard's channels and sessions together, in bytes. */
  readonly residentBytesMax: number
  readonly warmBytesMax: number
  /** A checkpoint is due after this many bytes of records. */
  readonly checkpointBytes: number
  /**
   * A channel of which the store lacks more than this is cut in a checkpoint: all of it would take the room of a hundred
   * others, and the time. Its next owner goes on with the newest events, and has the older ones when the store has come past
   * the checkpoint.
   */
  readonly unstoredBytesMax: number
  /** Ticks between two incremental checkpoints; 0: the store is never away without the log, takeovers may rely on it. */
  readonly incrementalTicks: number
  /**
   * For so many ticks a session gathers moved cursors before they are written: who reads on moves one with each message, and
   * a write costs two stores more than the message did. Well below what edges keep to offer again (`ReadMarks.keptMs`).
   */
  readonly cursorTicks: number
  /** Least time between two records of one shard under load; 0 where the log gathers by itself, as SQLite's does. */
  readonly commitWindowMs: number
  /** Members up to which a channel writes fan-out. */
  readonly fanoutThreshold: number
}

export const ownerBoundsDefault: OwnerBounds = {
  residentBytesMax: 32 * 1024 * 1024,
  warmBytesMax: 32 * 1024 * 1024,
  checkpointBytes: 4 * 1024 * 1024,
  unstoredBytesMax: 128 * 1024,
  incrementalTicks: 0,
  cursorTicks: 1,
  commitWindowMs: 0,
  fanoutThreshold: 200
}

export interface OwnerContext {
  /** The runner's address; another one at each start. */
  readonly name: string
  /** The cluster's: which ids are a shard's follows from it. */
  readonly shardCount: number
  readonly log: EventLog["Service"]
  readonly stores: OwnerStores
  readonly cold: ColdChannels
  readonly links: OwnerLinks
  readonly bounds: OwnerBounds
  /** Wall clock in ms: for display and client ids, never for order or leases. */
  readonly now: () => number
  /** Whether the lease's deadline (monotonic clock, counted from before the refresh was sent) has not passed (†17). */
  readonly leaseHeld: (shard: number) => boolean
  /** For tests of the tests: what is loaded has forgotten its client ids. */
  readonly forgetIds: boolean
  /** Runs an effect and calls back once, never from within. */
  readonly run: <A, E>(
    effect: Effect.Effect<A, E>,
    done: (result: { readonly ok: A } | { readonly error: unknown }) => void
  ) => void
  /** Tells the runner that a shard's consumers have something to read. */
  readonly committed: (shard: number) => void
  /** The log is at its soft bound: every shard does what it can for it to be cut. */
  readonly full: () => void
  /** The shard is out (†22): the runner takes it down. */
  readonly lost: (shard: number, why: string) => void
  /** The shard's log is damaged or behind what is known (†24): the runner takes the shard out of service. */
  readonly quarantine: (shard: number, what: string) => void
}
