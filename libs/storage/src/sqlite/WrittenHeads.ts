/**
 * Where channels are that this thread wrote messages to, so that the next message of one needs no look at its rows: two
 * looks a channel and round, a third of the writer's time where sends go to ten thousand channels (`bench scale`). The
 * thread is the only one that writes, so what is here is what the rows say (ChannelHead); whatever else than a plain
 * message changes them drops it, and so does a transaction that fails.
 */
import type { ChannelHead } from "./ChannelHead.ts"

/** Channels, of some 200 bytes; past it, it begins anew. */
export const writtenHeadsMax = 50_000

export class WrittenHeads {
  readonly #max: number
  readonly #heads = new Map<string, ChannelHead>()

  constructor(max = writtenHeadsMax) {
    this.#max = max
  }

  get(channel: string): ChannelHead | undefined {
    return this.#heads.get(channel)
  }

  set(channel: string, head: ChannelHead): void {
    if (this.#heads.size >= this.#max) this.#heads.clear()
    if (this.#max > 0) this.#heads.set(channel, head)
  }

  drop(channel: string): void {
    this.#heads.delete(channel)
  }

  forget(): void {
    this.#heads.clear()
  }
}
