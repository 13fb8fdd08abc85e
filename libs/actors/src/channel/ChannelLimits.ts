/** The bounds of one channel's state, with their defaults. Each is an event, a user, a byte or a millisecond by its name. */
import { Limits } from "@parley/protocol/Limits"
import type { MembersLimits } from "./Members.ts"

export interface ChannelLimits extends MembersLimits {
  /** Events and bytes of the tail where the store has them too. */
  readonly tailEventsMax: number
  readonly tailBytesMax: number
  /** Bytes of events that the store may not have yet; beyond, mutations are refused with `log_full`. */
  readonly tailPinnedBytesMax: number
  readonly windowIdsMax: number
  /** Ids of the last seconds stay beyond that, up to so many: in a hot channel they are all there is. */
  readonly windowYoungIdsMax: number
  /** What an encoded state keeps of tail and window, besides what the store may not have yet. */
  readonly warmTailEventsMax: number
  readonly warmTailBytesMax: number
  readonly warmWindowIdsMax: number
  /** What a checkpoint keeps of them where the store is far behind, whether it has the rest or not. */
  readonly cutTailBytesMax: number
  readonly cutWindowIdsMax: number
  /** Members above which the channel switches to read fan-out, and how far below it switches back. */
  readonly fanoutThreshold: number
  readonly fanoutHysteresis: number
  readonly typingTtlMs: number
  /** A repeated sign is shown again no sooner than this. */
  readonly typingIntervalMs: number
  readonly typistsMax: number
}

export const channelLimitsDefault: ChannelLimits = {
  tailEventsMax: Limits.syncGapMax,
  tailBytesMax: 1_048_576,
  tailPinnedBytesMax: 67_108_864,
  windowIdsMax: 2_048,
  windowYoungIdsMax: 16_384,
  warmTailEventsMax: 64,
  warmTailBytesMax: 16_384,
  warmWindowIdsMax: 64,
  cutTailBytesMax: 65_536,
  cutWindowIdsMax: 512,
  fanoutThreshold: 200,
  fanoutHysteresis: 40,
  typingTtlMs: Limits.typingTtlMs,
  typingIntervalMs: Limits.typingIntervalMs,
  typistsMax: 64,
  membersResidentMax: 2_000,
  recordsMax: 512,
  staysPerUserMax: 16,
  seniorsMax: 32
}
