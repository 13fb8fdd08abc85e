/**
 * What a channel's state can't know by itself: an old client id, an old message, a stay of a member of a large
 * channel. Asked of the store in one go, only while the store is known not to be behind what is asked.
 */
import { Effect, Option } from "effect"
import type { Membership } from "@parley/storage/Directory"
import type { ChannelState, Known, Need } from "../channel/ChannelState.ts"
import type { ShardOwner } from "./ShardOwner.ts"

/** Wait between two looks at a store that is behind, and how often one looks. */
export const storeBehindRetryMs = 50
export const storeBehindTriesMax = 200

/**
 * Waits until the store has what was replayed from the log, a bounded time; then calls back with whether it does. An owner
 * that is none any more hears nothing of the store, and its callers are to look elsewhere at once (†18).
 */
export const whenStoreReady = (owner: ShardOwner, done: (ready: boolean) => void, tries = 0): void => {
  if (owner.storeReady) return done(true)
  if (tries >= storeBehindTriesMax || !owner.serving) return done(false)
  setTimeout(() => whenStoreReady(owner, done, tries + 1), storeBehindRetryMs)
}

/** Calls back once with `known` and what was found, or undefined where the store can't be asked. */
export const findKnown = (
  owner: ShardOwner,
  channel: string,
  asked: { readonly need: Need; readonly floor: number },
  known: Known,
  done: (known: Known | undefined) => void
): void => {
  const { floor, need } = asked
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
  whenStoreReady(owner, (ready) => {
    if (!ready) return done(undefined)
    owner.context.run(lookup, (result) => done("ok" in result ? result.ok : undefined))
  })
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
  whenStoreReady(owner, (ready) => {
    if (!ready) return done(false)
    owner.context.run(lookup, (result) => {
      // A tail that was cut meanwhile could hide a change between the store's answer and what is held (†31).
      if (!("ok" in result) || !state.joins(floor)) return done(false)
      unknown.forEach((user, index) => state.learn(user, result.ok[index] ?? []))
      done(true)
    })
  })
}
