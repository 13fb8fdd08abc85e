/**
 * Who in a small channel has got and read how much. Never logged: `read` comes back from the cursors that the store
 * has, `delivered` from the devices themselves (EPHEMERAL-IS-EPHEMERAL). Values are merged by max; "mark unread" is a
 * user's own business and takes nothing back here.
 */
import type { Receipt } from "@parley/protocol/Frame"

interface Progress {
  readonly delivered: number
  readonly read: number
}

const none: Progress = { delivered: 0, read: 0 }

export class Receipts {
  readonly #byUser = new Map<string, Progress>()
  /** Whether the store's cursors are in. */
  loaded = false

  get empty(): boolean {
    return this.#byUser.size === 0
  }

  /** Takes what a user reports, up to the committed head; what is news, or undefined. */
  advance(user: string, delivered: number, read: number, head: number): Progress | undefined {
    const before = this.#byUser.get(user) ?? none
    const nextRead = Math.max(before.read, Math.min(read, head))
    const next = { delivered: Math.max(before.delivered, Math.min(delivered, head), nextRead), read: nextRead }
    if (next.read === before.read && next.delivered === before.delivered) return undefined
    this.#byUser.set(user, next)
    return next
  }

  /** Forgets those who are no members any more. */
  list(
    isMember: (user: string) => boolean
  ): ReadonlyArray<Pick<Receipt, "delivered" | "read"> & { readonly user: string }> {
    for (const user of this.#byUser.keys()) if (!isMember(user)) this.#byUser.delete(user)
    return [...this.#byUser].map(([user, progress]) => ({ user, ...progress }))
  }
}
