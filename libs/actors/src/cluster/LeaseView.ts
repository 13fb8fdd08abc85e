/**
 * The lease bucket as one process has seen it: runners, workers, holders of shards, wishes of operators. Plain state, fed in the
 * order of the bucket's stream (`LeaseWatch`). It says when an entry was last seen to change, on this process's own
 * monotonic clock; times written by others are never looked at.
 */
import {
  type BalanceEntry,
  noBalance,
  readBalance,
  readNamedRunner,
  readRunner,
  readShard,
  readWorker,
  runnerKey,
  type RunnerEntry,
  type ShardEntry,
  type WorkerEntry,
  workerKey
} from "./LeaseEntries.ts"

export interface SeenRunner extends RunnerEntry {
  readonly seenAt: number
}

export interface SeenWorker extends WorkerEntry {
  readonly seenAt: number
}

export interface SeenShard extends ShardEntry {
  readonly revision: number
  readonly seenAt: number
}

/** What an entry changed. */
export type LeaseChange =
  | { readonly _tag: "Runner"; readonly name: string }
  | { readonly _tag: "Worker"; readonly name: string }
  | { readonly _tag: "Shard"; readonly shard: number }
  | { readonly _tag: "Wish" }
  /** Everything that was in the bucket a moment ago has been seen. */
  | { readonly _tag: "CaughtUp" }

export class LeaseView {
  readonly runners = new Map<string, SeenRunner>()
  readonly workers = new Map<string, SeenWorker>()
  readonly shards = new Map<number, SeenShard>()
  readonly machines = new Map<number, string>()
  readonly cordoned = new Set<string>()
  readonly moves = new Map<number, string>()
  balance: BalanceEntry = noBalance
  /**
   * There is no entry on its way that overwrote one which was never seen: the bucket keeps the newest of a key only, so
   * that before this an entry may be missing which was written before one that is here.
   */
  caughtUp = false
  /** When there was news last, of anybody: since then nothing is known of silence. */
  heardAt = -Infinity
  readonly #revisions = new Map<string, number>()
  readonly #listeners = new Set<(change: LeaseChange) => void>()

  onChange(listener: (change: LeaseChange) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** An entry as it is at `revision`; `text` undefined: it was removed. What is known already is no news. */
  apply(key: string, text: string | undefined, revision: number, now: number): void {
    if (revision <= this.revisionOf(key)) return
    this.#revisions.set(key, revision)
    this.heardAt = now
    const change = this.#take(key, text, revision, now)
    if (change !== undefined) this.#tell(change)
  }

  /** The bucket's stream had so many entries more when the last one was sent here. */
  setPending(pending: number): void {
    this.caughtUp = pending === 0
    if (this.caughtUp) this.#tell({ _tag: "CaughtUp" })
  }

  /** 0: there is none. */
  revisionOf(key: string): number {
    return this.#revisions.get(key) ?? 0
  }

  #tell(change: LeaseChange): void {
    for (const listener of this.#listeners) listener(change)
  }

  /** Whose entry nobody writes any more. */
  forget(name: string): void {
    this.runners.delete(name)
    this.#revisions.delete(runnerKey(name))
  }

  forgetWorker(name: string): void {
    this.workers.delete(name)
    this.#revisions.delete(workerKey(name))
  }

  #take(key: string, text: string | undefined, revision: number, now: number): LeaseChange | undefined {
    const dot = key.indexOf(".")
    const name = key.slice(dot + 1)
    switch (key.slice(0, dot)) {
      case "runner": {
        const entry = text === undefined ? undefined : readRunner(text)
        if (entry === undefined) this.runners.delete(name)
        else this.runners.set(name, { ...entry, seenAt: now })
        if (text === undefined) this.#revisions.delete(key)
        return { _tag: "Runner", name }
      }
      case "worker": {
        const entry = text === undefined ? undefined : readWorker(text)
        if (entry === undefined) this.workers.delete(name)
        else this.workers.set(name, { ...entry, seenAt: now })
        if (text === undefined) this.#revisions.delete(key)
        return { _tag: "Worker", name }
      }
      case "shard": {
        const entry = text === undefined ? undefined : readShard(text)
        if (entry === undefined) this.shards.delete(Number(name))
        else this.shards.set(Number(name), { ...entry, revision, seenAt: now })
        return { _tag: "Shard", shard: Number(name) }
      }
      case "machine":
        setOrDelete(this.machines, Number(name), text)
        return undefined
      case "move":
        setOrDelete(this.moves, Number(name), text)
        return { _tag: "Wish" }
      case "cordon":
        if (text === undefined) this.cordoned.delete(name)
        else this.cordoned.add(name)
        return { _tag: "Wish" }
      case "balance":
        this.balance = (text === undefined ? undefined : readBalance(text)) ?? noBalance
        return { _tag: "Wish" }
      default:
        return undefined
    }
  }
}

const setOrDelete = (map: Map<number, string>, id: number, text: string | undefined) => {
  const entry = text === undefined ? undefined : readNamedRunner(text)
  if (entry === undefined) map.delete(id)
  else map.set(id, entry.runner)
}
