/**
 * Who is typing in a channel: a bounded table of users and times that is never logged (EPHEMERAL-IS-EPHEMERAL). A sign
 * lives for a while unless it is repeated; a repetition is worth showing once an interval.
 */
import type { ChannelState } from "./ChannelApply.ts"

/** Takes a user's sign; whether there is something to show to the others. */
export const typing = (state: ChannelState, user: string, on: boolean, now: number): boolean => {
  const { typing, limits } = state
  if (!on) return typing.delete(user)
  const before = typing.get(user)
  if (before === undefined && typing.size >= limits.typistsMax) return false
  const show = before === undefined || before.until <= now || now - before.shown >= limits.typingIntervalMs
  typing.set(user, { until: now + limits.typingTtlMs, shown: show ? now : before.shown })
  return show
}

/** The users whose sign is over, taken out of the table. */
export const expireTyping = (state: ChannelState, now: number): ReadonlyArray<string> => {
  if (state.typing.size === 0) return []
  const over: Array<string> = []
  for (const [user, sign] of state.typing) {
    if (sign.until <= now) over.push(user)
  }
  for (const user of over) state.typing.delete(user)
  return over
}
