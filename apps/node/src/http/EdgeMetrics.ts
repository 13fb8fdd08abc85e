/**
 * The edge's metrics. The hot path counts in plain fields; they are copied into the registry when somebody asks, so
 * that a frame costs no metric. No user or channel is a label.
 */
import { Effect, Metric } from "effect"
import { Edge } from "../edge/Edge.ts"

const gauge = (name: string, description: string) => Metric.gauge(name, { description })

const connections = gauge("parley_edge_connections", "Open connections.")
const connectionsOpened = gauge("parley_edge_connections_opened_total", "Connections taken since the start.")
const connectionsClosed = gauge("parley_edge_connections_closed_total", "Connections closed since the start, by reason.")
const refused = gauge("parley_edge_handshakes_refused_total", "Handshakes refused since the start, by HTTP status.")
const topics = gauge("parley_edge_topics", "Topics this edge is interested in.")
const frames = gauge("parley_edge_frames_sent_total", "Frames queued for clients since the start.")
const writes = gauge("parley_edge_writes_total", "Writes to sockets since the start; frames a write shows how well they coalesce.")
const bytes = gauge("parley_edge_sent_bytes_total", "Bytes written to sockets since the start.")
const dropped = gauge("parley_edge_ephemeral_dropped_total", "Ephemeral frames dropped for slow clients since the start.")
const lag = gauge("parley_event_loop_lag_seconds", "How late the event loop is.")
const resends = gauge("parley_edge_link_resends_total", "Times an owner was asked for lost link messages.")
const repairs = gauge("parley_edge_link_repairs_total", "Times a link was given up on and its topics compared by head.")

export const recordEdgeMetrics = Effect.fnUntraced(function*() {
  const edge = yield* Edge
  const { outbound, runtime } = { outbound: edge.runtime.outbound, runtime: edge.runtime }
  yield* Metric.update(connections, runtime.connections.size)
  yield* Metric.update(connectionsOpened, edge.connections.opened)
  for (const [reason, count] of edge.connections.closedBy) {
    yield* Metric.update(Metric.withAttributes(connectionsClosed, { reason }), count)
  }
  for (const [status, count] of edge.upgrade.refused) {
    yield* Metric.update(Metric.withAttributes(refused, { status: String(status) }), count)
  }
  yield* Metric.update(topics, runtime.topics.count)
  yield* Metric.update(frames, outbound.frames)
  yield* Metric.update(writes, outbound.writes)
  yield* Metric.update(bytes, outbound.bytes)
  yield* Metric.update(dropped, outbound.ephemeralDropped)
  yield* Metric.update(lag, runtime.lag.lagMs / 1_000)
  yield* Metric.update(resends, edge.links.resends)
  yield* Metric.update(repairs, edge.links.repairs)
})
