/**
 * Who works on which shard, as this process has seen the lease bucket (`WorkPlacement`). A process is alive while its
 * heartbeats come, judged against the last news of anybody and not against the time: a watch that is silent says nothing
 * of others, and then nothing changes hands. Plain state, looked at every tick.
 */
import type { LeaseTimings } from "./LeaseTimings.ts"
import type { LeaseView } from "./LeaseView.ts"
import { type Holder, placeWork } from "./WorkPlacement.ts"

export interface WorkViewOptions {
  readonly view: LeaseView
  readonly timings: Pick<LeaseTimings, "leaseMs" | "marginMs">
  readonly shardCount: number
}

export class WorkView {
  readonly #options: WorkViewOptions
  #workers: ReadonlyArray<string> = []
  #placed: ReadonlyArray<string | undefined> = []
  /** What the placement was made of. */
  #made = ""
  #seen = false
  readonly #listeners = new Set<() => void>()

  constructor(options: WorkViewOptions) {
    this.#options = options
  }

  /** The bucket was seen whole once: before, it is not known that there is no worker. */
  get seen(): boolean {
    return this.#seen
  }

  /** Workers that live, by name. */
  get workers(): ReadonlyArray<string> {
    return this.#workers
  }

  /** The name of a runner or of a worker; undefined: nobody works on it now. */
  workerOf(shard: number): string | undefined {
    return this.#placed[shard]
  }

  /** Tells when somebody works on other shards than before. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Looks whether anything has changed. */
  look(): void {
    const { shardCount, view } = this.#options
    // In the midst of being told who is there, some would be missing.
    if (!view.caughtUp) return
    const workers = [...view.workers].filter(([, worker]) => this.#alive(worker)).map(([name]) => name)
    const holders = new Map<string, Holder>()
    for (const [runner, entry] of view.runners) {
      if (this.#alive(entry)) holders.set(runner, { runner, works: entry.works ?? true })
    }
    const holderOf = (shard: number) => holders.get(view.shards.get(shard)?.runner ?? "")
    const made = [...workers.sort(), ""]
    for (let shard = 1; shard <= shardCount; shard++) {
      const holder = holderOf(shard)
      made.push(holder === undefined ? "" : `${holder.runner} ${holder.works}`)
    }
    const text = made.join("\n")
    if (this.#seen && text === this.#made) return
    this.#seen = true
    this.#made = text
    this.#workers = workers
    this.#placed = placeWork({ shardCount, workers, holderOf })
    for (const listener of this.#listeners) listener()
  }

  #alive({ seenAt, state }: { readonly seenAt: number; readonly state: string }): boolean {
    const { timings, view } = this.#options
    return state !== "gone" && view.heardAt - seenAt <= timings.leaseMs + timings.marginMs
  }
}
