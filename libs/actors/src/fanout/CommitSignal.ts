/**
 * Wakes the consumers of the log when something was committed, and tells owners when the persister has stored it:
 * hints between parts of one process (core NATS in a cluster). Losing one costs a poll interval, nothing else.
 */
import { Context, Layer } from "effect"
import type { LogPosition } from "@parley/storage/EventLog"

export class CommitSignal extends Context.Service<
  CommitSignal,
  {
    committed(shard: number): void
    onCommitted(listener: (shard: number) => void): () => void
    /** The persister's durable position in a shard moved. */
    stored(shard: number, position: LogPosition): void
    onStored(listener: (shard: number, position: LogPosition) => void): () => void
  }
>()("@parley/actors/CommitSignal") {
  static readonly layer = Layer.sync(CommitSignal, () => {
    const committed = new Set<(shard: number) => void>()
    const stored = new Set<(shard: number, position: LogPosition) => void>()
    return CommitSignal.of({
      committed: (shard) => {
        for (const listener of committed) listener(shard)
      },
      onCommitted: (listener) => {
        committed.add(listener)
        return () => void committed.delete(listener)
      },
      stored: (shard, position) => {
        for (const listener of stored) listener(shard, position)
      },
      onStored: (listener) => {
        stored.add(listener)
        return () => void stored.delete(listener)
      }
    })
  })
}
