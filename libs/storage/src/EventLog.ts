/**
 * The durable log, as an owner sees it: one sequence of opaque records a shard, each appended only if the shard's last
 * record is still the expected one (that is the fence, SINGLE-WRITER), on stable storage before it settles
 * (DURABLE-BEFORE-ACK). It knows nothing of channels. What a record's bytes mean is `@parley/actors/log/Record`.
 *
 * Appending is out of Effect (a callback, sealed late): it is on the hot path, and `bench send` watches it. A backend
 * may gather the appends of many shards into one commit; it calls `seal` at the moment it takes the append, so that
 * all that gathered until then is in the record.
 */
import { Context, type Effect, type Option, Schema } from "effect"

/** Where a record stands in its shard: increases strictly, not always by one. 0 stands for "no record". */
export type LogPosition = number

export interface LogRecord {
  readonly position: LogPosition
  readonly bytes: Uint8Array
}

/**
 * A record that this process appended, as consumers in it have it from memory: what it was made of instead of its bytes.
 * These are not kept: they would be so much memory outside V8's heap, and it is that which begins a full collection.
 */
export interface OwnRecord {
  readonly position: LogPosition
  /** Bytes that the record has in the log. */
  readonly size: number
  /** What `Append.content` gave. */
  readonly content: unknown
}

/** How an append ended. */
export type AppendOutcome =
  /** On stable storage at `position`. */
  | { readonly _tag: "Committed"; readonly position: LogPosition }
  /** Certainly not written: the log is at its soft bound, or the record is larger than the log takes. */
  | { readonly _tag: "Refused"; readonly reason: "full" | "too_large" }
  /** The shard's last record is not the expected one; `actual` is the place to read (0: the shard is empty). */
  | { readonly _tag: "WrongSequence"; readonly actual: LogPosition }
  /** It may be written or not: a timeout, a lost leader, a failed fsync. Only the same bytes may be tried again there. */
  | { readonly _tag: "Ambiguous"; readonly cause: string }

export interface Append {
  readonly shard: number
  readonly expectedLast: LogPosition
  /** Called once, when the backend takes the append; the same bytes for a repetition, and never changed afterwards. */
  readonly seal: () => Uint8Array
  /** For consumers in this process, see `OwnRecord`; called right after `seal`. Without it they read the log. */
  readonly content?: () => unknown
  /** Whether this may use the room between the soft and the hard bound (epoch records, checkpoints, notices, †28). */
  readonly reserved: boolean
  /** Called once, never from within `append`. */
  readonly settle: (outcome: AppendOutcome) => void
}

/** The log can't be read or changed now. */
export class LogUnavailable extends Schema.TaggedError<LogUnavailable>()("LogUnavailable", {
  cause: Schema.Defect()
}) {
  override get message() {
    return `the log can't be used now: ${this.cause instanceof Error ? this.cause.message : String(this.cause)}`
  }
}

/** A record's bytes are not what was written. Nothing repairs this silently: the shard is quarantined (†24). */
export class LogDamaged extends Schema.TaggedError<LogDamaged>()("LogDamaged", {
  shard: Schema.Int,
  position: Schema.Int,
  what: Schema.String
}) {}

export interface LogUsage {
  readonly bytes: number
  readonly softBytes: number
  readonly hardBytes: number
}

export class EventLog extends Context.Service<
  EventLog,
  {
    append(append: Append): void
    /** So much has gathered that waiting for more saves nothing: a commit window is not waited out. Only a hint. */
    hurry(): void
    /** The shard's last record, from the leader: a read that decides. */
    last(shard: number): Effect.Effect<Option.Option<LogRecord>, LogUnavailable | LogDamaged>
    /** The record at exactly this place, from the leader. */
    read(shard: number, position: LogPosition): Effect.Effect<Option.Option<LogRecord>, LogUnavailable | LogDamaged>
    /**
     * Records after `after` in order, at most `bytesMax` bytes of them but at least one where there is one. They may be fewer
     * than there are: see `known`.
     */
    readAfter(
      shard: number,
      after: LogPosition,
      bytesMax: number
    ): Effect.Effect<ReadonlyArray<LogRecord>, LogUnavailable | LogDamaged>
    /**
     * As `readAfter`, of what this process appended itself, as long as it has it; undefined: the log has to be read. Of two
     * consumers here the slower one says how long.
     */
    own(shard: number, after: LogPosition, bytesMax: number): ReadonlyArray<OwnRecord> | undefined
    /** Removes the shard's records up to and including `upTo`, never its last one (†27). Works on a full log. */
    purge(shard: number, upTo: LogPosition): Effect.Effect<void, LogUnavailable>
    /**
     * The shard can spare its records up to and including `upTo`: they go now or later, or never, as it costs the log least;
     * where shards lie together, when all of them can spare the front. Never its last record (†27).
     */
    spare(shard: number, upTo: LogPosition): Effect.Effect<void, LogUnavailable>
    /**
     * The newest place where this process has seen a record of the shard, 0: it has seen none. Whoever reads and does not
     * come so far has not read all there is: it was too much at once, or a replica is behind.
     */
    known(shard: number): LogPosition
    /**
     * The newest position known here of those that the shard's share one sequence with: what lies far below it holds up what
     * the others can spare. 0 where a shard lies by itself.
     */
    newest(shard: number): LogPosition
    readonly usage: Effect.Effect<LogUsage, LogUnavailable>
    /** The shards that have a record. */
    readonly shards: Effect.Effect<ReadonlyArray<number>, LogUnavailable>
    /** A consumer's durable position in a shard (the last record it has done with); 0 at first. */
    consumerPosition(consumer: string, shard: number): Effect.Effect<LogPosition, LogUnavailable>
    /** Moves it forward; a smaller value changes nothing. */
    setConsumerPosition(consumer: string, shard: number, position: LogPosition): Effect.Effect<void, LogUnavailable>
  }
>()("@parley/storage/EventLog") {}
