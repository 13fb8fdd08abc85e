/**
 * Where a bus is told which shards are served in this process, so that calls reach them: by whoever opens and closes
 * shards as leases come and go.
 */
import { Context } from "effect"
import type { LocalRunner } from "./LocalRunner.ts"

export class ShardRoutes extends Context.Service<
  ShardRoutes,
  {
    readonly shardCount: number
    /** The runner answers for the shard from now on, under the epoch that it says; again after a change of it. */
    own(shard: number, runner: LocalRunner): void
    disown(shard: number, runner: LocalRunner): void
    /**
     * Where runners are in several processes: tells of shards that those of other processes have begun to serve, until what
     * it returns is called. Announcements may be lost.
     */
    readonly onServed?: (served: (shard: number) => void) => () => void
  }
>()("@parley/actors/ShardRoutes") {}
