/**
 * The edge's side of one link, without a bus or a clock: which numbers of a (owner start, edge) link have come, what
 * to take on now, what to ask for again, when to give up on a number (†9). It promises that every message is either
 * applied once, in number order, or covered by a `repair`, after which heads decide.
 */
import type { LinkMessage } from "../owner/OwnerProtocol.ts"

/** Messages held back behind a missing number; past it the edge repairs by heads. */
export const linkHeldMax = 1_024
/** Heartbeats that may show the same number missing after it was asked for. */
export const resendTriesMax = 2

export type LinkStep =
  | { readonly _tag: "Apply"; readonly message: LinkMessage }
  /** Ask for the messages from `from` on again. */
  | { readonly _tag: "Resend"; readonly from: number }
  /** Numbers are lost for good: every topic of this owner is compared by its head. */
  | { readonly _tag: "Repair" }
  /** What the owner serves for this edge. */
  | { readonly _tag: "Digest"; readonly digest: NonNullable<LinkMessage["digest"]> }

const nothing: ReadonlyArray<LinkStep> = []

export class EdgeLinkState {
  #received = 0
  #tries = 0
  /** The missing number that was last asked for. */
  #asked = 0
  readonly #held = new Map<number, LinkMessage>()

  /** The number up to which all messages were applied. */
  get received(): number {
    return this.#received
  }

  get heldCount(): number {
    return this.#held.size
  }

  receive(message: LinkMessage): ReadonlyArray<LinkStep> {
    if (message.digest !== null) return this.#heartbeat(message.number, message.digest)
    if (message.number <= this.#received) return nothing
    if (message.number > this.#received + 1) return this.#ahead(message)
    const steps: Array<LinkStep> = [{ _tag: "Apply", message }]
    this.#received = message.number
    this.#takeHeld(steps)
    return steps
  }

  #takeHeld(steps: Array<LinkStep>): void {
    if (this.#held.size === 0) return
    for (;;) {
      const next = this.#held.get(this.#received + 1)
      if (next === undefined) return
      this.#held.delete(next.number)
      this.#received = next.number
      steps.push({ _tag: "Apply", message: next })
    }
  }

  #ahead(message: LinkMessage): ReadonlyArray<LinkStep> {
    this.#held.set(message.number, message)
    if (this.#held.size > linkHeldMax) return this.#giveUp(message.number)
    return this.#ask()
  }

  /** Asks once for a missing number; a heartbeat asks again. */
  #ask(): ReadonlyArray<LinkStep> {
    const missing = this.#received + 1
    if (this.#asked === missing) return nothing
    this.#asked = missing
    this.#tries = 0
    return [{ _tag: "Resend", from: missing }]
  }

  #heartbeat(last: number, digest: NonNullable<LinkMessage["digest"]>): ReadonlyArray<LinkStep> {
    const steps: Array<LinkStep> = []
    if (last > this.#received) {
      const missing = this.#received + 1
      if (this.#asked === missing && ++this.#tries >= resendTriesMax) steps.push(...this.#giveUp(last))
      else {
        if (this.#asked !== missing) this.#tries = 0
        this.#asked = missing
        steps.push({ _tag: "Resend", from: missing })
      }
    }
    steps.push({ _tag: "Digest", digest })
    return steps
  }

  /** Goes on without what is missing up to `last`: what is here is applied, heads find the rest. */
  #giveUp(last: number): ReadonlyArray<LinkStep> {
    const applied: Array<LinkStep> = []
    const numbers = [...this.#held.keys()].sort((a, b) => a - b)
    for (const number of numbers) {
      const message = this.#held.get(number)
      if (message !== undefined) applied.push({ _tag: "Apply", message })
    }
    this.#held.clear()
    this.#received = Math.max(this.#received, last, numbers.at(-1) ?? 0)
    this.#asked = 0
    this.#tries = 0
    applied.push({ _tag: "Repair" })
    return applied
  }
}
