/**
 * Which channels a reconnecting user should look at first, and the index of his mentions. The member fan-out writes
 * the first, coalesced and idempotent; it orders work, heads decide what is new (†10), so it need not outlive a process.
 * Mentions are counted, and last.
 */
import type { Effect } from "effect"
import { Context } from "effect"
import type { StoreRefused, StoreUnavailable } from "./StoreError.ts"

export interface InboxEntry {
  readonly user: string
  readonly channel: string
  /** The newest seq that put the channel there. */
  readonly seq: number
}

/** `place` says when the channel came in: larger is later, and it keeps its place while it is there. */
export interface PlacedEntry extends InboxEntry {
  readonly place: number
}

/** Up to where a user has read a channel. */
export interface ReadUpTo {
  readonly channel: string
  readonly seq: number
}

export interface Mention {
  readonly user: string
  readonly channel: string
  readonly seq: number
}

export class Inbox extends Context.Service<
  Inbox,
  {
    /** Puts channels into inboxes; one that is there already keeps its place (and nothing is written). */
    add(entries: ReadonlyArray<InboxEntry>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /** Newest first: by when the channel came in, since seqs of different channels don't compare. */
    list(user: string, limit: number): Effect.Effect<ReadonlyArray<PlacedEntry>, StoreUnavailable>
    /** Takes channels out once read up to a seq; an entry put there by a later seq stays. */
    remove(user: string, read: ReadonlyArray<ReadUpTo>): Effect.Effect<void, StoreUnavailable>
    addMentions(mentions: ReadonlyArray<Mention>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /** A deleted message, or one edited not to name the user, takes its mention away for ever. */
    removeMentions(mentions: ReadonlyArray<Mention>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /** Mentions of a user after a seq, by channel. */
    countMentions(
      user: string,
      channel: string,
      afterSeq: number,
      upTo: number
    ): Effect.Effect<number, StoreUnavailable>
  }
>()("@parley/storage/Inbox") {}
