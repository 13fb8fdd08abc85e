/**
 * Whether the stores behind the log are on stable storage. A store may answer a write before it has synced it (SQLite
 * with NORMAL, Cassandra with a periodic commit log); the log must keep what such a store could still lose. So whoever
 * lets go of the log asks here first: `sync`, then the consumer's position, then the purge (WRITE-BEHIND-SAFE, DESIGN §5.9).
 */
import { Context, type Effect } from "effect"
import type { StoreUnavailable } from "./StoreError.ts"

export class StoreSync extends Context.Service<
  StoreSync,
  {
    /**
     * Once it succeeds, all writes that had succeeded before it was called survive a loss of power. Where it fails, those
     * since the last one that succeeded may be lost already: they are to be made again.
     */
    readonly sync: Effect.Effect<void, StoreUnavailable>
    /**
     * The store syncs by itself, now and then, and `sync` waits for that: whoever syncs after each batch does not hold up
     * the next one for it, and moves its durable position when the wait is over.
     */
    readonly periodic: boolean
  }
>()("@parley/storage/StoreSync") {}
