/**
 * History: the rows of messages, the events a sync replays once the hot tail no longer has them, the counts that make
 * unread a subtraction, and the client ids beyond memory. Written behind the log by the persister, idempotently: every
 * write carries the seq (and generation) that owns it, a write with a smaller one changes nothing (†32), so any number
 * of persisters, in any order, give the same rows.
 */
import type { Effect, Option } from "effect"
import { Context } from "effect"
import type { Position } from "@parley/protocol/Ids"
import type { WireText } from "@parley/protocol/WireText"
import type { StoreRefused, StoreUnavailable } from "./StoreError.ts"

/** One committed event of a channel, as the persister hands it over. */
export interface StoredEvent {
  readonly channel: string
  readonly generation: number
  readonly seq: number
  readonly kind: string
  readonly at: number
  readonly by: string
  /** The mutation's client id; the empty string where the channel made the event itself. */
  readonly cid: string
  /** Hash of the mutation's body, as the idempotency window holds it. */
  readonly bodyHash: string
  /** Messages up to and with this event. */
  readonly n: number
  /** For edit and delete: the message they change. 0 otherwise. */
  readonly target: number
  readonly body: WireText
}

/** A message in its current form: `body` is a `MessageEvent` with `edited` or `deleted` where that applies. */
export interface StoredMessage {
  readonly seq: number
  readonly n: number
  readonly by: string
  readonly deleted: boolean
  readonly body: WireText
}

export interface StoredAck {
  readonly seq: number
  readonly n: number
  readonly at: number
  readonly bodyHash: string
}

export interface NewestEvents {
  readonly head: Position & { readonly n: number }
  /** When and by whom the head was sent, where it is a message; undefined: it is another event. */
  readonly message: { readonly at: number; readonly by: string } | undefined
  readonly events: ReadonlyArray<{ readonly seq: number; readonly body: WireText }>
}

export interface ChannelCounts {
  /** Messages in the range that are not deleted and not by the user. */
  readonly unread: number
}

export class MessageStore extends Context.Service<
  MessageStore,
  {
    /** Applies events, in any order and any number of times. Edits and deletes may precede their message. */
    write(events: ReadonlyArray<StoredEvent>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /** Messages with `after < seq < before` in current form, ascending: the newest `limit` of them, or the oldest. */
    messages(
      channel: string,
      range: { readonly after: number; readonly before: number; readonly limit: number; readonly newest: boolean }
    ): Effect.Effect<ReadonlyArray<StoredMessage>, StoreUnavailable>
    /** Events with `after < seq <= upTo`, ascending, in current form (†16), at most `limit`. */
    events(
      channel: string,
      after: number,
      upTo: number,
      limit: number
    ): Effect.Effect<ReadonlyArray<{ readonly seq: number; readonly body: WireText }>, StoreUnavailable>
    /** Undeleted messages in `(after, upTo]` that are not by `user`: by blocks, exact in the blocks that are touched. */
    countUnread(channel: string, after: number, upTo: number, user: string): Effect.Effect<number, StoreUnavailable>
    /** The ack that a client id got, within the idempotency window. */
    findId(channel: string, sender: string, cid: string): Effect.Effect<Option.Option<StoredAck>, StoreUnavailable>
    /** Drops client ids whose embedded time is before `before` (ms). */
    forgetIds(before: number): Effect.Effect<void, StoreUnavailable>
    /** The newest committed position the store has of a channel. */
    head(channel: string): Effect.Effect<Option.Option<Position & { readonly n: number }>, StoreUnavailable>
    /** That position, and the events of the last `seqs` places up to it as `events` gives them: what a cold channel wakes with. */
    newest(channel: string, seqs: number): Effect.Effect<Option.Option<NewestEvents>, StoreUnavailable>
  }
>()("@parley/storage/MessageStore") {}
