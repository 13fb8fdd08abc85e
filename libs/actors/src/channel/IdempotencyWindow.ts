/**
 * Which client ids were executed lately, and with which ack (EXACTLY-ONCE-EFFECT). It holds every id with an embedded
 * time after its bound T; T is the largest embedded time ever evicted (†29). Ids that the store need not have yet
 * (above the floor) are never evicted, so "not here and not after T" means: ask the store. The ids with the oldest
 * embedded times go first, so that one client with a fast clock does not drive T, and with it everybody, into look-ups.
 */
import { clientIdTime } from "@parley/protocol/ClientIdTime"
import type { Entry } from "../log/Entry.ts"

export interface Remembered {
  readonly sender: string
  readonly cid: string
  readonly time: number
  readonly seq: number
  readonly n: number
  readonly at: number
  readonly bodyHash: string
}

/** How long an id is young, in server time. */
const youngMs = 10_000

/** Up to so many ids are looked through; a table of them is larger than they are. */
const listedIdsMax = 8

/** Ids are of one sender each, but nothing keeps another from sending the same one. */
interface Held extends Remembered {
  /** The same client id of another sender. */
  next: Held | null
}

/** Of nearly all windows; never changed. */
const none: Array<Held> = []

export class IdempotencyWindow {
  readonly idsMax: number
  /** Ids of the last seconds stay beyond `idsMax`, up to so many. */
  readonly youngIdsMax: number
  /** T. */
  bound: number
  /** By client id alone: it is there anyway, and a key made of both would be one more string an id. Not for a few ids. */
  #byId: Map<string, Held> | undefined = undefined
  #size = 0
  /** From `#settled` on: above the floor, by seq. What precedes is dead and cut off when it is half of it. */
  #pinned = none
  #settled = 0
  /** At or below the floor: a binary heap by embedded time, then seq. */
  #heap = none
  /** Server time of the newest id at or below the floor. */
  #newestAt = 0

  constructor(idsMax: number, bound: number, youngIdsMax = idsMax) {
    this.idsMax = idsMax
    this.youngIdsMax = youngIdsMax
    this.bound = bound
  }

  get size(): number {
    return this.#size
  }

