/**
 * What `/readyz` says of the owner's side: shards that are not served yet, and a log that takes no more. A quarantined
 * shard does not take the node out of service: the others are served, and it is said here, in the log and in the metrics.
 */
import { Effect, Layer } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { EventLog } from "@parley/storage/EventLog"
import { Limits } from "@parley/protocol/Limits"
import { Readiness } from "./http/HealthHttp.ts"

export const layerReadinessOfShards = (shardCount: number) =>
  Layer.effect(
    Readiness,
    Effect.gen(function* () {
      const log = yield* EventLog
      const { runner } = yield* LocalRunnerService
      return Effect.gen(function* () {
        const reasons: Array<string> = []
        const missing = shardCount - runner.shards.length - runner.quarantined.size
        if (missing > 0) reasons.push(`${missing} of ${shardCount} shards are not served`)
        const usage = yield* Effect.option(log.usage)
        if (usage._tag === "None") reasons.push("the log can't be reached")
        // A message of full length would be refused by now, if not every one.
        else if (usage.value.bytes + Limits.textBytesMax >= usage.value.softBytes)
          reasons.push("the log is full: sends are refused")
        const degraded = [...runner.quarantined].map(
          ([shard, what]) => `shard ${shard} of ${shardCount} is out of service: its log is damaged ${what}`
        )
        return { reasons, degraded }
      })
    })
  )
