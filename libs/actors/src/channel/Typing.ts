/**
 * Who is typing in a channel: a bounded table of users and times that is never logged (EPHEMERAL-IS-EPHEMERAL). A sign
 * lives for a while unless it is repeated; a repetition is worth showing once an interval.
 */
import type { ChannelState } from "./ChannelApply.ts"

/** Takes a user's sign; whether there is something to show to the others. */
export const typing = (state: ChannelState, user: string, on: boolean, now: number): boolean => {
  const { limits } = state
  if (!on) return stopTyping(state, user)
  const typing = (state.typing ??= new Map())
  const before = typing.get(user)
  if (before === undefined && typing.size >= limits.typistsMax) return false
  const show = before === undefined || before.until <= now || now - before.shown >= limits.typingIntervalMs
  typing.set(user, { until: now + limits.typingTtlMs, shown: show ? now : before.shown })
  return show
}

/** Whether there was a sign. */
export const stopTyping = (state: ChannelState, user: string): boolean => state.typing?.delete(user) ?? false

/** The users whose sign is over, taken out of the table. */
export const expireTyping = (state: ChannelState, now: number): ReadonlyArray<string> => {
  const { typing } = state
  if (typing === undefined) return []
  const over: Array<string> = []
  for (const [user, sign] of typing) {
    if (sign.until <= now) over.push(user)
  }
  for (const user of over) typing.delete(user)
  if (typing.size === 0) state.typing = undefined
  return over
}
