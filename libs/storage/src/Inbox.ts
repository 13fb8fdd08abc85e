/**
 * Which channels a reconnecting user should look at first, and the index of his mentions. An inbox is made when it is
 * read: the member fan-out notes when each channel got its last message, and a user's inbox is those of his own channels
 * whose last message is after his cursor. It orders work, heads decide what is new (†10), so it need not outlive a
 * process. Mentions are counted, and last.
 */
import type { Effect } from "effect"
import { Context } from "effect"
import type { StoreRefused, StoreUnavailable } from "./StoreError.ts"

/** A channel's last message. */
export interface Activity {
  readonly channel: string
  readonly seq: number
}

/** Up to where a user has read a channel. */
export interface ReadUpTo {
  readonly channel: string
  readonly seq: number
}

/** `place` says when the channel's last message came in: larger is later. Seqs of different channels don't compare. */
export interface InboxPlace extends Activity {
  readonly place: number
}

export interface Mention {
  readonly user: string
  readonly channel: string
  /** Of the message. */
  readonly seq: number
  /** Of the event that names him, or no longer does: the last one has the word (†32). See `writtenAt`. */
  readonly at: number
}

/** A position as one number, which grows with the channel's log: what orders writes that come late, or again (†32). */
export const writtenAt = ({ generation, seq }: { readonly generation: number; readonly seq: number }): number =>
  generation * 2 ** 40 + seq

export class Inbox extends Context.Service<
  Inbox,
  {
    /**
     * Gives the channels places, later than all before, in this order; a seq not above the one that is known changes
     * nothing. So a channel's place and seq only grow while they are kept, and one that is forgotten comes back later.
     */
    active(messages: ReadonlyArray<Activity>): Effect.Effect<void, StoreUnavailable>
    /** The places of those channels whose last message is after what was read; those long silent may have none. */
    placesOf(read: ReadonlyArray<ReadUpTo>): Effect.Effect<ReadonlyArray<InboxPlace>, StoreUnavailable>
    addMentions(mentions: ReadonlyArray<Mention>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /** A deleted message, or one edited not to name the user, takes its mention away. */
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
