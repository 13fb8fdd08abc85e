/**
 * The owner directory of a cluster: the holders of shards as the watched lease bucket says. Reads a shard's entry from
 * the bucket's leader where a caller was told "not mine" and may be ahead of the watch. While NATS is away it answers
 * what it knew last.
 */
import { Effect, Layer } from "effect"
import { ClusterLeases } from "./ClusterLeases.ts"
import { shardKey } from "./LeaseEntries.ts"
import { OwnerDirectory, type ShardOwnership } from "./OwnerDirectory.ts"

/** A shard is not looked up again sooner: callers that are refused ask in crowds. */
const lookMs = 50

export const layerNatsOwnerDirectory = Layer.effect(
  OwnerDirectory,
  Effect.gen(function* () {
    const { bucket, view } = yield* ClusterLeases
    const listeners = new Set<(shard: number, owner: ShardOwnership | undefined) => void>()
    const owners = new Map<number, ShardOwnership>()
    const looking = new Set<number>()

    const learn = (shard: number) => {
      const seen = view.shards.get(shard)
      const known = owners.get(shard)
      if (seen === undefined || seen.runner === "") {
        if (!owners.delete(shard)) return
      } else {
        if (known?.runner === seen.runner && known.epoch === seen.epoch) return
        owners.set(shard, { runner: seen.runner, epoch: seen.epoch })
      }
      for (const listener of listeners) listener(shard, owners.get(shard))
    }

    const look = async (shard: number): Promise<void> => {
      try {
        const entry = await bucket.read(shardKey(shard))
        if (entry !== undefined) view.apply(shardKey(shard), entry.text, entry.revision, performance.now())
      } catch {
        // Whoever asked tries again, and asks again.
      }
      await new Promise((resolve) => setTimeout(resolve, lookMs))
      looking.delete(shard)
    }

    for (const shard of view.shards.keys()) learn(shard)
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        view.onChange((change) => {
          if (change._tag === "Shard") learn(change.shard)
        })
      ),
      (stop) => Effect.sync(stop)
    )
    return OwnerDirectory.of({
      ownerOf: (shard) => owners.get(shard),
      refresh: (shard) => {
        if (looking.has(shard)) return
        looking.add(shard)
        void look(shard)
      },
      onChange: (listener) => {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      }
    })
  })
)
