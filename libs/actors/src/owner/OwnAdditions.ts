/**
 * Who was just added to a channel is not told no because the owner has yet to hear that the event is in the log. Whoever
 * consumes the log may have read it there already, while the answer to its append is late or lost, and have told the user,
 * whose edge then asks: after a no it would not ask again, and he would lack the channel until he connects anew.
 */
import { membersOf } from "../channel/EventBody.ts"
import type { ShardOwner } from "./ShardOwner.ts"

/**
 * Goes on at once, or when no event is under way any more that lets one of these users in: it is committed then, or never
 * will be. Waiting is bounded by the log, which settles every append or puts its owner out.
 */
export const afterOwnAdditions = (
  owner: ShardOwner,
  channel: string,
  users: ReadonlyArray<string>,
  go: () => void
): void => {
  const last = owner.channels.residents
    .peek(channel)
    ?.pending.findLast(
      ({ entry }) =>
        (entry.kind === "added" || entry.kind === "created") &&
        membersOf(entry.body).some((member) => users.includes(member))
    )
  if (last === undefined) return go()
  // Told also that its outcome is not known: then it is waited for again.
  last.waiters.push(() => afterOwnAdditions(owner, channel, users, go))
}
