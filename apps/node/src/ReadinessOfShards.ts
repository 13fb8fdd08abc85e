/**
 * What `/readyz` says of the owner's side: shards that are not served yet, and a log that takes no more. A quarantined
 * shard does not take the node out of service: the others are served, and it is said here, in the log and in the metrics.
 */
import { Effect, Layer, Option } from "effect"
import { ClusterWork } from "@parley/actors/cluster/ClusterWork"
import { NatsBus } from "@parley/actors/cluster/NatsBus"
import { OwnerDirectory } from "@parley/actors/cluster/OwnerDirectory"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { EventLog } from "@parley/storage/EventLog"
import { LogHealth } from "@parley/storage/jetstream/LogHealth"
import { Limits } from "@parley/protocol/Limits"
import { Readiness } from "./http/HealthHttp.ts"
import { NodeConfig } from "./NodeConfig.ts"
import { isWorker } from "./NodeIdentity.ts"

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

const withoutOwner = (owners: OwnerDirectory["Service"], shards: number): ReadonlyArray<string> => {
  let without = 0
  for (let shard = 1; shard <= shards; shard++) if (owners.ownerOf(shard) === undefined) without++
  return without > 0 ? [`${without} of ${shards} shards have no owner`] : []
}

/** An edge needs owners, and the way to them. How the log is the nodes say that write it. */
export const layerReadinessOfEdge = Layer.effect(
  Readiness,
  Effect.gen(function* () {
    const owners = yield* OwnerDirectory
    const { outbound } = yield* NatsBus
    const { shards } = yield* NodeConfig
    return Effect.sync(() => {
      const ways = outbound.calls.connected && outbound.links.connected ? [] : ["NATS can't be reached"]
      return { reasons: [...withoutOwner(owners, shards), ...ways], degraded: [] }
    })
  })
)

/** A worker needs the log, and the way to the owners whom it tells. Without clients it is in nobody's way while it waits. */
export const layerReadinessOfWorker = Layer.effect(
  Readiness,
  Effect.gen(function* () {
    const log = yield* EventLog
    const owners = yield* OwnerDirectory
    const { outbound } = yield* NatsBus
    const { shards } = yield* NodeConfig
    return Effect.gen(function* () {
      const usage = yield* Effect.option(log.usage)
      const reasons: Array<string> = []
      if (usage._tag === "None") reasons.push("the log can't be reached")
      if (!outbound.calls.connected) reasons.push("NATS can't be reached")
      return { reasons, degraded: withoutOwner(owners, shards) }
    })
  })
)

/** In a cluster it is enough that every shard has an owner somewhere, and the log can be reached from here. */
export const layerReadinessOfCluster = Layer.effect(
  Readiness,
  Effect.gen(function* () {
    const log = yield* EventLog
    const owners = yield* OwnerDirectory
    const health = yield* LogHealth
    const settings = yield* NodeConfig
    const { shards } = settings
    const { runner } = yield* LocalRunnerService
    const work = yield* ClusterWork
    const alone = (): boolean => !isWorker(settings) && work.seen && work.workers.length === 0
    return Effect.gen(function* () {
      const reasons = [...withoutOwner(owners, shards)]
      const usage = yield* Effect.option(log.usage)
      const { silent, silentMs, warnings } = health.state()
      if (usage._tag === "None") reasons.push("the log can't be reached")
      else if (silent.length > 0) {
        reasons.push(`the log takes nothing in ${silent.join(", ")}, for ${Math.round(silentMs / 1_000)} s now`)
      }
      const full = Option.isSome(usage) && usage.value.bytes + Limits.textBytesMax >= usage.value.softBytes
      const degraded = [
        ...warnings.map((warning) => `the log is not safe: ${warning}`),
        // Any node would refuse them: taking this one out of service helps nobody.
        ...(full ? ["the log is full: sends are refused"] : []),
        ...(alone() ? ["no worker lives: this node writes behind its own shards"] : []),
        ...[...runner.quarantined].map(
          ([shard, what]) => `shard ${shard} of ${shards} is out of service: its log is damaged ${what}`
        )
      ]
      return { reasons, degraded }
    })
  })
)
