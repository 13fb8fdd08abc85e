/**
 * The log's metrics and its consumers', copied into the registry when somebody asks: how far consumers are behind, on how
 * many shards they work here, how many workers live, how full the log is.
 */
import { Effect, Layer, Metric, Option } from "effect"
import { ClusterWork } from "@parley/actors/cluster/ClusterWork"
import { ConsumerLags } from "@parley/actors/fanout/ConsumerLags"
import { WorkedShards } from "@parley/actors/fanout/WorkedShards"
import { EventLog } from "@parley/storage/EventLog"
import { NodeConfig } from "../NodeConfig.ts"
import { gauge } from "./MetricKinds.ts"
import { addMetricSource } from "./MetricSources.ts"

const lag = gauge("parley_consumer_lag_seconds", "For how long a consumer of the log has had something left to do.")
const worked = gauge("parley_shards_worked", "Shards whose log this process consumes (persister, member fan-out).")
const workers = gauge("parley_workers", "Processes that only consume the log, as this one sees them.")
const logBytes = gauge("parley_log_bytes", "Bytes that the log holds.")
const logSoftBytes = gauge("parley_log_soft_bytes", "Bytes of the log at which sends are refused.")

const record = Effect.fnUntraced(function* (log: EventLog["Service"], shardsWorked: () => number) {
  for (const [consumer, lagMs] of (yield* ConsumerLags).now()) {
    yield* Metric.update(Metric.withAttributes(lag, { consumer }), lagMs / 1_000)
  }
  yield* Metric.update(worked, shardsWorked())
  const usage = yield* Effect.option(log.usage)
  if (usage._tag === "None") return
  yield* Metric.update(logBytes, usage.value.bytes)
  yield* Metric.update(logSoftBytes, usage.value.softBytes)
})

/** Says them at every scrape of this node. */
export const layerConsumerMetrics = Layer.effectDiscard(
  Effect.gen(function* () {
    const { shards } = yield* NodeConfig
    const { works } = yield* WorkedShards
    const shardsWorked = () => Array.from({ length: shards }, (_, index) => index + 1).filter(works).length
    yield* addMetricSource(record(yield* EventLog, shardsWorked))
    const work = yield* Effect.serviceOption(ClusterWork)
    if (Option.isNone(work)) return
    yield* addMetricSource(Effect.suspend(() => Metric.update(workers, work.value.workers.length)))
  })
)
