/**
 * Calls between runners' entities over core NATS, for Effect's cluster: inspection and what else is not hot. Hot calls go
 * to a shard's owner by a way of their own. At most once; a caller is told when the runner is not there ("no
 * responders"), has been silent, or has no room, and may call again.
 *
 * A runner's name is new with each start, so nothing meant for an earlier start can reach a later one. Each client of a
 * runner has a subject of its own below its node's, for what comes back, "no responders" included (`Subjects`).
 */
import { type Msg, type NatsConnection, nuid } from "@nats-io/transport-node"
import { Effect, Layer, Option, Queue } from "effect"
import { type RunnerAddress, Runners, ShardingConfig } from "effect/cluster"
import { RpcClient, RpcClientError, RpcMessage, RpcSerialization, RpcServer } from "effect/rpc"
import { subjectsOf } from "./Subjects.ts"

/** Between two looks whether the runner still answers, while calls are under way; and how long it may be silent. */
const pingMs = 1_000
const silenceMsMax = 3_000
/** Messages that wait to be looked at, a runner and a session. */
const inboundMax = 4_096
/** A client that has been silent for so long is gone: its own connections close after three minutes of rest. */
const sessionMsMax = 240_000
const sessionSweepMs = 10_000
/** Clients of one runner at a time: each process has one a runner. */
const sessionsMax = 4_096

export interface NatsTransportOptions {
  /** The connection for calls. */
  readonly connection: NatsConnection
  readonly prefix: string
  /** The node's name, which answers to it have in their subject. */
  readonly node: string
}

const subjectOf = (prefix: string, address: RunnerAddress.RunnerAddress) => subjectsOf(prefix).entities(address.host)

const isNoResponders = (message: Msg) => message.data.length === 0 && message.headers?.code === 503

/** Takes what comes one by one; an answer that can't be read harms nothing but itself. */
const takeAll = (inbound: Queue.Dequeue<Msg>, take: (message: Msg) => Effect.Effect<void>) =>
  Queue.take(inbound).pipe(
    Effect.flatMap((message) =>
      Effect.suspend(() => take(message)).pipe(
        Effect.catchCause((cause) => Effect.logWarning("message between runners not read", cause))
      )
    ),
    Effect.forever,
    Effect.forkScoped
  )

export const layerClientProtocol = ({ connection, node, prefix }: NatsTransportOptions) =>
  Layer.effect(
    Runners.RpcClientProtocol,
    Effect.gen(function* () {
      const serialization = yield* RpcSerialization.RpcSerialization
      const make = (address: RunnerAddress.RunnerAddress) =>
        RpcClient.Protocol.make(
          Effect.fnUntraced(function* (respond) {
            const answers = subjectsOf(prefix).session(node, nuid.next())
            const subject = subjectOf(prefix, address)
            const parser = serialization.makeUnsafe()
            // Which client a request is from: answers may come before its `run` has begun.
            const clientOf = new Map<string | number, number>()
            const inbound = yield* Queue.dropping<Msg>(inboundMax)
            let heardAt = performance.now()

            const send = (message: RpcMessage.FromClientEncoded) =>
              Effect.try({
                try: () => {
                  const bytes = parser.encode(message)
                  if (bytes !== undefined) connection.publish(subject, bytes, { reply: answers })
                },
                catch: (cause) => failure("NATS connection closed", cause)
              })
            const failAll = (why: string) => {
              const clients = new Set(clientOf.values())
              clientOf.clear()
              const error = failure(`${subject}: ${why}`, why)
              return Effect.forEach(clients, (id) => respond(id, { _tag: "ClientProtocolError", error }), {
                discard: true
              })
            }

            const answered = (response: RpcMessage.FromServerEncoded): Effect.Effect<void> => {
              if (response._tag === "Pong") return Effect.void
              if (response._tag === "Defect") return failAll("the runner had no room for the call")
              if (!("requestId" in response)) return Effect.void
              const client = clientOf.get(response.requestId)
              if (client === undefined) return Effect.void
              if (response._tag === "Exit") clientOf.delete(response.requestId)
              return respond(client, response)
            }

            const subscription = connection.subscribe(answers, {
              callback: (error, message) => {
                // What does not fit is an answer lost: silence or a later failure tells its caller.
                if (error === null) Queue.offerUnsafe(inbound, message)
              }
            })
            yield* Effect.addFinalizer(() =>
              Effect.andThen(
                Effect.sync(() => subscription.unsubscribe()),
                Effect.ignore(send(RpcMessage.constEof))
              )
            )
            yield* takeAll(inbound, (message) => {
              if (isNoResponders(message)) return failAll("no such runner")
              heardAt = performance.now()
              // Our own encoding (RpcSerialization).
              const responses = parser.decode(message.data) as ReadonlyArray<RpcMessage.FromServerEncoded>
              return Effect.forEach(responses, answered, { discard: true })
            })
            yield* Effect.suspend(() => {
              const now = performance.now()
              if (clientOf.size === 0) {
                heardAt = now
                return Effect.void
              }
              return now - heardAt > silenceMsMax ? failAll("silent") : Effect.ignore(send(RpcMessage.constPing))
            }).pipe(Effect.delay(pingMs), Effect.forever, Effect.forkScoped)

            return {
              send: (clientId, request) => {
                if (request._tag === "Interrupt") clientOf.delete(request.requestId)
                else if (request._tag === "Request") {
                  if (clientOf.size === 0) heardAt = performance.now()
                  clientOf.set(request.id, clientId)
                }
                return send(request)
              },
              supportsAck: true,
              supportsTransferables: false,
              codecFor: serialization.codecFor
            }
          })
        )
      return Runners.RpcClientProtocol.of({ make, codecFor: serialization.codecFor })
    })
  )

