/**
 * Who was just added to a channel is not told no because the owner has yet to hear that the event is in the log. Whoever
 * consumes the log may have read it there already, while the answer to its append is late or lost, and have told the user,
 * whose edge then asks: after a no it would not ask again, and he would lack the channel until he connects anew.
 */
import { membersOf } from "../channel/EventBody.ts"
import type { ShardOwner } from "./ShardOwner.ts"

/** Longer than an append that goes well; others wait in the same batch of questions. */
export const additionMsMax = 1_000

/**
 * Calls back at once, or when no event is under way any more that lets one of these users in: it is committed then, or never
 * will be. With false where that takes too long: then it can't be said now.
 */
export const afterOwnAdditions = (
  owner: ShardOwner,
  channel: string,
  users: ReadonlyArray<string>,
  done: (settled: boolean) => void
): void => {
  const underWay = () =>
    owner.channels.residents
      .peek(channel)
      ?.pending.findLast(
        ({ entry }) =>
          (entry.kind === "added" || entry.kind === "created") &&
          membersOf(entry.body).some((member) => users.includes(member))
      )
  if (underWay() === undefined) return done(true)
  let over = false
  const end = (settled: boolean): void => {
    if (over) return
    over = true
    clearTimeout(timer)
    done(settled)
  }
  const timer = setTimeout(() => end(false), additionMsMax)
  // Told also that the event's outcome is not known: then it is waited for again.
  const wait = (): void => {
    const pending = over ? undefined : underWay()
    if (pending === undefined) end(true)
    else pending.waiters.push(wait)
  }
  wait()
}
