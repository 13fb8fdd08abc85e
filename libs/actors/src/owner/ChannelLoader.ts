/**
 * A cold channel, rebuilt from what the store has: its row, its members (where they are few), its newest events. Used
 * only while nothing of the channel is newer than the store: warm state and replay cover the rest.
 */
import { Effect, Option } from "effect"
import { type ChannelLimits, channelLimitsDefault, ChannelState, replay } from "../channel/ChannelState.ts"
import type { Directory, Membership } from "@parley/storage/Directory"
import { IdempotencyWindow } from "../channel/IdempotencyWindow.ts"
import { decodeParked, parkedEventsMax } from "../fanout/Parking.ts"
import { persisterConsumer } from "../fanout/ConsumerNames.ts"
import type { Topic } from "../log/Entry.ts"
import type { OwnerBounds } from "./OwnerContext.ts"
import type { ShardOwner } from "./ShardOwner.ts"
import { whenStoreReady } from "./StoreLookups.ts"

/** Newest events put back into the tail: enough for the last message, and for most resumes. */
const loadedTailEvents = 50

/** Stays of present and former members that are loaded at most, and users a page. */
const loadedStaysMax = 10_000
const staysPageUsers = 1_000

export const channelLimits = (bounds: OwnerBounds): ChannelLimits => ({
  ...channelLimitsDefault,
  fanoutThreshold: bounds.fanoutThreshold,
  fanoutHysteresis: Math.floor(bounds.fanoutThreshold / 5)
})

/** The defect that tests of the tests ask for: every id is new again. */
export const forgetIds = (state: ChannelState): void => {
  state.window = new IdempotencyWindow(state.limits.windowIdsMax, 0, state.limits.windowYoungIdsMax)
}

/** All stays of a channel, undefined where its past is too long to keep here. */
const allStays = Effect.fnUntraced(function* (
  directory: Directory["Service"],
  channel: string,
  first: ReadonlyArray<Membership>
) {
  const stays: Array<Membership> = []
  let page = first
  while (true) {
    stays.push(...page)
    const last = page.at(-1)
    // A page of fewer stays than users it may have is the last one: most channels take one question.
    if (last === undefined || page.length < staysPageUsers) return stays
    if (stays.length > loadedStaysMax) return undefined
    page = yield* directory.members(channel, last.user, staysPageUsers)
  }
})

/** What the store lacks of an entity because it could not be written (†26): it goes on top of the rows. */
export const parkedOf = Effect.fnUntraced(function* (owner: ShardOwner, topic: Topic, id: string) {
  if (!owner.parked.has(topic, id)) return []
  const parked = yield* owner.context.stores.parked.of(persisterConsumer, topic, id, parkedEventsMax)
  return parked.map(decodeParked)
})

export const loadChannel = (
  owner: ShardOwner,
  channel: string,
  done: (state: ChannelState | undefined) => void
): void => {
  const { directory, messages } = owner.context.stores
  const limits = channelLimits(owner.context.bounds)
  const read = Effect.gen(function* () {
    const parked = yield* parkedOf(owner, "channel", channel)
    // In this order, but without waiting in between: one message to the store's thread instead of four.
    const [row, newest, firstStays] = yield* Effect.all(
      [
        directory.channel(channel),
        messages.newest(channel, loadedTailEvents),
        directory.members(channel, "", staysPageUsers)
      ],
      { concurrency: "unbounded" }
    )
    if (Option.isNone(row)) return { state: ChannelState.empty(channel, limits), parked }
    const { events, head } = Option.getOrElse(newest, () => ({ head: row.value, events: [] }))
    const tooMany = row.value.members > limits.membersResidentMax
    const members = tooMany ? undefined : yield* allStays(directory, channel, firstStays)
    return { state: ChannelState.fromStore(row.value, head, members, events, limits), parked }
  })
  setImmediate(() =>
    whenStoreReady(owner, (ready) => {
      if (!ready) return done(undefined)
      owner.context.run(read, (result) => {
        if (!("ok" in result)) return done(undefined)
        const { parked, state } = result.ok
        for (const entry of [...parked, ...owner.checkpoints.takeLate("channel", channel)]) {
          if (entry.seq > state.committedSeq) replay(state, entry)
        }
        if (owner.context.forgetIds) forgetIds(state)
        done(state)
      })
    })
  )
}
