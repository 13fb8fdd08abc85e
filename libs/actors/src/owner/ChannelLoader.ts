/**
 * A cold channel, rebuilt from what the store has: its row, its members (where they are few), its newest events. Used
 * only while nothing of the channel is newer than the store: warm state and replay cover the rest.
 */
import { Effect } from "effect"
import { type ChannelLimits, channelLimitsDefault, ChannelState, replay } from "../channel/ChannelState.ts"
import type { Directory, Membership } from "@parley/storage/Directory"
import { IdempotencyWindow } from "../channel/IdempotencyWindow.ts"
import type { Entry } from "../log/Entry.ts"
import type { ColdAnswer } from "./ColdChannels.ts"
import type { OwnerBounds } from "./OwnerContext.ts"
import type { WakeDepth } from "./Residents.ts"
import type { ShardOwner } from "./ShardOwner.ts"
import { parkedOf, whenStoreReady } from "./StoreLookups.ts"

/** Stays of present and former members that are loaded at most, and users a page. */
const pagedStaysMax = 10_000
const staysPageUsers = 1_000
/** Newest events put back into the tail where somebody may look behind the head: enough for most resumes. */
export const loadedTailEvents = 50

export const channelLimits = (bounds: OwnerBounds): ChannelLimits => ({
  ...channelLimitsDefault,
  // Together they are below it, so that one that was cut is not cut again for what it kept.
  cutTailBytesMax: Math.floor(bounds.unstoredBytesMax / 2),
  cutWindowIdsMax: Math.floor(bounds.unstoredBytesMax / 256),
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

export const loadChannel = (
  owner: ShardOwner,
  channel: string,
  depth: WakeDepth,
  done: (state: ChannelState | undefined) => void
): void =>
  whenStoreReady(owner, (ready) => {
    if (!ready) return done(undefined)
    if (!owner.parked.has("channel", channel)) return loadRows(owner, channel, [], depth, done)
    // What is parked first: what is released meanwhile is in the rows by then.
    owner.context.run(parkedOf(owner, "channel", channel), (parked) => {
      if ("ok" in parked) loadRows(owner, channel, parked.ok, depth, done)
      else done(undefined)
    })
  })

/**
 * Whether the head says all that a send needs: where the channel is (the row is not behind it), and, by the time of its
 * message, the bound of its ids (†29); or there is nothing before it.
 */
const saysAll = ({ stored }: NonNullable<ColdAnswer>): boolean => {
  if (stored?.newest === undefined) return true
  const { head, message } = stored.newest
  return stored.row.seq >= head.seq && (head.seq === 1 || message !== undefined)
}

/** The head alone is one place in the store, and no text: what the last message says, a reader asks for (TailFill). */
const askStore = (owner: ShardOwner, channel: string, depth: WakeDepth, done: (answer: ColdAnswer) => void): void => {
  const { cold } = owner.context
  if (depth === "tail") return cold.load(channel, loadedTailEvents, done)
  cold.load(channel, 0, (answer) => {
    if (answer === undefined || saysAll(answer)) done(answer)
    else cold.load(channel, loadedTailEvents, done)
  })
}

const loadRows = (
  owner: ShardOwner,
  channel: string,
  parked: ReadonlyArray<Entry>,
  depth: WakeDepth,
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
  askStore(owner, channel, depth, (answer) => {
    if (answer === undefined) return done(undefined)
    const { stored } = answer
    if (stored === undefined) return found(ChannelState.empty(channel, limits))
    const { row, stays } = stored
    const newest = stored.newest ?? { head: row, message: undefined, events: [] }
    const build = (members: ReadonlyArray<Membership> | undefined) => {
      const state = ChannelState.fromStore(row, newest.head, members, newest.events, limits, newest.message)
      owner.checkpoints.woken("channel", channel)
      if (depth === "head") return found(state)
      withLast(owner, state, (known) => (known ? found(state) : done(undefined)))
    }
    if (stays !== undefined || row.members > limits.membersResidentMax) return build(stays)
    owner.context.run(allStays(owner.context.stores.directory, channel), (all) => {
      if ("ok" in all) build(all.ok)
      else done(undefined)
    })
  })
}

/** With the newest message, where that is not among the events that are here; calls back with whether it is known. */
export const withLast = (owner: ShardOwner, state: ChannelState, done: (known: boolean) => void): void => {
  if (!state.lastUnknown) return done(true)
  const { floor } = state
  const newest = { after: 0, before: state.tailFrom + 1, limit: 1, newest: true }
  owner.context.run(owner.context.stores.messages.messages(state.channel, newest), (result) => {
    // A tail that was cut meanwhile may have changed what was read (†31).
    if ("ok" in result && state.joins(floor)) state.learnLast(result.ok[0])
    done(!state.lastUnknown)
  })
}
