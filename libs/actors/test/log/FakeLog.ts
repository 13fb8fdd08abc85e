/**
 * An EventLog in memory for these tests, which answers as it is told: it can lose answers, delay attempts, refuse,
 * give stale reads and lose records. Positions rise by three, so that nobody counts on one.
 */
import { type Append, type AppendOutcome, EventLog, type LogRecord } from "@parley/storage/EventLog"
import { Effect, Option } from "effect"

/** What happens to one attempt. `hold`: it is taken at `release` only; `slow`: taken at once, and decided at `release`. */
export type Fate =
  | "ok"
  | "lost_answer"
  | "lost_attempt"
  | "never_taken"
  | { readonly refuse: "full" | "too_large" }
  | { readonly wrongSequence: number }
  | "hold"
  | "slow"
  | "slow_full"

export class FakeLog {
  readonly records = new Map<number, Array<LogRecord>>()
  /** Fates of the next attempts; then "ok". */
  fates: Array<Fate> = []
  /** The next reads that find nothing, and lasts that find the record so many before the last. */
  emptyReads = 0
  staleLasts: Array<number> = []
  emptyReadAfters = 0
  hurries = 0
  attempts: Array<{ readonly bytes: Uint8Array; readonly expectedLast: number; readonly reserved: boolean }> = []
  /** Attempts that are held: taken and answered on `release`. */
  held: Array<() => void> = []
  #watchers: Array<() => void> = []

  shard(shard: number): Array<LogRecord> {
    const records = this.records.get(shard) ?? []
    this.records.set(shard, records)
    return records
  }

  put(shard: number, bytes: Uint8Array): number {
    const records = this.shard(shard)
    const position = (records.at(-1)?.position ?? 4) + 3
    records.push({ position, bytes })
    return position
  }

  #apply(append: Append, bytes: Uint8Array): AppendOutcome {
    const last = this.shard(append.shard).at(-1)?.position ?? 0
    if (last !== append.expectedLast) return { _tag: "WrongSequence", actual: last }
    return { _tag: "Committed", position: this.put(append.shard, bytes) }
  }

  #attempt(append: Append, fate: Fate): void {
    if (fate === "hold") {
      this.held.push(() => this.#attempt(append, "ok"))
      return
    }
    if (fate === "never_taken") return append.settle({ _tag: "Ambiguous", cause: "no connection" })
    const bytes = append.seal()
    this.attempts.push({ bytes, expectedLast: append.expectedLast, reserved: append.reserved })
    if (fate === "slow") this.held.push(() => append.settle(this.#apply(append, bytes)))
    else if (fate === "slow_full") this.held.push(() => append.settle({ _tag: "Refused", reason: "full" }))
    else if (fate === "ok") append.settle(this.#apply(append, bytes))
    else if (fate === "lost_answer") {
      this.#apply(append, bytes)
      append.settle({ _tag: "Ambiguous", cause: "timeout" })
    } else if (fate === "lost_attempt") append.settle({ _tag: "Ambiguous", cause: "timeout" })
    else if ("refuse" in fate) append.settle({ _tag: "Refused", reason: fate.refuse })
    else append.settle({ _tag: "WrongSequence", actual: fate.wrongSequence })
  }

  release(): void {
    const held = this.held
    this.held = []
    for (const answer of held) answer()
  }

  /** Resolves once `condition` holds; it is looked at after each attempt. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (condition()) resolve()
        else this.#watchers.push(look)
      }
      look()
    })
  }

  #look(): void {
    const watchers = this.#watchers
    this.#watchers = []
    for (const look of watchers) look()
  }

  readonly service: EventLog["Service"] = EventLog.of({
    hurry: () => void this.hurries++,
    append: (append) =>
      queueMicrotask(() => {
        this.#attempt(append, this.fates.shift() ?? "ok")
        this.#look()
      }),
    last: (shard) => Effect.sync(() => Option.fromNullishOr(this.shard(shard).at(-1 - (this.staleLasts.shift() ?? 0)))),
    read: (shard, position) =>
      Effect.sync(() =>
        this.emptyReads-- > 0
          ? Option.none()
          : Option.fromNullishOr(this.shard(shard).find((record) => record.position === position))
      ),
    readAfter: (shard, after, bytesMax) =>
      Effect.sync(() => {
        if (this.emptyReadAfters-- > 0) return []
        const records: Array<LogRecord> = []
        let bytes = 0
        for (const record of this.shard(shard)) {
          if (record.position <= after) continue
          bytes += record.bytes.length
          if (records.length > 0 && bytes > bytesMax) break
          records.push(record)
        }
        return records
      }),
    own: () => undefined,
    purge: (shard, upTo) =>
      Effect.sync(() => {
        const records = this.shard(shard)
        this.records.set(
          shard,
          records.filter((record, index) => record.position > upTo || index === records.length - 1)
        )
      }),
    spare: () => Effect.void,
    known: () => 0,
    newest: () => 0,
    usage: Effect.succeed({ bytes: 0, softBytes: 1, hardBytes: 2 }),
    shards: Effect.sync(() => [...this.records.keys()]),
    consumerPosition: () => Effect.succeed(0),
    setConsumerPosition: () => Effect.void
  })
}

/** Time that only moves when it is told to. */
export class FakeClock {
  #now = 0
  #timers: Array<{ readonly at: number; readonly callback: () => void }> = []

  now(): number {
    return this.#now
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  get waiting(): number {
    return this.#timers.length
  }

  advance(ms: number): void {
    const end = this.#now + ms
    while (true) {
      const due = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers = this.#timers.filter((other) => other !== due)
      this.#now = Math.max(this.#now, due.at)
      due.callback()
    }
    this.#now = end
  }
}
