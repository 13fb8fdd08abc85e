/**
 * What a channel's state can't know by itself: an old client id, an old message, a stay of a member of a large
 * channel. Asked of the store in one go, only while the store is known not to be behind what is asked.
 */
import { Effect, Option } from "effect"
import type { Membership } from "@parley/storage/Directory"
import type { ChannelState, Known, Need } from "../channel/ChannelState.ts"
import { persisterConsumer } from "../fanout/ConsumerNames.ts"
import { decodeParked, parkedEventsMax } from "../fanout/Parking.ts"
import type { Topic } from "../log/Entry.ts"
import type { ShardOwner } from "./ShardOwner.ts"

/** Wait between two looks at a store that is behind, and how often one looks. */
export const storeBehindRetryMs = 50
export const storeBehindTriesMax = 200

/** What the store lacks of an entity because it could not be written (†26): it goes on top of the rows. */
export const parkedOf = Effect.fnUntraced(function* (owner: ShardOwner, topic: Topic, id: string) {
  if (!owner.parked.has(topic, id)) return []
  const parked = yield* owner.context.stores.parked.of(persisterConsumer, topic, id, parkedEventsMax)
  return parked.map(decodeParked)
})

/**
 * Whether the store has all that this channel's tail does not reach. Of one that was cut at a checkpoint the persister may have
 * parked some since (†26), which is in neither: then it is put back, and this is asked again.
 */
export const storeReaches = (owner: ShardOwner, state: ChannelState): boolean => {
  if (!owner.storeReady) return false
  if (!state.isCut || !owner.parked.has("channel", state.channel)) return true
  if (owner.parked.known && !uncutting.has(state)) putBackParked(owner, state)
  return false
}

/** Those for which the store is being asked what is parked of them. */
const uncutting = new WeakSet<ChannelState>()

/** All of it is parked by now: the store has come past the checkpoint, and what follows a parked event is parked as well. */
const putBackParked = (owner: ShardOwner, state: ChannelState): void => {
  uncutting.add(state)
  owner.context.run(parkedOf(owner, "channel", state.channel), (result) => {
    uncutting.delete(state)
    if (!("ok" in result) || !state.uncut(result.ok)) return
    const resident = owner.channels.residents.peek(state.channel)
    if (resident?.state === state) owner.channels.residents.touch(resident)
  })
}

/**
 * Waits until the store has what was replayed from the log, or what the tail of `state` does not reach, a bounded time; then
 * calls back with whether it does. An owner that is none any more hears nothing of the store, and its callers are to look
 * elsewhere at once (†18).
 */
export const whenStoreReady = (
  owner: ShardOwner,
  done: (ready: boolean) => void,
  state?: ChannelState,
  tries = 0
): void => {
  if (state === undefined ? owner.storeReady : storeReaches(owner, state)) return done(true)
  if (tries >= storeBehindTriesMax || !owner.serving) return done(false)
  setTimeout(() => whenStoreReady(owner, done, state, tries + 1), storeBehindRetryMs)
}

/** Calls back once with `known` and what was found, or undefined where the store can't be asked. */
export const findKnown = (
  owner: ShardOwner,
  state: ChannelState,
  asked: { readonly need: Need; readonly floor: number },
  known: Known,
  done: (known: Known | undefined) => void
): void => {
  const { floor, need } = asked
  const { channel } = state
  const { directory, messages } = owner.context.stores
  const lookup = Effect.gen(function* () {
    if ("id" in need) {
      return { ...known, floor, id: Option.getOrNull(yield* messages.findId(channel, need.sender, need.id)) }
    }
    if ("target" in need) {
      const range = { after: need.target - 1, before: need.target + 1, limit: 1, newest: true }
      const rows = yield* messages.messages(channel, range)
      return { ...known, floor, target: rows[0] ?? null }
    }
    const memberships = new Map<string, ReadonlyArray<Membership>>(known.memberships)
    for (const user of need.member) memberships.set(user, yield* directory.membership(channel, user))
    return { ...known, floor, memberships }
  })
  whenStoreReady(
    owner,
    (ready) => {
      if (!ready) return done(undefined)
      owner.context.run(lookup, (result) => done("ok" in result ? result.ok : undefined))
    },
    state
  )
}

/** Makes sure that the state knows these users' stays; calls back with whether it does. */
export const learnMembers = (
  owner: ShardOwner,
  state: ChannelState,
  users: ReadonlyArray<string>,
  done: (known: boolean) => void
): void => {
  const unknown = users.filter((user) => state.stayOf(user) === undefined)
  if (unknown.length === 0) return done(true)
  const { floor } = state
  const { directory } = owner.context.stores
  const lookup = Effect.forEach(unknown, (user) => directory.membership(state.channel, user))
  whenStoreReady(
    owner,
    (ready) => {
      if (!ready) return done(false)
      owner.context.run(lookup, (result) => {
        // A tail that was cut meanwhile could hide a change between the store's answer and what is held (†31).
        if (!("ok" in result) || !state.joins(floor)) return done(false)
        unknown.forEach((user, index) => state.learn(user, result.ok[index] ?? []))
        done(true)
      })
    },
    state
  )
}
