/**
 * Who is in a channel and when, as seqs: stays `from <= seq <= to` (†15). A channel up to `residentMax` members holds
 * all of them; a larger one only its count, its owners, its longest-standing members and a bounded cache, and answers
 * "unknown" for the others: the caller asks the store and hands the stays in by `learn`. Users who left are kept up to
 * a bound, so that a page can be clipped without the store. Changes come with an undo, in reverse order.
 */
import type { Role } from "@parley/protocol/Event"

export interface Stay {
  readonly from: number
  readonly to: number
}

/** What is known of one user. Replaced, never changed. */
interface MemberRecord {
  readonly user: string
  /** The seq that added him, while he is a member; 0: he is not. */
  readonly joined: number
  /** Ended stays, ascending. */
  readonly past: ReadonlyArray<Stay>
  /** Whether `past` has all of them. */
  readonly complete: boolean
}

export interface MembersLimits {
  readonly membersResidentMax: number
  /** Records beyond the members of a small channel (leavers), and all records of a large one. */
  readonly recordsMax: number
  readonly staysPerUserMax: number
  /** Longest-standing members that a large channel keeps, to inherit it. */
  readonly seniorsMax: number
}

/** As `[user, joined, from-to pairs, complete]`. */
export type MemberRow = readonly [user: string, joined: number, past: ReadonlyArray<number>, complete: 0 | 1]
export interface MembersSnapshot {
  readonly count: number
  readonly resident: boolean
  readonly allRecorded: boolean
  readonly rows: ReadonlyArray<MemberRow>
}

const nobody: ReadonlyArray<string> = []
const never: ReadonlyArray<number> = []

const compact = (record: MemberRecord): MemberRecord | number =>
  record.complete && record.past.length === 0 && record.joined > 0 ? record.joined : record

const joinedOf = (held: MemberRecord | number | undefined): number =>
  typeof held === "number" ? held : (held?.joined ?? 0)

/** Those whom one event added have no order but that of their ids: it can be had from the store's rows as well. */
const joinedBefore = (a: MemberRecord, b: MemberRecord): boolean =>
  a.joined !== b.joined ? a.joined < b.joined : a.user < b.user

export class Members {
  readonly limits: MembersLimits
  count: number
  /** All members are in `#records`. */
  resident: boolean
  /** Nobody who ever was here is missing from `#records`. */
  #allRecorded: boolean
  #committed = 0
  /** Who may have more ended stays than are kept: those of few, and few for long. Undefined: nobody. */
  #long: Set<string> | undefined = undefined
  /** Few in all but rare channels: an array, by id. */
  #owners: ReadonlyArray<string> = nobody
  /** A number: since when one is in who came once and stayed, as nearly all did; a record would be two objects more. */
  readonly #records = new Map<string, MemberRecord | number>()

  constructor(limits: MembersLimits, count = 0, resident = true) {
    this.limits = limits
    this.count = count
    this.resident = resident
    this.#allRecorded = resident
  }

  get recordCount(): number {
    return this.#records.size
  }

  standing(user: string): Role | "out" | "unknown" {
    const held = this.#records.get(user)
    if (held === undefined) return this.resident ? "out" : "unknown"
    return joinedOf(held) === 0 ? "out" : this.#owners.includes(user) ? "owner" : "member"
  }

  owners(): ReadonlyArray<string> {
    return this.#owners
  }

  /** Whether an owner is left when these have gone. */
  ownersStayWithout(leavers: ReadonlyArray<string>): boolean {
    return this.#owners.some((owner) => !leavers.includes(owner))
  }

  /** Who inherits the channel from `user`: of the others, the one who has been a member for longest. */
  heirOf(leavers: ReadonlyArray<string>): string | undefined {
    let heir: MemberRecord | undefined
    for (const record of this.#all()) {
      if (record.joined === 0 || leavers.includes(record.user)) continue
      if (heir === undefined || joinedBefore(record, heir)) heir = record
    }
    return heir?.user
  }

