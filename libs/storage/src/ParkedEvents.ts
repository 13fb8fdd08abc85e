/**
 * Events that a consumer of the log can't handle: copied here before its position goes past them, so that they are not
 * lost with the log's front and the consumer goes on (†26). Visible to operators, read by owners (what waits here is
 * not in the store yet), taken out once they were written after all, or given up. What an event's bytes mean is the
 * consumer's business. A put survives a loss of power from the next `StoreSync.sync` on, as everything behind the log.
 */
import { Context, type Effect } from "effect"
import type { StoreUnavailable } from "./StoreError.ts"

/** Which event of whose sequence, for which consumer. */
export interface ParkedKey {
  readonly consumer: string
  readonly topic: "channel" | "user"
  /** The channel or user. */
  readonly id: string
  readonly generation: number
  readonly seq: number
}

export interface ParkedEvent extends ParkedKey {
  readonly shard: number
  readonly kind: string
  /** Why it can't be handled; the empty string: it only waits behind one that can't. */
  readonly why: string
  /** Server time, ms. */
  readonly parkedAt: number
  readonly event: Uint8Array
}

/** What is parked of one entity. */
export interface ParkedEntity {
  readonly shard: number
  readonly topic: "channel" | "user"
  readonly id: string
  readonly count: number
}

export class ParkedEvents extends Context.Service<
  ParkedEvents,
  {
    /** One that is there already keeps its time and bytes, and takes the new reason. */
    put(events: ReadonlyArray<ParkedEvent>): Effect.Effect<void, StoreUnavailable>
    remove(keys: ReadonlyArray<ParkedKey>): Effect.Effect<void, StoreUnavailable>
    /** What is parked of one entity, in order of its sequence, the first `limit`. */
    of(
      consumer: string,
      topic: ParkedKey["topic"],
      id: string,
      limit: number
    ): Effect.Effect<ReadonlyArray<ParkedEvent>, StoreUnavailable>
    /** All that is parked, by consumer, topic, id and sequence: the first `limit`. */
    list(limit: number): Effect.Effect<ReadonlyArray<ParkedEvent>, StoreUnavailable>
    /** The entities of which something is parked for a consumer. */
    entities(consumer: string): Effect.Effect<ReadonlyArray<ParkedEntity>, StoreUnavailable>
  }
>()("@parley/storage/ParkedEvents") {}
