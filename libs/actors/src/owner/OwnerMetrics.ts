/** What owners tell operators in numbers. No user or channel is a label. */
import { Metric } from "effect"

export const quarantinedShards = Metric.gauge("parley_shards_quarantined", {
  description: "Shards of this process that are out of service because their log is damaged."
})
