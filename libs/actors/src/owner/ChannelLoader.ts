/**
 * A cold channel, rebuilt from what the store has: its row, its members (where they are few), its newest events. Used
 * only while nothing of the channel is newer than the store: warm state and replay cover the rest.
 */
import { Effect, Option } from "effect"
import { type ChannelLimits, channelLimitsDefault, ChannelState, replay } from "../channel/ChannelState.ts"
import type { OwnerBounds } from "./OwnerContext.ts"
import type { ShardOwner } from "./ShardOwner.ts"
import { whenStoreReady } from "./StoreLookups.ts"

/** Newest events put back into the tail: enough for the last message, and for most resumes. */
const loadedTailEvents = 50

export const channelLimits = (bounds: OwnerBounds): ChannelLimits => ({
  ...channelLimitsDefault,
  fanoutThreshold: bounds.fanoutThreshold
})

export const loadChannel = (owner: ShardOwner, channel: string, done: (state: ChannelState | undefined) => void): void => {
  const { directory, messages } = owner.context.stores
  const limits = channelLimits(owner.context.bounds)
  const read = Effect.gen(function*() {
    const row = yield* directory.channel(channel)
    if (Option.isNone(row)) return ChannelState.empty(channel, limits)
    const head = Option.getOrUndefined(yield* messages.head(channel)) ?? row.value
    const events = yield* messages.events(channel, Math.max(0, head.seq - loadedTailEvents), head.seq, loadedTailEvents)
    const members = row.value.members > limits.membersResidentMax
      ? undefined
      : yield* directory.members(channel, "", limits.membersResidentMax * 2)
    return ChannelState.fromStore(row.value, head, members, events, limits)
  })
  setImmediate(() => whenStoreReady(owner, (ready) => {
    if (!ready) return done(undefined)
    owner.context.run(read, (result) => {
      if (!("ok" in result)) return done(undefined)
      const state = result.ok
      for (const entry of owner.checkpoints.takeLate("channel", channel)) {
        if (entry.seq > state.committedSeq) replay(state, entry)
      }
      done(state)
    })
  }))
}
