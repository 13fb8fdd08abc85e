/**
 * The tail of a channel that woke with its head only (WakeDepth), or out of a warm state that keeps few events: whoever
 * first looks a little behind it has it filled up from the store, once for all who come after him. A herd that comes
 * back a few events behind asks the store once a channel then, not once a member and channel. Whoever looks further
 * back, or comes when the store can't be asked, asks for himself as he would without this (NO-GAP-SYNC is not its business).
 */
import type { ChannelState } from "../channel/ChannelState.ts"
import type { StoredEvents } from "../channel/Tail.ts"
import { loadedTailEvents, withLast } from "./ChannelLoader.ts"
import type { SyncItem } from "./OwnerProtocol.ts"
import type { ShardOwner } from "./ShardOwner.ts"
import { whenStoreReady } from "./StoreLookups.ts"

/** The seq after which a sync looks: of what the device lacks and of what the user has not read. */
export const behind = (state: ChannelState, user: string, { cursor, held }: SyncItem): number =>
  Math.max(state.readableAfter(user), Math.min(cursor.seq, held?.seq ?? cursor.seq))

/**
 * Goes on when the tail is as long as it gets by this, and the last message is known if the store can be asked; at once
 * where the tail reaches `after`, or would not reach it anyway.
 */
export const withTail = (owner: ShardOwner, state: ChannelState, after: number, go: () => void): void => {
  const { tail, tailFrom } = state
  const from = Math.max(0, tailFrom - loadedTailEvents)
  // A tail that is as long as it may be would drop at once what is put before it.
  const room = tail.length + loadedTailEvents <= tail.eventsMax && tail.bytes * 2 <= tail.bytesMax
  const fills = after < tailFrom && after >= from && room
  if (!fills && !state.lastUnknown) return go()
  if (state.filling !== undefined) {
    state.filling.push(go)
    return
  }
  const waiting = (state.filling = [go])
  const end = () => {
    state.filling = undefined
    for (const next of waiting) next()
  }
  whenStoreReady(
    owner,
    (ready) => {
      if (!ready) return end()
      withLast(owner, state, () => {
        if (!fills) return end()
        const { messages } = owner.context.stores
        owner.context.run(messages.events(state.channel, from, tailFrom, tailFrom - from), (result) => {
          if ("ok" in result) fill(owner, state, tailFrom, result.ok)
          end()
        })
      })
    },
    state
  )
}

const fill = (owner: ShardOwner, state: ChannelState, tailFrom: number, events: StoredEvents): void => {
  // Cut meanwhile: what was found no longer joins it.
  if (state.tailFrom !== tailFrom) return
  state.fillTail(events)
  const resident = owner.channels.residents.peek(state.channel)
  if (resident?.state === state) owner.channels.residents.touch(resident)
}
