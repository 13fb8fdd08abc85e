/**
 * The owners' metrics, copied into the registry when somebody asks: what is in memory, how it woke, what the store lacks. No
 * user or channel is a label.
 */
import { Effect, Layer, Metric } from "effect"
import { LocalRunnerService } from "@parley/actors/cluster/LocalLeases"
import type { Runner } from "@parley/actors/owner/Runner"
import { countOwners, type EntityCounts } from "@parley/actors/owner/OwnerCounts"
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

const recordEntities = Effect.fnUntraced(function* (kind: string, counts: EntityCounts) {
  const of = (state: string) => ({ kind, state })
  yield* Metric.update(Metric.withAttributes(entities, of("resident")), counts.resident)
  yield* Metric.update(Metric.withAttributes(entities, of("warm")), counts.warm)
  yield* Metric.update(Metric.withAttributes(entityBytes, of("resident")), counts.residentBytes)
  yield* Metric.update(Metric.withAttributes(entityBytes, of("warm")), counts.warmBytes)
  yield* wakes(counts.wokenWarm, { kind, from: "warm" })
  yield* wakes(counts.wokenCold, { kind, from: "store" })
})

const record = Effect.fnUntraced(function* (runner: Runner) {
  const counts = countOwners(runner.owners)
  yield* Metric.update(shards, counts.shards)
  yield* recordEntities("channel", counts.channel)
  yield* recordEntities("session", counts.session)
  yield* Metric.update(unstored, counts.unstored)
})

/** Says them at every scrape of this node. */
export const layerOwnerMetrics = Layer.effectDiscard(
  Effect.gen(function* () {
    const { runner } = yield* LocalRunnerService
    yield* addMetricSource(record(runner))
  })
)
