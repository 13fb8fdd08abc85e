/** How many events are parked, by consumer (†26): above 0 somebody has to look. */
import { Effect, Metric } from "effect"
import { ParkedOperations } from "@parley/actors/fanout/Parking"

const parked = Metric.gauge("parley_parked_events", {
  description: "Events that a consumer of the log could not handle, and those that wait behind them."
})

export const recordParkedMetrics = Effect.gen(function* () {
  const operations = yield* ParkedOperations
  for (const { consumer, count } of operations.consumers()) {
    yield* Metric.update(Metric.withAttributes(parked, { consumer }), count)
  }
})
