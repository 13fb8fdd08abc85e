/**
 * What a channel is for the screen: plain values, made anew with each change.
 */
import type { ChannelStatus } from "./ChannelReplica.ts"
import type { PlainHead, PlainReceipt } from "./PlainFrame.ts"
import type { Preview, ViewMessage } from "./ShownMessages.ts"

export interface ChannelSnapshot {
  readonly channel: string
  /** `unknown`: not a member as far as is known; `left`: was one until now. */
  readonly status: ChannelStatus
  readonly name: string
  readonly topic: string
  /** How many. */
  readonly members: number
  readonly role: PlainHead["role"]
  readonly fanout: PlainHead["fanout"]
  /** Ascending; what is not acknowledged yet comes last, in the order it was written. */
  readonly messages: ReadonlyArray<ViewMessage>
  /** There may be older messages: `loadOlder`. */
  readonly more: boolean
  readonly loading: boolean
  readonly typing: ReadonlyArray<string>
  /** How far the other members have come, by name; null where the channel has too many of them. */
  readonly receipts: ReadonlyArray<PlainReceipt> | null
  readonly unread: number
  readonly mentions: number
  /** Read up to here. */
  readonly cursor: number
  /** Everything up to here is applied. */
  readonly position: number
  /** The newest seq heard of. */
  readonly head: number
  readonly last: Preview | null
}
