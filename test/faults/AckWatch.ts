/**
 * Looks at a load while a fault happens: the longest time in which nobody was acknowledged anything, and how long each
 * channel took to be back, from a mark (a kill, or a fault's end) to its first ack of an event that is younger than the
 * mark by its own time (all clocks are this machine's), or was asked for after it.
 */
import type { Recorder } from "../checker/History.ts"

const pollMs = 10

export class AckWatch {
  readonly #recorder: Recorder
  readonly #channels: () => ReadonlyArray<string>
  #timer: NodeJS.Timeout | undefined
  /** Facts that were looked at. */
  #seen = 0
  #lastAckAt = 0
  #longestMs = 0
  #markedAt = 0
  /** Milliseconds since 1970. */
  #markedAtWall = 0
  #askedSince = new Set<string>()
  readonly #waiting = new Set<string>()
  #recoveryMs: number | undefined

  constructor(recorder: Recorder, channels: () => ReadonlyArray<string>) {
    this.#recorder = recorder
    this.#channels = channels
  }

  begin(): void {
    this.#seen = this.#recorder.facts.length
    this.#lastAckAt = performance.now()
    this.#timer = setInterval(() => this.#look(), pollMs)
  }

  /** The slowest channel of all marks counts. */
  mark(): void {
    this.#look()
    this.#markedAt = performance.now()
    this.#markedAtWall = Date.now()
    this.#askedSince = new Set()
    for (const channel of this.#channels()) this.#waiting.add(channel)
  }

  end(): void {
    this.#look()
    clearInterval(this.#timer)
  }

  get longestPauseMs(): number {
    return this.#longestMs
  }

  /** Undefined: nothing was marked, or no channel was heard of. */
  get recoveryMs(): number | undefined {
    return this.#recoveryMs
  }

  /** Channels that were not acknowledged anything since the mark. */
  get silent(): ReadonlyArray<string> {
    return [...this.#waiting]
  }

  #look(): void {
    const now = performance.now()
    const { facts } = this.#recorder
    for (; this.#seen < facts.length; this.#seen++) {
      const fact = facts[this.#seen]
      if (fact?._tag === "Asked") this.#askedSince.add(fact.mutation.cid)
      if (fact?._tag !== "Acked") continue
      this.#longestMs = Math.max(this.#longestMs, now - this.#lastAckAt)
      this.#lastAckAt = now
      const isNew = fact.at >= this.#markedAtWall || this.#askedSince.has(fact.cid)
      if (this.#waiting.has(fact.channel) && isNew) {
        this.#waiting.delete(fact.channel)
        this.#recoveryMs = Math.max(this.#recoveryMs ?? 0, now - this.#markedAt)
      }
    }
    this.#longestMs = Math.max(this.#longestMs, now - this.#lastAckAt)
  }
}
