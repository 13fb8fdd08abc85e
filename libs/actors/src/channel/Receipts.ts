/**
 * Who in a small channel has got and read how much. Never logged: `read` comes back from the cursors that the store
 * has, `delivered` from the devices themselves (EPHEMERAL-IS-EPHEMERAL). Values are merged by max; "mark unread" is a
 * user's own business and takes nothing back here.
 */
import type { Receipt } from "@parley/protocol/Frame"
import type { WireText } from "@parley/protocol/WireText"

interface Progress {
  readonly delivered: number
  readonly read: number
}

const none: Progress = { delivered: 0, read: 0 }
const noReceipts: WireText = ',"receipts":[]'

export class Receipts {
  readonly #byUser = new Map<string, Progress>()
  /** Whether the store's cursors are in. */
  loaded = false
  /** Who waits for them. */
  loading: Array<() => void> | undefined = undefined
  #field: WireText = noReceipts
  /** The head that the field was made at; -1: there is news since. */
  #fieldAt = -1

  /** `,"receipts":[…]` of a channel's head; kept until there is news, or a commit, which may be a removal. */
  field(channel: { readonly committedSeq: number; isMember(user: string): boolean | undefined }): WireText {
    if (this.#fieldAt !== channel.committedSeq) {
      this.#fieldAt = channel.committedSeq
      this.#field =
        this.#byUser.size === 0
          ? noReceipts
          : `,"receipts":${JSON.stringify(this.list((user) => channel.isMember(user) === true))}`
    }
    return this.#field
  }

  /** Takes what a user reports, up to the committed head; what is news, or undefined. */
  advance(user: string, delivered: number, read: number, head: number): Progress | undefined {
    const before = this.#byUser.get(user) ?? none
    const nextRead = Math.max(before.read, Math.min(read, head))
    const next = { delivered: Math.max(before.delivered, Math.min(delivered, head), nextRead), read: nextRead }
    if (next.read === before.read && next.delivered === before.delivered) return undefined
    this.#byUser.set(user, next)
    this.#fieldAt = -1
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