  get(sender: string, cid: string): Remembered | undefined {
    if (this.#byId === undefined) return this.#listed(sender, cid)
    let held = this.#byId.get(cid) ?? null
    while (held !== null && held.sender !== sender) held = held.next
    return held ?? undefined
  }

  #listed(sender: string, cid: string): Held | undefined {
    for (let at = this.#settled; at < this.#pinned.length; at++) {
      const held = this.#pinned[at]
      if (held?.cid === cid && held.sender === sender) return held
    }
    for (const held of this.#heap) if (held.cid === cid && held.sender === sender) return held
    return undefined
  }

  /** Speculative until the floor passes it; `forget` takes the newest back. */
  remember(entry: Entry): void {
    const { at, bodyHash, by: sender, cid, n, seq } = entry
    this.#add({ sender, cid, time: clientIdTime(cid), seq, n, at, bodyHash, next: null })
  }

  forget(entry: Entry): void {
    this.#remove(entry.by, entry.cid)
    this.#pinned.pop()
  }

  /** Ids that a cut snapshot gave up, and the store does not have: they are not evicted before it has (†29). */
  recall(entries: ReadonlyArray<Entry>): void {
    for (const entry of entries) {
      if (entry.cid !== "" && this.get(entry.by, entry.cid) === undefined) this.remember(entry)
    }
    this.#pinned = this.#pinned.slice(this.#settled).sort((a, b) => a.seq - b.seq)
    this.#settled = 0
  }

  #add(held: Held): void {
    if (this.#pinned.length === 0) this.#pinned = [held]
    else this.#pinned.push(held)
    this.#size++
    if (this.#byId !== undefined) enter(this.#byId, held)
    else if (this.#size > listedIdsMax) {
      const byId = (this.#byId = new Map<string, Held>())
      for (const other of this.#heap) enter(byId, other)
      for (let at = this.#settled; at < this.#pinned.length; at++) {
        const other = this.#pinned[at]
        if (other !== undefined) enter(byId, other)
      }
    }
  }

  #remove(sender: string, cid: string): void {
    const byId = this.#byId
    if (byId === undefined) {
      if (this.#listed(sender, cid) !== undefined) this.#size--
      return
    }
    let before: Held | null = null
    let held = byId.get(cid) ?? null
    while (held !== null && held.sender !== sender) {
      before = held
      held = held.next
    }
    if (held === null) return
    if (before !== null) before.next = held.next
    else if (held.next !== null) byId.set(cid, held.next)
    else byId.delete(cid)
    this.#size--
  }

  /**
   * The store has everything up to `floor`: of those ids all but `idsMax` are evicted, but not the youngest. In a hot
   * channel `idsMax` ids are a fraction of a second; a bound that close would send every message that was on its way a
   * little longer into look-ups, which make the next ones later still.
   */
  settle(floor: number): void {
    for (
      let next = this.#pinned[this.#settled];
      next !== undefined && next.seq <= floor;
      next = this.#pinned[this.#settled]
    ) {
      if (this.#heap.length === 0) this.#heap = [next]
      else heapPush(this.#heap, next)
      this.#newestAt = Math.max(this.#newestAt, next.at)
      this.#settled++
    }
    if (this.#settled > 0 && this.#settled * 2 >= this.#pinned.length) {
      this.#pinned = this.#settled === this.#pinned.length ? none : this.#pinned.slice(this.#settled)
      this.#settled = 0
    }
    this.#evict(this.idsMax)
  }

  /** Evicts all but so many of the ids that the store has, and the youngest. */
  shrink(idsMax: number): void {
    this.#evict(Math.min(idsMax, this.idsMax))
  }

  #evict(idsMax: number): void {
    while (this.#heap.length > idsMax) {
      const oldest = this.#heap[0]
      if (oldest === undefined) return
      const young = oldest.at > this.#newestAt - youngMs
      if (young && this.#heap.length <= this.youngIdsMax) return
      this.#remove(oldest.sender, oldest.cid)
      heapPop(this.#heap)
      if (oldest.time > this.bound) this.bound = oldest.time
    }
  }

  /**
   * What a snapshot at `head` keeps of it, with `idsMax` of the ids that the store has: as if the others had been evicted.
   * `floor`: those up to it count as the store's, as they will be when somebody restores it and asks.
   */
  snapshot(
    idsMax: number,
    head: number,
    floor = 0
  ): { readonly bound: number; readonly ids: ReadonlyArray<Remembered> } {
    if (this.#size === 0) return { bound: this.bound, ids: none }
    if (idsMax === 0 && this.#settled === this.#pinned.length) {
      let { bound } = this
      for (const held of this.#heap) bound = Math.max(bound, held.time)
      return { bound, ids: none }
    }
    const held = this.#pinned.slice(this.#settled).filter(({ seq }) => seq <= head)
    const pinned = held.filter(({ seq }) => seq > floor)
    const settled = [...this.#heap, ...held.filter(({ seq }) => seq <= floor)].sort((a, b) => (before(a, b) ? 1 : -1))
    const ids = [...settled.slice(0, idsMax), ...pinned].sort((a, b) => a.seq - b.seq).map(remembered)
    return { bound: Math.max(this.bound, settled[idsMax]?.time ?? 0), ids }
  }

  static restore(
    idsMax: number,
    snapshot: { readonly bound: number; readonly ids: ReadonlyArray<Remembered> },
    floor: number,
    youngIdsMax = idsMax
  ): IdempotencyWindow {
    const window = new IdempotencyWindow(idsMax, snapshot.bound, youngIdsMax)
    for (const id of snapshot.ids) window.#add({ ...id, next: null })
    window.settle(floor)
    return window
  }
}

const enter = (byId: Map<string, Held>, held: Held): void => {
  held.next = byId.get(held.cid) ?? null
  byId.set(held.cid, held)
}

const remembered = ({ at, bodyHash, cid, n, sender, seq, time }: Held): Remembered => ({
  sender,
  cid,
  time,
  seq,
  n,
  at,
  bodyHash
})

const before = (a: Remembered, b: Remembered): boolean => (a.time !== b.time ? a.time < b.time : a.seq < b.seq)

const heapPush = (heap: Array<Held>, item: Held): void => {
  let at = heap.push(item) - 1
  while (at > 0) {
    const parent = (at - 1) >> 1
    const above = heap[parent]
    if (above === undefined || !before(item, above)) break
    heap[at] = above
    at = parent
  }
  heap[at] = item
}

const heapPop = (heap: Array<Held>): Held | undefined => {
  const top = heap[0]
  const last = heap.pop()
  if (top === undefined || last === undefined || heap.length === 0) return top
  let at = 0
  for (;;) {
    const left = heap[at * 2 + 1]
    const right = heap[at * 2 + 2]
    if (left === undefined) break
    const takeRight = right !== undefined && before(right, left)
    const child = takeRight ? right : left
    if (!before(child, last)) break
    heap[at] = child
    at = at * 2 + (takeRight ? 2 : 1)
  }
  heap[at] = last
  return top
}
