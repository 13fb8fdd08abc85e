/**
 * What an operator should know of the log. A stream can stay silent while it reports itself healthy (nats-server issue
 * 8519), so what counts is what appends are answered, not what the servers say of themselves.
 */
import { Context } from "effect"

export interface LogHealthState {
  readonly connected: boolean
  /** For how long no append of some stream has had an answer that says anything; 0 where all is well. */
  readonly silentMs: number
  /** The streams that are silent. */
  readonly silent: ReadonlyArray<string>
  /** Why the log is not as safe as it should be, from its set-up. */
  readonly warnings: ReadonlyArray<string>
}

export class LogHealth extends Context.Service<LogHealth, { state(): LogHealthState }>()(
  "@parley/storage/jetstream/LogHealth"
) {}

/** Since when each stream says nothing. */
export class Silence {
  readonly #names: ReadonlyArray<string>
  readonly #now: () => number
  readonly #since = new Map<number, number>()

  constructor(names: ReadonlyArray<string>, now: () => number = () => performance.now()) {
    this.#names = names
    this.#now = now
  }

  /** An append of the stream has ended; whether with an answer that settles something. */
  ended(stream: number, answered: boolean): void {
    if (answered) this.#since.delete(stream)
    else if (!this.#since.has(stream)) this.#since.set(stream, this.#now())
  }

  get state(): Pick<LogHealthState, "silentMs" | "silent"> {
    const streams = [...this.#since.keys()].sort((a, b) => a - b)
    return {
      silentMs: streams.length === 0 ? 0 : this.#now() - Math.min(...this.#since.values()),
      silent: streams.map((stream) => this.#names[stream] ?? String(stream))
    }
  }
}
