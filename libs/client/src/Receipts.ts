/**
 * How far the other members of a small channel have come: what heads list and pushes add, merged by max, so that it may
 * come in any order. Nothing depends on it (EPHEMERAL-IS-EPHEMERAL): a lost push is in the next head.
 */
import { Limits } from "@parley/protocol/Limits"
import type { PlainEvent, PlainHead, PlainMessage, PlainReceipt } from "./PlainFrame.ts"

/** Of one own message: how many have it, how many have read it, and how many others it is for. */
export interface MessageReceipt {
  readonly deliveredTo: number
  readonly readBy: number
  readonly others: number
}

/** Members that join are remembered up to this many; the oldest are taken for members from the beginning. */
const joinsMax = Limits.receiptsMembersMax

export class Receipts {
  readonly #byUser = new Map<string, PlainReceipt>()
  /** User → the seq at which he was added, as far as it was seen here: what is older was not sent to him. */
  readonly #joined = new Map<string, number>()
  /** The device's own user, as the server knows him. */
  #own = 0
  #list: ReadonlyArray<PlainReceipt> | null = null
  #shown = false
  /** The newest head: what it lists holds against removals up to its seq. */
  #head: { readonly seq: number; readonly users: ReadonlySet<string> } = { seq: 0, users: new Set() }

  /** Whether the channel is small enough to have them, as far as was heard. */
  get shown(): boolean {
    return this.#shown
  }

  /** The newest seq that the server knows to be on a device of this user. */
  get ownDelivered(): number {
    return this.#own
  }

  /** By user; null where the channel has none. The same list until something changes. */
  get list(): ReadonlyArray<PlainReceipt> | null {
    if (!this.#shown) return null
    this.#list ??= [...this.#byUser.values()].toSorted((a, b) => (a.user < b.user ? -1 : 1))
    return this.#list
  }

  /** What a head says; nothing, where the channel is too large. */
  adopt({ receipts, seq }: Pick<PlainHead, "receipts" | "seq">, me: string): void {
    if (receipts === undefined) return this.#clear()
    if (seq >= this.#head.seq) this.#head = { seq, users: new Set(receipts.map(({ user }) => user)) }
    for (const receipt of receipts) this.take(receipt, me)
    this.#shown = true
  }

  /** False: nothing new. */
  take({ delivered, read, user }: PlainReceipt, me: string): boolean {
    this.#shown = true
    if (user === me) {
      this.#own = Math.max(this.#own, delivered, read)
      return false
    }
    const before = this.#byUser.get(user)
    const next = {
      user,
      delivered: Math.max(delivered, before?.delivered ?? 0),
      read: Math.max(read, before?.read ?? 0)
    }
    if (next.delivered === before?.delivered && next.read === before.read) return false
    this.#byUser.set(user, next)
    this.#list = null
    return true
  }

  apply(event: PlainEvent): void {
    if (event.kind === "added") {
      for (const user of event.members) this.#joined.set(user, event.seq)
      for (const user of this.#joined.keys()) {
        if (this.#joined.size <= joinsMax) break
        this.#joined.delete(user)
      }
    }
    if (event.kind !== "removed") return
    for (const user of event.members) {
      this.#joined.delete(user)
      if (event.seq <= this.#head.seq && this.#head.users.has(user)) continue
      if (this.#byUser.delete(user)) this.#list = null
    }
  }

  /** Counts for own messages; `members` counts oneself. Null where there are no receipts. */
  counter(members: number, me: string): ((message: PlainMessage) => MessageReceipt) | null {
    if (!this.#shown) return null
    const joins = [...this.#joined].flatMap(([user, seq]) => (user === me ? [] : [seq]))
    const all = Math.max(0, members - 1)
    const progress = [...this.#byUser.values()].map(({ delivered, read, user }) => ({
      from: this.#joined.get(user) ?? 0,
      delivered: Math.max(delivered, read),
      read
    }))
    return ({ seq }) => {
      const others = Math.max(0, all - joins.filter((joined) => joined > seq).length)
      let deliveredTo = 0
      let readBy = 0
      for (const { delivered, from, read } of progress) {
        if (from > seq) continue
        if (delivered >= seq) deliveredTo += 1
        if (read >= seq) readBy += 1
      }
      return { deliveredTo: Math.min(deliveredTo, others), readBy: Math.min(readBy, others), others }
    }
  }

  #clear(): void {
    this.#byUser.clear()
    this.#list = null
    this.#shown = false
  }
}

/** Who of the others has read `seq`. */
export const readersOf = (receipts: ReadonlyArray<PlainReceipt> | null, seq: number): ReadonlyArray<string> =>
  (receipts ?? []).filter(({ read }) => read >= seq).map(({ user }) => user)
