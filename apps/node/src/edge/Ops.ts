/**
 * From frame to op: state, rate, schema, then the op's own file. What is refused is answered; who goes on after many
 * refusals is closed as a flood. Plain TypeScript on the hot path: bench `send`.
 */
import type { Op, OpName } from "@parley/protocol/Frame"
import type { Connection } from "./Connection.ts"
import { earlyFramesMax } from "./Connection.ts"
import { answerFailure, type EdgeRuntime } from "./EdgeRuntime.ts"
import { decodeOp, type Frame, isOp, parseFrame } from "./Frames.ts"
import { hello, refreshToken } from "./ops/Hello.ts"
import { background, ping, presenceSet, presenceWatch, typing, unwatch, watch } from "./ops/Live.ts"
import { mutate } from "./ops/Mutations.ts"
import { delivered, history, markUnread, read } from "./ops/Reading.ts"
import { sync } from "./ops/Sync.ts"
import { bucketKey, type OpClass, takeToken } from "./RateLimit.ts"

/** What an op counts as; null: the connection's own frame rate is enough. */
const opClasses: Readonly<Record<OpName, OpClass | null>> = {
  hello: "read",
  ping: null,
  sync: "read",
  watch: "read",
  unwatch: null,
  send: "send",
  edit: "send",
  delete: "mutate",
  delivered: null,
  read: "read",
  mark_unread: "mutate",
  typing: "ephemeral",
  presence_set: "ephemeral",
  presence_watch: "read",
  foreground: "ephemeral",
  background: "ephemeral",
  create: "mutate",
  update: "mutate",
  join: "mutate",
  leave: "mutate",
  add_members: "mutate",
  remove_members: "mutate",
  history: "read"
}

/** Takes one text message of a connection's socket. */
export const receive = (edge: EdgeRuntime, connection: Connection, text: string): void => {
  if (connection.state === "closed") return
  connection.heardAt = edge.heartbeats.now
  connection.pinged = false
  const parsed = parseFrame(text)
  if (parsed._tag === "Malformed") return edge.close(connection, "malformed")
  const { state } = connection
  if (state === "live") return dispatch(edge, connection, parsed)
  if (state === "opening") return waitForHello(edge, connection, parsed)
  if (parsed.op !== "hello") return edge.close(connection, "malformed")
  const decoded = decodeOp("hello", parsed.value)
  if ("frame" in decoded && decoded.frame.op === "hello") return hello(edge, connection, decoded.frame, takeEarly(edge))
  if ("failure" in decoded) answerFailure(edge, connection, parsed.id, decoded.failure)
  edge.close(connection, "malformed")
}

/** A client may send on at once; a few frames wait. */
const waitForHello = (edge: EdgeRuntime, connection: Connection, parsed: Frame): void => {
  connection.early ??= []
  if (connection.early.length >= earlyFramesMax) edge.close(connection, "flood")
  else connection.early.push(parsed)
}

const takeEarly =
  (edge: EdgeRuntime) =>
  (connection: Connection): void => {
    const { early } = connection
    connection.early = null
    for (const frame of early ?? []) if (connection.state === "live") dispatch(edge, connection, frame)
  }

const dispatch = (edge: EdgeRuntime, connection: Connection, parsed: Frame): void => {
  const { id, op, value } = parsed
  const now = performance.now()
  const next = takeToken(connection.nextFrameAt, now, edge.frameRate)
  if (next < 0) return refuseRate(edge, connection, id, -next)
  connection.nextFrameAt = next
  if (!isOp(op)) return answerFailure(edge, connection, id, { code: "unknown_op" })
  const opClass = opClasses[op]
  if (opClass !== null) {
    const waitMs = edge.rateTable.take(bucketKey(opClass, connection.user), now, edge.opRates[opClass])
    if (waitMs > 0) return refuseRate(edge, connection, id, waitMs)
    if ((opClass === "send" || opClass === "mutate") && edge.lag.overloaded) {
      return answerFailure(edge, connection, id, { code: "overloaded", retry_after_ms: edge.lag.retryAfterMs })
    }
  }
  connection.strikes = 0
  const decoded = decodeOp(op, value)
  if ("failure" in decoded) answerFailure(edge, connection, id, decoded.failure)
  else {
    edge.opsDone.set(op, (edge.opsDone.get(op) ?? 0) + 1)
    perform(edge, connection, decoded.frame, parsed.text)
  }
}

const refuseRate = (edge: EdgeRuntime, connection: Connection, id: number, waitMs: number): void => {
  if (++connection.strikes > edge.settings.floodStrikesMax) return edge.close(connection, "flood")
  answerFailure(edge, connection, id, { code: "rate_limited", retry_after_ms: waitMs })
}

const perform = (edge: EdgeRuntime, connection: Connection, frame: Op, text: string): void => {
  switch (frame.op) {
    case "send":
    case "edit":
    case "delete":
    case "create":
    case "update":
    case "join":
    case "leave":
    case "add_members":
    case "remove_members":
      return mutate(edge, connection, frame)
    case "hello":
      return refreshToken(edge, connection, frame)
    case "ping":
      return ping(edge, connection, frame)
    case "sync":
      return sync(edge, connection, frame, text)
    case "watch":
      return watch(edge, connection, frame)
    case "unwatch":
      return unwatch(edge, connection, frame)
    case "read":
      return read(edge, connection, frame)
    case "mark_unread":
      return markUnread(edge, connection, frame)
    case "history":
      return history(edge, connection, frame)
    case "typing":
      return typing(edge, connection, frame)
    case "presence_set":
      return presenceSet(edge, connection, frame)
    case "presence_watch":
      return presenceWatch(edge, connection, frame)
    case "foreground":
    case "background":
      return background(edge, connection, frame)
    case "delivered":
      return delivered(edge, connection, frame)
  }
}
