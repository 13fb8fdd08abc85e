/**
 * The bus's metrics: calls to the owners of shards, attaches and link messages of this process, and what became of those
 * that did not go the usual way. No user, channel or node is a label.
 */
import { Effect, Layer, Metric } from "effect"
import { NatsBus } from "@parley/actors/cluster/NatsBus"
import { gauge, total } from "./MetricKinds.ts"
import { addMetricSource } from "./MetricSources.ts"

const inFlight = gauge("parley_bus_calls_in_flight", "Calls to owners of shards that have no answer yet.")
const again = total(
  "parley_bus_calls_troubled_total",
  "Calls that an owner refused as not its own, that nobody heard or answered in time, or that were too many, by which."
)
const asked = total("parley_bus_asked_total", "Calls that came to the shards of this process from others.")
const turnedAway = total("parley_bus_turned_away_total", "Calls from others that were not begun, by why.")
const attaches = total(
  "parley_bus_attaches_total",
  "Attaches that this edge made, one for all topics of a shard that were wanted together, and the parts they went as."
)
const links = total("parley_bus_link_messages_total", "Messages to the links of edges.")
const dropped = total("parley_bus_link_dropped_total", "Link messages dropped because the connection to NATS was full.")

const record = ({ attaches: made, calls, links: sent, owners }: NatsBus["Service"]) =>
  Effect.gen(function* () {
    yield* Metric.update(inFlight, calls.inFlight)
    const { overloaded, refused, unanswered, unreachable } = calls.counts
    for (const [why, count] of Object.entries({ overloaded, refused, unanswered, unreachable })) {
      yield* again(count, { why })
    }
    yield* asked(owners.counts.requests)
    const { misrouted, notMine, otherVersion, repeated, unreadable } = owners.counts
    for (const [why, count] of Object.entries({
      misrouted,
      not_mine: notMine,
      other_version: otherVersion,
      overloaded: owners.counts.overloaded,
      repeated,
      unreadable
    })) {
      yield* turnedAway(count, { why })
    }
    yield* attaches(made.counts.attaches, { as: "attaches" })
    yield* attaches(made.counts.parts, { as: "parts" })
    yield* links(sent.counts.published)
    yield* dropped(sent.counts.dropped)
  })

/** Says them at every scrape of this node. */
export const layerBusMetrics = Layer.effectDiscard(
  Effect.gen(function* () {
    yield* addMetricSource(record(yield* NatsBus))
  })
)
