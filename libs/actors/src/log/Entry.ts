/**
 * One event on its way through the log: what an owner puts into a shard's open batch, and what a record gives back.
 * The binary form is Record's business.
 */
import type { WireText } from "@parley/protocol/WireText"

/** Whose sequence the event belongs to. */
export type Topic =
  /** A channel's event; `id` is the channel id. */
  | "channel"
  /** A session's event; `id` is the user id. */
  | "user"

export interface Entry {
  readonly topic: Topic
  readonly id: string
  readonly generation: number
  /** The channel's seq, or the user seq. Dense per (topic, id). */
  readonly seq: number
  /** Kind of the public body's event (`message`, `edit`, …). */
  readonly kind: string
  /** Server time, ms. */
  readonly at: number
  readonly by: string
  /** Client id of the mutation; "" where the entity made the event itself. */
  readonly cid: string
  /** Hash of the mutation's body; "" with an empty `cid`. */
  readonly bodyHash: string
  /** Messages of the channel up to and with this event; 0 for a session. */
  readonly n: number
  /** The seq of the message an edit or delete changes; 0 otherwise. */
  readonly target: number
  /** Private part (device, address, verdicts), JSON; never shown to users. */
  readonly hidden: string
  /** The event as users see it, encoded once. */
  readonly body: WireText
}
