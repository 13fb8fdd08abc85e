/**
 * The owners' metrics and the log's, copied into the registry when somebody asks: what is in memory, how it woke, what
 * the store lacks, how far the consumers are behind, how full the log is. No user or channel is a label.
 */
import { Effect, Layer, Metric } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import { ConsumerLags } from "@parley/actors/fanout/ConsumerLags"
import type { Runner } from "@parley/actors/owner/Runner"
import { countOwners, type EntityCounts } from "@parley/actors/owner/OwnerCounts"
import { EventLog } from "@parley/storage/EventLog"
import { addMetricSource } from "./MetricSources.ts"
import { gauge, total } from "./MetricKinds.ts"

const shards = gauge("parley_shards", "Shards that this process owns.")
const entities = gauge("parley_entities", "Entities in memory, by kind and form (resident, warm).")
const entityBytes = gauge("parley_entity_bytes", "Bytes of entities in memory as they are bounded, by kind and form.")
const wakes = total("parley_entity_wakes_total", "Entities that became resident, by kind and where from (warm, store).")
const unstored = gauge(
  "parley_unstored",
  "What is committed and not in the store yet: an entity in a record counts as one."
)
const lag = gauge("parley_consumer_lag_seconds", "For how long a consumer of the log has had something left to do.")
const logBytes = gauge("parley_log_bytes", "Bytes that the log holds.")
const logSoftBytes = gauge("parley_log_soft_bytes", "Bytes of the log at which sends are refused.")

const recordEntities = Effect.fnUntraced(function* (kind: string, counts: EntityCounts) {
  const of = (state: string) => ({ kind, state })
  yield* Metric.update(Metric.withAttributes(entities, of("resident")), counts.resident)
  yield* Metric.update(Metric.withAttributes(entities, of("warm")), counts.warm)
  yield* Metric.update(Metric.withAttributes(entityBytes, of("resident")), counts.residentBytes)
  yield* Metric.update(Metric.withAttributes(entityBytes, of("warm")), counts.warmBytes)
  yield* wakes(counts.wokenWarm, { kind, from: "warm" })
  yield* wakes(counts.wokenCold, { kind, from: "store" })
})

const record = Effect.fnUntraced(function* (runner: Runner, log: EventLog["Service"]) {
  const counts = countOwners(runner.owners)
  yield* Metric.update(shards, counts.shards)
  yield* recordEntities("channel", counts.channel)
  yield* recordEntities("session", counts.session)
  yield* Metric.update(unstored, counts.unstored)
  for (const [consumer, lagMs] of (yield* ConsumerLags).now()) {
    yield* Metric.update(Metric.withAttributes(lag, { consumer }), lagMs / 1_000)
  }
  const usage = yield* Effect.option(log.usage)
  if (usage._tag === "None") return
  yield* Metric.update(logBytes, usage.value.bytes)
  yield* Metric.update(logSoftBytes, usage.value.softBytes)
})

/** Says them at every scrape of this node. */
export const layerOwnerMetrics = Layer.effectDiscard(
  Effect.gen(function* () {
    const { runner } = yield* LocalRunnerService
    yield* addMetricSource(record(runner, yield* EventLog))
  })
)
