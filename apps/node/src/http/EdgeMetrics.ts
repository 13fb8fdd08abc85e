/**
 * The edge's metrics. The hot path counts in plain fields; they are copied into the registry when somebody asks, so
 * that a frame costs no metric. No user or channel is a label.
 */
import { Effect, Metric } from "effect"
import { Edge } from "../edge/Edge.ts"
import { gauge, total } from "./MetricKinds.ts"

const connections = gauge("parley_edge_connections", "Open connections.")
const connectionsOpened = total("parley_edge_connections_opened_total", "Connections taken.")
const connectionsClosed = total("parley_edge_connections_closed_total", "Connections closed, by reason.")
const refused = total("parley_edge_handshakes_refused_total", "Handshakes refused, by HTTP status.")
const rawRefused = total(
  "parley_edge_sockets_refused_total",
  "TCP connections refused because their address has too many."
)
const topics = gauge("parley_edge_topics", "Topics this edge is interested in.")
const frames = total("parley_edge_frames_sent_total", "Frames queued for clients.")
const writes = total("parley_edge_writes_total", "Writes to sockets; frames a write shows how well they coalesce.")
const bytes = total("parley_edge_sent_bytes_total", "Bytes written to sockets.")
const dropped = total("parley_edge_ephemeral_dropped_total", "Ephemeral frames dropped for slow clients.")
const lag = gauge("parley_event_loop_lag_seconds", "How late the event loop is.")
const resends = total("parley_edge_link_resends_total", "Times an owner was asked for lost link messages.")
const repairs = total("parley_edge_link_repairs_total", "Times a link was given up on and its topics compared by head.")

const opsDone = total("parley_edge_ops_total", "Ops taken from clients, by name.")
const refusals = total("parley_edge_refusals_total", "Requests of sockets answered with an error, by code.")

export const recordEdgeMetrics = Effect.fnUntraced(function* () {
  const edge = yield* Edge
  const { runtime } = edge
  const { outbound } = runtime
  yield* Metric.update(connections, runtime.connections.size)
  yield* connectionsOpened(edge.connections.opened)
  for (const [reason, count] of edge.connections.closedBy) {
    yield* connectionsClosed(count, { reason })
  }
  for (const [op, count] of runtime.opsDone) yield* opsDone(count, { op })
  for (const [code, count] of runtime.refusals) yield* refusals(count, { code })
  yield* rawRefused(edge.rawSockets.refused)
  for (const [status, count] of edge.upgrade.refused) {
    yield* refused(count, { status: String(status) })
  }
  yield* Metric.update(topics, runtime.topics.count)
  yield* frames(outbound.frames)
  yield* writes(outbound.writes)
  yield* bytes(outbound.bytes)
  yield* dropped(outbound.ephemeralDropped)
  yield* Metric.update(lag, runtime.lag.lagMs / 1_000)
  yield* resends(edge.links.resends)
  yield* repairs(edge.links.repairs)
})
