/**
 * The directory of owners for processes without leases: tests and benches say who owns what. Each process may have one of
 * its own, which knows less than another's, as it would be in a cluster.
 */
import { Layer } from "effect"
import { OwnerDirectory, type ShardOwnership } from "./OwnerDirectory.ts"

export class MemoryOwnerDirectory {
  readonly #owners = new Map<number, ShardOwnership>()
  readonly #listeners = new Set<(shard: number, owner: ShardOwnership | undefined) => void>()
  /** Shards that somebody wanted looked up again, in order. */
  readonly refreshed: Array<number> = []

  set(shard: number, owner: ShardOwnership): void {
    this.#owners.set(shard, owner)
    for (const listener of this.#listeners) listener(shard, owner)
  }

  readonly service = OwnerDirectory.of({
    ownerOf: (shard) => this.#owners.get(shard),
    refresh: (shard) => void this.refreshed.push(shard),
    onChange: (listener) => {
      this.#listeners.add(listener)
      return () => void this.#listeners.delete(listener)
    }
  })

  readonly layer = Layer.succeed(OwnerDirectory, this.service)
}
