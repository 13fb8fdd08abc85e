/**
 * Cold channels on their way in: what the shards of a runner ask of the store for them, gathered. A question names all
 * that wait, up to a bound, and only a few are under way at once, so the busier the store is the more of them share a
 * round trip. After a restart ten thousand users wake half a million channels: what waits is bounded, and beyond it a
 * caller is told that the store can't be asked now. Out of Effect but for the question itself: `bench scale`.
 */
import type { ChannelStore, StoredChannel } from "@parley/storage/ChannelStore"
import type { OwnerContext } from "./OwnerContext.ts"

/** Stays that come with it; a channel of more is paged. */
export const loadedStaysMax = 1_000
/** Channels of one question, and questions under way at once. */
const questionChannelsMax = 64
export const questionsAtOnce = 2
/** Channels that wait for their question. */
export const coldChannelsWaitingMax = 65_536

/** Undefined: the store could not be asked. `stored` undefined: it has no such channel. */
export type ColdAnswer = { readonly stored: StoredChannel | undefined } | undefined

interface Waiting {
  readonly channel: string
  readonly newestSeqs: number
  readonly done: (answer: ColdAnswer) => void
}

export class ColdChannels {
  readonly #store: ChannelStore["Service"]
  readonly #run: OwnerContext["run"]
  #waiting: Array<Waiting> = []
  #next = 0
  #underWay = 0
  #scheduled = false

  constructor(store: ChannelStore["Service"], run: OwnerContext["run"]) {
    this.#store = store
    this.#run = run
  }

  get waiting(): number {
    return this.#waiting.length - this.#next
  }

  /** With the events of so many places up to its head. Calls back once, never from within. */
  load(channel: string, newestSeqs: number, done: (answer: ColdAnswer) => void): void {
    if (this.waiting >= coldChannelsWaitingMax) return queueMicrotask(() => done(undefined))
    this.#waiting.push({ channel, newestSeqs, done })
    if (this.#scheduled || this.#underWay >= questionsAtOnce) return
    this.#scheduled = true
    setImmediate(this.#ask)
  }

  readonly #ask = (): void => {
    this.#scheduled = false
    while (this.#underWay < questionsAtOnce && this.waiting > 0) this.#askFor(this.#take())
  }

  #take(): ReadonlyArray<Waiting> {
    const taken = this.#waiting.slice(this.#next, this.#next + questionChannelsMax)
    this.#next += taken.length
    if (this.#next === this.#waiting.length) {
      this.#waiting = []
      this.#next = 0
    } else if (this.#next > 1_024 && this.#next * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next)
      this.#next = 0
    }
    return taken
  }

  #askFor(taken: ReadonlyArray<Waiting>): void {
    this.#underWay++
    const channels = taken.map(({ channel }) => channel)
    const newestSeqs = taken.map((it) => it.newestSeqs)
    const question = this.#store.load({ channels, newestSeqs, staysMax: loadedStaysMax })
    this.#run(question, (result) => {
      this.#underWay--
      for (const [at, { done }] of taken.entries()) done("ok" in result ? { stored: result.ok[at] } : undefined)
      this.#ask()
    })
  }
}