  /** All members at `head` and since when, where they are all here. */
  list(head: number): Array<{ readonly user: string; readonly from: number }> | undefined {
    if (!this.resident) return undefined
    return [...this.#records.keys()].flatMap((user) => {
      const from = this.since(user, head)
      return from === undefined ? [] : [{ user, from }]
    })
  }

  /** The user's stays up to `head` (later changes do not show); `to` null while one lasts. Undefined: ask the store. */
  stays(user: string, head: number): ReadonlyArray<{ readonly from: number; readonly to: number | null }> | undefined {
    const record = this.#record(user)
    if (record === undefined) return this.#allRecorded ? [] : undefined
    if (!record.complete) return undefined
    const all: Array<{ readonly from: number; readonly to: number | null }> = [...record.past]
    if (record.joined > 0) all.push({ from: record.joined, to: null })
    return clipStays(all, head)
  }

  /** The stay that lasts at `head`, if he is known to be in. */
  since(user: string, head: number): number | undefined {
    const record = this.#records.get(user)
    if (record === undefined) return undefined
    if (typeof record === "number") return record <= head ? record : undefined
    if (record.joined > 0 && record.joined <= head) return record.joined
    // Ended above the head: he is still in down there.
    return record.past.findLast((stay) => stay.from <= head && stay.to > head)?.from
  }

  /** The stay that lasts at `head` of one who has had no other; undefined: none such is known. */
  onlyStay(user: string, head: number): number | undefined {
    const held = this.#records.get(user)
    return typeof held === "number" && held <= head ? held : undefined
  }

  /** Who is in already stays so: a replay may repeat what a store's row had. */
  add(named: ReadonlyArray<string>, seq: number, owner: string | undefined): () => void {
    const users = named.filter((user) => joinedOf(this.#records.get(user)) === 0)
    const before = users.map((user) => this.#records.get(user))
    for (const user of users) {
      const record = this.#record(user)
      this.#put({
        user,
        joined: seq,
        past: record?.past ?? [],
        complete: record?.complete ?? this.#allRecorded
      })
    }
    this.count += users.length
    const restoreOwners = owner === undefined ? undefined : this.#changeOwners([], owner)
    return () => {
      restoreOwners?.()
      this.count -= users.length
      this.#restore(users, before)
    }
  }

  remove(named: ReadonlyArray<string>, seq: number, heir: string | undefined): () => void {
    const users = named.filter((user) => this.standing(user) !== "out")
    const before = users.map((user) => this.#records.get(user))
    for (const user of users) this.#put(this.#ended(user, seq))
    this.count -= users.length
    const restoreOwners = this.#changeOwners(users, heir)
    return () => {
      restoreOwners()
      this.count += users.length
      this.#restore(users, before)
    }
  }

  #ended(user: string, seq: number): MemberRecord {
    const record = this.#record(user)
    // The log may remove someone from a large channel whose stay is not here.
    if (record === undefined) return { user, joined: 0, past: [], complete: false }
    const past = [...record.past, { from: record.joined, to: seq }]
    if (past.length > this.limits.staysPerUserMax) this.#lengthen(user)
    return { user, joined: 0, past, complete: record.complete }
  }

  #lengthen(user: string): void {
    this.#long ??= new Set()
    this.#long.add(user)
  }

  /** Forgets the oldest of too many stays: of those that are committed, for a replay has no others; readers see the rest. */
  #cutStays(user: string): void {
    const record = this.#record(user)
    const over = record === undefined ? 0 : record.past.length - this.limits.staysPerUserMax
    if (record === undefined || over <= 0) {
      this.#long?.delete(user)
      return
    }
    const pending = record.past.filter((stay) => stay.to > this.#committed).length
    if (over > pending) {
      this.#records.set(user, { ...record, past: record.past.slice(over - pending), complete: false })
    }
  }

  /** Takes what the store and the tail know of a user who was unknown here. Owners are known always, but for a load. */
  learn(
    user: string,
    stays: ReadonlyArray<{ readonly from: number; readonly to: number | null }>,
    owner: boolean
  ): void {
    if (owner) this.#addOwner(user)
    const current = stays.find((stay) => stay.to === null)
    const past = stays
      .flatMap((stay) => (stay.to === null ? [] : [{ from: stay.from, to: stay.to }]))
      .sort((a, b) => a.from - b.from)
    // All of them, also beyond the bound: who asked needs them now, and trimming forgets whole records.
    this.#put({ user, joined: current?.from ?? 0, past, complete: true })
  }

  /** Drops what is too many once all up to `committed` is: what is dropped can be asked for. */
  trim(committed: number): void {
    this.#committed = committed
    if (this.#long !== undefined) for (const user of this.#long) this.#cutStays(user)
    if (this.resident && this.count > this.limits.membersResidentMax) this.resident = false
    const over = this.#records.size - this.limits.recordsMax - (this.resident ? this.count : 0)
    if (over <= 0) return
    const seniors = this.resident ? undefined : this.#seniors()
    let left = over
    for (const record of this.#all()) {
      if (left === 0) return
      // What is under way is shown otherwise than it is kept, and may be taken back.
      const pending = record.joined > committed || (record.past.at(-1)?.to ?? 0) > committed
      if (pending || (seniors === undefined ? record.joined > 0 : seniors.has(record.user))) continue
      this.#records.delete(record.user)
      this.#allRecorded = false
      left--
    }
  }

  #seniors(): Set<string> {
    const members = [...this.#all()].filter((record) => record.joined > 0)
    const oldest = members.sort((a, b) => (joinedBefore(a, b) ? -1 : 1)).slice(0, this.limits.seniorsMax)
    return new Set([...oldest.map((record) => record.user), ...this.#owners])
  }

  #changeOwners(leavers: ReadonlyArray<string>, heir: string | undefined): () => void {
    const before = this.#owners
    if (leavers.length > 0) this.#owners = before.filter((owner) => !leavers.includes(owner))
    if (heir !== undefined) this.#addOwner(heir)
    return () => {
      this.#owners = before
    }
  }

  #addOwner(user: string): void {
    if (!this.#owners.includes(user)) this.#owners = [...this.#owners, user].sort()
  }

  // Newest last, so that trimming starts with what was touched longest ago.
  #put(record: MemberRecord): void {
    this.#records.delete(record.user)
    this.#records.set(record.user, compact(record))
  }

  #record(user: string): MemberRecord | undefined {
    const held = this.#records.get(user)
    return typeof held === "number" ? { user, joined: held, past: [], complete: true } : held
  }

  *#all(): Generator<MemberRecord> {
    for (const [user, held] of this.#records) {
      yield typeof held === "number" ? { user, joined: held, past: [], complete: true } : held
    }
  }

  #restore(users: ReadonlyArray<string>, before: ReadonlyArray<MemberRecord | number | undefined>): void {
    for (const [at, user] of users.entries()) {
      const record = before[at]
      if (record === undefined) this.#records.delete(user)
      else this.#records.set(user, record)
      // What was committed meanwhile was cut from the record that this one replaces.
      if (typeof record === "object" && record.past.length > this.limits.staysPerUserMax) {
        this.#lengthen(user)
        this.#cutStays(user)
      }
    }
  }

  snapshot(): MembersSnapshot {
    const rows: Array<MemberRow> = []
    for (const [user, held] of this.#records) {
      if (typeof held === "number") rows.push([user, held, never, 1])
      else rows.push([user, held.joined, held.past.flatMap((stay) => [stay.from, stay.to]), held.complete ? 1 : 0])
    }
    rows.sort((a, b) => (a[0] < b[0] ? -1 : 1))
    return {
      count: this.count,
      resident: this.resident,
      allRecorded: this.#allRecorded,
      rows
    }
  }

  static restore(limits: MembersLimits, snapshot: MembersSnapshot, owners: ReadonlyArray<string>): Members {
    const members = new Members(limits, snapshot.count, snapshot.resident)
    members.#allRecorded = snapshot.allRecorded
    members.#owners = owners
    for (const [user, joined, flat, complete] of snapshot.rows) {
      if (flat.length === 0 && complete === 1 && joined > 0) {
        members.#records.set(user, joined)
        continue
      }
      const past: Array<Stay> = []
      for (let at = 0; at + 1 < flat.length; at += 2) past.push({ from: flat[at] ?? 0, to: flat[at + 1] ?? 0 })
      members.#records.set(user, compact({ user, joined, past, complete: complete === 1 }))
    }
    return members
  }
}

/** Stays as they were at `head`: later ones do not show, ends after it are open. */
export const clipStays = (
  stays: ReadonlyArray<{ readonly from: number; readonly to: number | null }>,
  head: number
): ReadonlyArray<{ readonly from: number; readonly to: number | null }> =>
  stays
    .filter((stay) => stay.from <= head)
    .map((stay) => (stay.to !== null && stay.to > head ? { from: stay.from, to: null } : stay))

/**
 * What a user with these stays may read at `head`, inclusive on both ends. One who is out reads nothing at all; joining
 * again opens what lies between only where the type says so (†15).
 */
export const visibleRanges = (
  stays: ReadonlyArray<{ readonly from: number; readonly to: number | null }>,
  head: number,
  rejoinOpens: boolean
): ReadonlyArray<Stay> => {
  const clipped = clipStays(stays, head)
  const first = clipped[0]
  if (first === undefined || clipped.at(-1)?.to !== null) return []
  return rejoinOpens
    ? [{ from: first.from, to: head }]
    : clipped.map((stay) => ({ from: stay.from, to: stay.to ?? head }))
}
