/**
 * When what Cassandra has acknowledged is on stable storage. With its periodic commit log (the default) a node answers a
 * write before it has synced it, so what was written is safe once the period is over, and nothing can be asked that
 * would say so earlier: `sync` waits. Any number may wait at a time, for a timer each. The position that a caller moves
 * afterwards trails the writes by this wait, and with it the purge (DESIGN §5.9); it must not hold up the next writes.
 */
import { Effect, Layer } from "effect"
import { StoreSync } from "../StoreSync.ts"

export interface StoreSyncOptions {
  /** `commitlog_sync_period` of Cassandra's nodes; 0 where they have `commitlog_sync: batch` or `group`. */
  readonly syncPeriodMs?: number
}

const syncPeriodMsDefault = 10_000
/**
 * A sync takes time as well, and may begin late. This is as long as Cassandra itself bears it: when the last one is
 * older than one and a half periods, a node stops to answer writes.
 */
const periods = 1.5

export const layerCassandra = (options: StoreSyncOptions = {}): Layer.Layer<StoreSync> => {
  const waitMs = Math.ceil((options.syncPeriodMs ?? syncPeriodMsDefault) * periods)
  const sync = waitMs === 0 ? Effect.void : Effect.sleep(waitMs)
  return Layer.succeed(StoreSync, StoreSync.of({ sync, periodic: waitMs > 0 }))
}
