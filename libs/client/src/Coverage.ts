/**
 * What of one sequence has been seen: everything up to `position`, and ranges beyond a hole, held back until the hole is
 * filled. Clients track coverage, not single numbers (†14): a range with nothing to show fills like any other.
 *
 * Promises: events come out ascending, each at most once, and none before everything below it is covered (NO-GAP-SYNC).
 */
export interface Sequenced {
  readonly seq: number
}

interface HeldRange<E> {
  readonly from: number
  readonly to: number
  readonly events: ReadonlyArray<E>
}

export class Coverage<E extends Sequenced> {
  readonly #heldMax: number
  #position: number
  /** Ascending by `from`; each begins above the position. */
  #held: Array<HeldRange<E>> = []

  constructor(position: number, heldMax: number) {
    this.#position = position
    this.#heldMax = heldMax
  }

  /** Everything up to here is seen. */
  get position(): number {
    return this.#position
  }

  /** Something beyond a hole is known: what lies in the hole is on its way, or lost. */
  get hole(): boolean {
    return this.#held.length > 0
  }

  /** The newest seq that anything told of. */
  get known(): number {
    return this.#held.reduce((most, range) => Math.max(most, range.to), this.#position)
  }

  /** `(from, to]` was seen, with these events in it (ascending). Returns what is next in order now. */
  offer(from: number, to: number, events: ReadonlyArray<E>): ReadonlyArray<E> {
    if (from > this.#position) {
      this.#hold({ from, to, events })
      return []
    }
    const next: Array<E> = []
    this.#take({ from, to, events }, next)
    this.#drain(next)
    return next
  }

  /** The sequence is taken up anew at `position`; ranges beyond it stay held, until `resume`. */
  restart(position: number): void {
    this.#position = position
  }

  /** What is held and next in order now, after a restart. */
  resume(): ReadonlyArray<E> {
    const next: Array<E> = []
    this.#drain(next)
    return next
  }

  /** Drops what is held back: a sync will bring it again. */
  forgetHeld(): void {
    this.#held = []
  }

  #hold(range: HeldRange<E>): void {
    const at = this.#held.findIndex((held) => held.from > range.from)
    this.#held.splice(at === -1 ? this.#held.length : at, 0, range)
    // The farthest goes first: what is near fills the hole sooner, and the sync brings the rest.
    if (this.#held.length > this.#heldMax) this.#held.pop()
  }

  #take(range: HeldRange<E>, next: Array<E>): void {
    for (const event of range.events) {
      if (event.seq <= this.#position || event.seq > range.to) continue
      next.push(event)
      this.#position = event.seq
    }
    this.#position = Math.max(this.#position, range.to)
  }

  #drain(next: Array<E>): void {
    for (let range = this.#held[0]; range !== undefined && range.from <= this.#position; range = this.#held[0]) {
      this.#held.shift()
      this.#take(range, next)
    }
  }
}
