/**
 * Leaving: no new connections, each client told when to move, spread over a window so that they don't arrive elsewhere
 * all at once, then closed with the rest of its wait; past the deadline whatever is left is cut.
 */
import { Duration, Effect } from "effect"
import type { Connection } from "./Connection.ts"
import type { EdgeRuntime } from "./EdgeRuntime.ts"
import { frameOf } from "./Outbound.ts"

/** Steps in which connections are closed. */
const steps = 20
/** A client that is told to go may still take this to come back elsewhere, at random. */
const reconnectMsMax = 1_000
const pollMs = 20

export const drain = Effect.fn("Edge.drain")(function* (edge: EdgeRuntime) {
  const { drainDeadlineMs, drainWindowMs } = edge.settings
  const order = [...edge.connections]
  order.forEach((connection, index) => tell(edge, connection, Math.floor((drainWindowMs * (index + 1)) / order.length)))
  const perStep = Math.ceil(order.length / steps)
  for (let at = 0; at < order.length && edge.connections.size > 0; at += perStep) {
    yield* Effect.sleep(Duration.millis(drainWindowMs / steps))
    for (const connection of order.slice(at, at + perStep)) closeDraining(edge, connection)
  }
  for (const connection of edge.connections) closeDraining(edge, connection)
  yield* waitUntilGone(edge).pipe(
    Effect.timeoutOption(Duration.millis(Math.max(pollMs, drainDeadlineMs - drainWindowMs)))
  )
  for (const connection of edge.connections) connection.socket.destroy()
})

const tell = (edge: EdgeRuntime, connection: Connection, afterMs: number): void => {
  if (connection.state === "live")
    edge.outbound.push(connection, frameOf(`{"ev":"drain","after_ms":${afterMs}}`), false)
}

const closeDraining = (edge: EdgeRuntime, connection: Connection): void =>
  edge.close(connection, "draining", String(Math.floor(Math.random() * reconnectMsMax)))

const waitUntilGone = (edge: EdgeRuntime) =>
  Effect.gen(function* () {
    while (edge.connections.size > 0) yield* Effect.sleep(Duration.millis(pollMs))
  })