const failure = (message: string, cause: unknown) =>
  new RpcClientError.RpcClientError({ reason: new RpcClientError.RpcClientDefect({ message, cause }) })

interface Session {
  readonly id: number
  readonly answers: string
  readonly parser: RpcSerialization.Parser
  heardAt: number
}

export const layerServerProtocol = ({ connection, prefix }: Omit<NatsTransportOptions, "node">) =>
  Layer.effect(
    RpcServer.Protocol,
    Effect.gen(function* () {
      const serialization = yield* RpcSerialization.RpcSerialization
      const config = yield* ShardingConfig.ShardingConfig
      const subject = subjectOf(prefix, Option.getOrThrow(config.runnerAddress))
      const disconnects = yield* Queue.sliding<number>(sessionsMax)
      const inbound = yield* Queue.dropping<Msg>(inboundMax)
      const sessions = new Map<string, Session>()
      const byId = new Map<number, Session>()
      let nextId = 0

      const forget = (session: Session) => {
        sessions.delete(session.answers)
        byId.delete(session.id)
      }
      const sessionOf = (answers: string): Session | undefined => {
        const known = sessions.get(answers)
        if (known !== undefined || sessions.size >= sessionsMax) return known
        const made: Session = { id: nextId++, answers, parser: serialization.makeUnsafe(), heardAt: 0 }
        sessions.set(answers, made)
        byId.set(made.id, made)
        return made
      }
      const noRoom = (answers: string) => {
        const bytes = serialization.makeUnsafe().encode({ _tag: "Defect", defect: "no room" })
        if (bytes !== undefined) connection.publish(answers, bytes)
      }

      return yield* RpcServer.Protocol.make((request) =>
        Effect.gen(function* () {
          yield* takeAll(inbound, (message) => {
            const session = sessionOf(message.reply ?? "")
            if (session === undefined) return Effect.sync(() => noRoom(message.reply ?? ""))
            session.heardAt = performance.now()
            // Our own encoding (RpcSerialization).
            const requests = session.parser.decode(message.data) as ReadonlyArray<RpcMessage.FromClientEncoded>
            return Effect.forEach(requests, (one) => request(session.id, one), { discard: true })
          })
          yield* Effect.acquireRelease(
            Effect.promise(async () => {
              const subscription = connection.subscribe(subject, {
                callback: (error, message) => {
                  if (error !== null || message.reply === undefined || message.reply === "") return
                  if (!Queue.offerUnsafe(inbound, message)) noRoom(message.reply)
                }
              })
              await connection.flush()
              return subscription
            }),
            (subscription) => Effect.sync(() => subscription.unsubscribe())
          )
          yield* Effect.sync(() => {
            const now = performance.now()
            for (const session of byId.values()) {
              if (now - session.heardAt <= sessionMsMax) continue
              forget(session)
              Queue.offerUnsafe(disconnects, session.id)
            }
          }).pipe(Effect.delay(sessionSweepMs), Effect.forever, Effect.forkScoped)

          return {
            disconnects,
            send: (id, response) =>
              Effect.sync(() => {
                const session = byId.get(id)
                const bytes = session?.parser.encode(response)
                if (session !== undefined && bytes !== undefined) connection.publish(session.answers, bytes)
              }),
            end: (id) =>
              Effect.sync(() => {
                const session = byId.get(id)
                if (session !== undefined) forget(session)
              }),
            clientIds: Effect.sync(() => new Set(byId.keys())),
            initialMessage: Effect.succeedNone,
            supportsAck: true,
            supportsTransferables: false,
            supportsSpanPropagation: true,
            supportsNotifications: true,
            codecFor: serialization.codecFor
          }
        })
      )
    })
  )
