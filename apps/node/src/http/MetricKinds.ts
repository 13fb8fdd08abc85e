/** How a node's metrics are made: what is at this moment, and what was counted since the start. */
import { Metric } from "effect"

export const gauge = (name: string, description: string) => Metric.gauge(name, { description })

/** A count that a hot path keeps in a plain field: the registry's counter follows it when somebody reads it. */
export const total = (name: string, description: string) => {
  const counter = Metric.counter(name, { description, incremental: true })
  const known = new Map<string, number>()
  return (now: number, attributes: Readonly<Record<string, string>> = {}) => {
    const key = Object.values(attributes).join()
    const before = known.get(key) ?? 0
    known.set(key, now)
    // What is counted anew (a shard that came back) goes on from there.
    return Metric.update(Metric.withAttributes(counter, attributes), now < before ? now : now - before)
  }
}
