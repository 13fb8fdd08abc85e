/**
 * A cold channel, rebuilt from what the store has: its row, its members (where they are few), its newest events. Used
 * only while nothing of the channel is newer than the store: warm state and replay cover the rest.
 */
import { Effect } from "effect"
import { type ChannelLimits, channelLimitsDefault, ChannelState, replay } from "../channel/ChannelState.ts"
import type { Directory, Membership } from "@parley/storage/Directory"
import { IdempotencyWindow } from "../channel/IdempotencyWindow.ts"
import { decodeParked, parkedEventsMax } from "../fanout/Parking.ts"
import { persisterConsumer } from "../fanout/ConsumerNames.ts"
import type { Entry, Topic } from "../log/Entry.ts"
import type { OwnerBounds } from "./OwnerContext.ts"
import type { ShardOwner } from "./ShardOwner.ts"
import { whenStoreReady } from "./StoreLookups.ts"

/** Stays of present and former members that are loaded at most, and users a page. */
const pagedStaysMax = 10_000
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
const allStays = Effect.fnUntraced(function* (directory: Directory["Service"], channel: string) {
  const stays: Array<Membership> = []
  for (let after = ""; ;) {
    const page = yield* directory.members(channel, after, staysPageUsers)
    stays.push(...page)
    const last = page.at(-1)
    if (last === undefined) return stays
    if (stays.length > pagedStaysMax) return undefined
    after = last.user
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
): void =>
  whenStoreReady(owner, (ready) => {
    if (!ready) return done(undefined)
    if (!owner.parked.has("channel", channel)) return loadRows(owner, channel, [], done)
    // What is parked first: what is released meanwhile is in the rows by then.
    owner.context.run(parkedOf(owner, "channel", channel), (parked) => {
      if ("ok" in parked) loadRows(owner, channel, parked.ok, done)
      else done(undefined)
    })
  })

const loadRows = (
  owner: ShardOwner,
  channel: string,
  parked: ReadonlyArray<Entry>,
  done: (state: ChannelState | undefined) => void
): void => {
  const limits = channelLimits(owner.context.bounds)
  const found = (state: ChannelState): void => {
    for (const entry of [...parked, ...owner.checkpoints.takeLate("channel", channel)]) {
      if (entry.seq > state.committedSeq) replay(state, entry)
    }
    if (owner.context.forgetIds) forgetIds(state)
    done(state)
  }
  owner.context.cold.load(channel, (answer) => {
    if (answer === undefined) return done(undefined)
    const { stored } = answer
    if (stored === undefined) return found(ChannelState.empty(channel, limits))
    const { row, stays } = stored
    const { events, head } = stored.newest ?? { head: row, events: [] }
    if (stays !== undefined || row.members > limits.membersResidentMax) {
      return found(ChannelState.fromStore(row, head, stays, events, limits))
    }
    owner.context.run(allStays(owner.context.stores.directory, channel), (all) => {
      if ("ok" in all) found(ChannelState.fromStore(row, head, all.ok, events, limits))
      else done(undefined)
    })
  })
}
