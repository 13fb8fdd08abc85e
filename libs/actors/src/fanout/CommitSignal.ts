/**
 * Wakes the consumers of the log when something was committed, and tells owners when the persister has stored it, or
 * that a consumer found the log damaged: hints between parts of one process (core NATS in a cluster). Losing one costs a
 * poll interval, nothing else.
 */
import { Context, Layer } from "effect"
import type { LogPosition } from "@parley/storage/EventLog"
import type { ParkedEntity } from "@parley/storage/ParkedEvents"
import type { Released } from "./Parking.ts"

export class CommitSignal extends Context.Service<
  CommitSignal,
  {
    committed(shard: number): void
    /** Another process has committed: of use to those only who work on shards that they do not own. */
    committedElsewhere(shard: number): void
    onCommitted(listener: (shard: number) => void, where: "here" | "anywhere"): () => void
    /** The persister's durable position in a shard moved; of these entities it has parked something (†26). */
    stored(shard: number, position: LogPosition, parked: ReadonlyArray<ParkedEntity>): void
    onStored(listener: (shard: number, position: LogPosition, parked: ReadonlyArray<ParkedEntity>) => void): () => void
    /** What was parked of an entity is in the store now, up to this seq. */
    released(entity: Released): void
    onReleased(listener: (entity: Released) => void): () => void
    /** A consumer read a record that is not what was written (†24). */
    damaged(shard: number, what: string): void
    onDamaged(listener: (shard: number, what: string) => void): () => void
  }
>()("@parley/actors/CommitSignal") {
  static readonly layer = Layer.sync(CommitSignal, () => makeCommitSignal())
}

/** Tells the listeners of this process, at once. */
export const makeCommitSignal = (): CommitSignal["Service"] => {
  const committed = new Set<(shard: number) => void>()
  const committedElsewhere = new Set<(shard: number) => void>()
  const stored = new Set<(shard: number, position: LogPosition, parked: ReadonlyArray<ParkedEntity>) => void>()
  const released = new Set<(entity: Released) => void>()
  const damaged = new Set<(shard: number, what: string) => void>()
  return CommitSignal.of({
    committed: (shard) => {
      for (const listener of committed) listener(shard)
    },
    committedElsewhere: (shard) => {
      for (const listener of committedElsewhere) listener(shard)
    },
    onCommitted: (listener, where) => {
      committed.add(listener)
      if (where === "anywhere") committedElsewhere.add(listener)
      return () => {
        committed.delete(listener)
        committedElsewhere.delete(listener)
      }
    },
    stored: (shard, position, parked) => {
      for (const listener of stored) listener(shard, position, parked)
    },
    onStored: (listener) => {
      stored.add(listener)
      return () => void stored.delete(listener)
    },
    released: (entity) => {
      for (const listener of released) listener(entity)
    },
    onReleased: (listener) => {
      released.add(listener)
      return () => void released.delete(listener)
    },
    damaged: (shard, what) => {
      for (const listener of damaged) listener(shard, what)
    },
    onDamaged: (listener) => {
      damaged.add(listener)
      return () => void damaged.delete(listener)
    }
  })
}
