/**
 * The user's own sequence on this device: personal changes in order of their user seq, each applied once (NO-GAP-SYNC
 * holds for it as for a channel), and the position that a sync names.
 */
import { Coverage } from "./Coverage.ts"
import type { PlainPosition, PlainUserEvent } from "./PlainFrame.ts"

interface Numbered {
  readonly seq: number
  readonly event: PlainUserEvent
}

export class SessionFeed {
  readonly #apply: (event: PlainUserEvent) => void
  readonly #coverage: Coverage<Numbered>
  #generation = 0

  constructor(heldBackMax: number, apply: (event: PlainUserEvent) => void) {
    this.#apply = apply
    this.#coverage = new Coverage(0, heldBackMax)
  }

  /** 0 and 0 at first. */
  get position(): PlainPosition {
    return { generation: this.#generation, seq: this.#coverage.position }
  }

  get hole(): boolean {
    return this.#coverage.hole
  }

  /** Pushed, or known from an ack, which stands for its event. */
  event(seq: number, event: PlainUserEvent | undefined): void {
    this.#all(this.#coverage.offer(seq - 1, seq, event === undefined ? [] : [{ seq, event }]))
  }

  /** A sync's answer: all events after the position that it named. */
  synced(session: PlainPosition, personal: ReadonlyArray<PlainUserEvent>): void {
    const events = personal.map((event) => ({ seq: event.user_seq, event })).toSorted((a, b) => a.seq - b.seq)
    // Of the very first answer this is not known before: what was pushed meanwhile is of its generation, and may be newer.
    if (this.#generation === 0) this.#generation = session.generation
    if (session.generation !== this.#generation) {
      this.#generation = session.generation
      this.#all(events)
      this.#coverage.restart(session.seq)
      this.#all(this.#coverage.resume())
    } else this.#all(this.#coverage.offer(this.#coverage.position, session.seq, events))
  }

  disconnected(): void {
    this.#coverage.forgetHeld()
  }

  restart(): void {
    this.#generation = 0
    this.#coverage.forgetHeld()
    this.#coverage.restart(0)
  }

  #all(events: ReadonlyArray<Numbered>): void {
    for (const { event } of events) this.#apply(event)
  }
}
