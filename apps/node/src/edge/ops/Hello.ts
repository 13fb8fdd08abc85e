/**
 * The first op of a connection, and its token's refresh later. Order matters (†8): the user topic is attached before
 * the session is opened, so that no personal event (a revocation least of all) falls between.
 */
import { helloLimits, Limits } from "@parley/protocol/Limits"
import type { Op } from "@parley/protocol/Frame"
import { userTopic } from "@parley/actors/owner/OwnerProtocol"
import type { ApiFailure } from "@parley/protocol/ApiError"
import type { Verified } from "../Authentication.ts"
import { pushAfterHello } from "../ClientRelease.ts"
import type { Connection } from "../Connection.ts"
import { answerFailure, answerOk, type EdgeRuntime } from "../EdgeRuntime.ts"
import { frameOf } from "../Outbound.ts"
import { ask } from "../OwnerAnswers.ts"
import { isServed } from "../Topic.ts"

/** Called once, when the connection is live. */
type OnLive = (connection: Connection) => void

/** The first frame; `onLive` takes up what came meanwhile. */
export const hello = (edge: EdgeRuntime, connection: Connection, frame: Op<"hello">, onLive: OnLive): void => {
  connection.state = "opening"
  // It has done its part: as long as it waits for its turn, it is not late.
  connection.openedAt = Infinity
  const taken = edge.arrivals.run(() => {
    if (connection.state === "closed") return
    connection.openedAt = edge.heartbeats.now
    edge.heartbeats.add(connection)
    verify(edge, connection, frame, onLive)
  })
  if (!taken) edge.close(connection, "overloaded")
}

const verify = (edge: EdgeRuntime, connection: Connection, frame: Op<"hello">, onLive: OnLive): void =>
  edge.authentication.verify(frame.token, (result) => {
    if (connection.state === "closed") return
    if ("failure" in result) return refuse(edge, connection, frame.id, result.failure)
    connection.user = result.ok.user
    connection.device = frame.device
    attachUser(edge, connection, frame.id, result.ok, onLive)
  })

/** Answers, so that the client can show why, and closes. */
const refuse = (edge: EdgeRuntime, connection: Connection, re: number, failure: ApiFailure): void => {
  answerFailure(edge, connection, re, failure)
  const why =
    failure.code === "token_expired"
      ? "token_expired"
      : failure.code === "unauthenticated"
        ? "unauthenticated"
        : "replaced"
  edge.close(connection, why)
}

const attachUser = (
  edge: EdgeRuntime,
  connection: Connection,
  re: number,
  verified: Verified,
  onLive: OnLive
): void => {
  const { user } = verified
  const topic = edge.topics.user(user)
  const open = () => {
    edge.topics.add(topic, connection)
    openSession(edge, connection, re, verified, onLive)
  }
  if ((topic.size > 0 && topic.sequence.delivered >= 0) || isServed(edge.interest, topic)) return open()
  edge.interest.want(topic.shard, userTopic(user), user, (result) => {
    if (connection.state === "closed") return
    if ("failure" in result) return refuse(edge, connection, re, result.failure)
    if (result.denied) return refuse(edge, connection, re, { code: "unavailable" })
    open()
  })
}

const openSession = (
  edge: EdgeRuntime,
  connection: Connection,
  re: number,
  verified: Verified,
  onLive: OnLive
): void => {
  const { user } = verified
  ask(edge.calls, edge.calls.shardOf(user), { _tag: "Standing", user }, (reply) => {
    if (connection.state === "closed") return
    if (!("ok" in reply)) return refuse(edge, connection, re, reply.failure)
    if (reply.ok.revokedBefore > verified.issuedAt) return edge.close(connection, "revoked")
    connection.issuedAt = verified.issuedAt
    connection.expiresAt = verified.expiresAt
    connection.state = "live"
    edge.authenticated(connection)
    connection.heardAt = edge.heartbeats.now
    edge.heartbeats.add(connection)
    edge.presence.came(user, connection.device)
    answerHello(edge, connection, re, reply.ok.position)
    const push = pushAfterHello()
    if (push !== undefined) edge.outbound.push(connection, frameOf(push), true)
    onLive(connection)
  })
}

const answerHello = (
  edge: EdgeRuntime,
  connection: Connection,
  re: number,
  session: { readonly generation: number; readonly seq: number }
): void =>
  answerOk(
    edge,
    connection,
    re,
    // Ids are ASCII without quotes.
    `{"user":"${connection.user}","device":"${connection.device}","server_time":${edge.now()},"heartbeat_ms":${heartbeatMs(
      edge.settings.idleTimeoutMs
    )},"session":{"generation":${session.generation},"seq":${session.seq}},"expires_at":${connection.expiresAt},"limits":${limitsText}}`
  )

const limitsText = JSON.stringify(helloLimits)

/** Silence after which a client pings: the same part of the idle timeout whatever that is. */
export const heartbeatMs = (idleTimeoutMs: number): number =>
  Math.floor((idleTimeoutMs * Limits.heartbeatMs) / Limits.idleTimeoutMs)

/** Silence after which the server does: so late that a client which keeps its own heartbeat is never pinged as well. */
export const pingAfterMs = (idleTimeoutMs: number): number =>
  Math.floor((heartbeatMs(idleTimeoutMs) + idleTimeoutMs) / 2)

/** A hello on a live connection: a newer token of the same user and device. */
export const refreshToken = (edge: EdgeRuntime, connection: Connection, frame: Op<"hello">): void =>
  edge.authentication.verify(frame.token, (result) => {
    if (connection.state === "closed") return
    if ("failure" in result) return answerFailure(edge, connection, frame.id, result.failure)
    if (result.ok.user !== connection.user || frame.device !== connection.device) {
      return answerFailure(edge, connection, frame.id, {
        code: "forbidden",
        detail: "a connection keeps its user and device"
      })
    }
    const { user } = connection
    ask(edge.calls, edge.calls.shardOf(user), { _tag: "Standing", user }, (reply) => {
      if (connection.state === "closed") return
      if (!("ok" in reply)) return answerFailure(edge, connection, frame.id, reply.failure)
      if (reply.ok.revokedBefore > result.ok.issuedAt) return edge.close(connection, "revoked")
      connection.issuedAt = result.ok.issuedAt
      connection.expiresAt = result.ok.expiresAt
      edge.heartbeats.add(connection)
      answerHello(edge, connection, frame.id, reply.ok.position)
    })
  })
