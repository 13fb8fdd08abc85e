/**
 * Makes one edge's parts and ties them together: what an owner's answer to an attach means for a topic, what a personal
 * event means for connections, what starts and stops in which order.
 */
import { Effect, Fiber } from "effect"
import { edgeName } from "@parley/actors/cluster/Subjects"
import type { LinkBus, OwnerCalls } from "@parley/actors/owner/OwnerCalls"
import type { NodeSettings } from "../NodeConfig.ts"
import { nodeName } from "../NodeIdentity.ts"
import { freshStart } from "../NodeStart.ts"
import type { Authentication } from "./Authentication.ts"
import type { Connection } from "./Connection.ts"
import { Connections } from "./Connections.ts"
import { drain } from "./Drain.ts"
import { EdgeLinks } from "./EdgeLinks.ts"
import type { EdgeRuntime } from "./EdgeRuntime.ts"
import { EdgeTopics } from "./EdgeTopics.ts"
import { Heartbeats } from "./Heartbeats.ts"
import { type AttachedTopic, Interest } from "./Interest.ts"
import { joinChannel } from "./Joining.ts"
import { Lag } from "./Lag.ts"
import { pingAfterMs } from "./ops/Hello.ts"
import { watchedUsers } from "./ops/Live.ts"
import { Outbound, pingFrame } from "./Outbound.ts"
import { ask } from "./OwnerAnswers.ts"
import { PresenceReports } from "./PresenceReports.ts"
import { ReadMarks } from "./ReadMarks.ts"
import { RawSockets } from "./RawSockets.ts"
import { type OpRates, ratePerSecond, RateTable } from "./RateLimit.ts"
import type { Personal, Topic } from "./Topic.ts"
import { TopicRepair } from "./TopicRepair.ts"
import { arrivalsMsMax, turnMsMin, Turns } from "./Turns.ts"
import { Upgrade } from "./Upgrade.ts"

/** Interval of the sweep over idle topics and silent links. */
const sweepMs = 1_000

export const assembleEdge = (
  settings: NodeSettings,
  calls: OwnerCalls["Service"],
  bus: LinkBus["Service"],
  authentication: Authentication["Service"],
  start: string = freshStart()
) => {
  // A new name at each start: owners number their links by it from 1.
  const name = edgeName(nodeName(settings), start)
  let isDraining = false
  const lag = new Lag(settings.eventLoopLagMs)
  const close: EdgeRuntime["close"] = (connection, why, reason) => connections.close(connection, why, reason)
  const outbound = new Outbound({
    softBytes: settings.outboundSoftBytes,
    hardBytes: settings.outboundHardBytes,
    onSlow: (connection) => close(connection, "slow_consumer")
  })
  const heartbeats = new Heartbeats({
    helloTimeoutMs: settings.helloTimeoutMs,
    pingAfterMs: pingAfterMs(settings.idleTimeoutMs),
    idleTimeoutMs: settings.idleTimeoutMs,
    now: Date.now,
    ping: (connection) => outbound.push(connection, pingFrame, false),
    close
  })
  const repair = new TopicRepair({ calls, topics: () => topics, close })
  const readMarks = new ReadMarks({ edge: name, calls, now: () => performance.now() })
  const interest: Interest = new Interest({
    edge: name,
    calls,
    onAttached: (answer) => takeAttached(runtime, repair, answer),
    onMoved: (shard) => readMarks.moved(shard),
    topicsOf: (shard) => wantedOf(topics.ofShard(shard))
  })
  const topics: EdgeTopics = new EdgeTopics({
    edge: name,
    outbound,
    shardOf: (id) => calls.shardOf(id),
    detachGraceMs: settings.detachGraceMs,
    close,
    repair: (topic) => repair.start(topic),
    // He may be in again, and his session have said so before the channel's owner knew of either.
    onRemoved: (topic, user, at) => joinChannel(runtime, user, topic.id, at + 1),
    onPersonal: (topic, item) => takePersonal(runtime, topic, item),
    isAsking: (topic) => interest.isAsking(topic.shard, topic.name),
    onDropped: (topic) => interest.unwant(topic.shard, topic.name)
  })
  const presence = new PresenceReports({
    edge: name,
    calls,
    intervalMs: settings.presenceReportMs,
    epochOf: (shard) => interest.epochOf(shard)
  })
  const links = new EdgeLinks({ edge: name, calls, bus, topics, interest })
  const runtime: EdgeRuntime = {
    name,
    settings,
    calls,
    authentication,
    outbound,
    heartbeats,
    topics,
    interest,
    presence,
    readMarks,
    lag,
    turns: new Turns(),
    arrivals: new Turns(() => performance.now(), arrivalsMsMax),
    // Nobody waits for them.
    departures: new Turns(() => performance.now(), turnMsMin),
    close,
    rateTable: new RateTable(settings.rateTableMax),
    opRates: opRatesOf(settings),
    frameRate: ratePerSecond(settings.framesPerSecond, settings.framesPerSecond * burstSeconds),
    connections: new Set<Connection>(),
    opsDone: new Map<string, number>(),
    refusals: new Map<string, number>(),
    now: Date.now,
    authenticated: (connection) => upgrade.leave(connection.address)
  }
  const connections = new Connections({
    edge: () => runtime,
    onUnauthenticatedGone: (address) => upgrade.leave(address)
  })
  const rawSockets = new RawSockets(settings.socketsPerAddressMax, settings.trustedProxies)
  const upgrade = new Upgrade({
    settings,
    rawSockets,
    arrivals: runtime.arrivals,
    lag,
    connectionCount: () => runtime.connections.size,
    draining: () => isDraining,
    handlers: connections.handlers,
    onConnection: (socket, address) => connections.accept(socket, address)
  })
  let sweeper: NodeJS.Timeout | undefined = undefined
  let leaving: Fiber.Fiber<void> | undefined = undefined
  return {
    name,
    runtime,
    upgrade,
    rawSockets,
    connections,
    links,
    draining: () => isDraining,
    start: () => {
      links.start()
      lag.start()
      heartbeats.start()
      presence.start()
      sweeper = setInterval(() => {
        topics.sweep(performance.now())
        links.sweep(performance.now())
        interest.sweep(performance.now())
        readMarks.sweep()
      }, sweepMs).unref()
    },
    leave: () => {
      isDraining = true
      leaving ??= Effect.runFork(drain(runtime))
    },
    comeBack: () => {
      isDraining = false
      const told = leaving
      leaving = undefined
      if (told !== undefined) Effect.runFork(Fiber.interrupt(told))
    },
    stop: Effect.gen(function* () {
      isDraining = true
      if (leaving !== undefined) yield* Fiber.interrupt(leaving)
      yield* drain(runtime)
      presence.flush()
      clearInterval(sweeper)
      presence.stop()
      heartbeats.stop()
      lag.stop()
      interest.stop()
      links.stop()
    })
  }
}

/** A burst, in seconds of a rate. */
const burstSeconds = 2

const opRatesOf = (settings: NodeSettings): OpRates => {
  const rate = (perSecond: number) => ratePerSecond(perSecond, perSecond * burstSeconds)
  return {
    send: rate(settings.sendsPerSecond),
    mutate: rate(settings.mutationsPerSecond),
    read: rate(settings.readsPerSecond),
    ephemeral: rate(settings.ephemeralPerSecond)
  }
}

const wantedOf = function* (topics: Iterable<Topic>) {
  for (const topic of topics) if (topic.size > 0) yield { topic: topic.name, users: topic.users() }
}

/** An owner's answer to an attach: where the topic stands, and who may not have it. */
const takeAttached = (edge: EdgeRuntime, repair: TopicRepair, answer: AttachedTopic): void => {
  const topic = edge.topics.get(answer.topic)
  if (topic === undefined) return
  if (topic.kind === "channel" && answer.denied.length > 0) edge.topics.removeUsers(topic, answer.denied)
  if (!answer.granted) return
  topic.attachedIn = answer.round
  if (topic.kind === "presence") {
    // A new owner of the shard knows no watchers.
    if (answer.again) {
      const users = watchedUsers(edge, topic.shard)
      ask(edge.calls, topic.shard, { _tag: "Watch", shard: topic.shard, edge: edge.name, users }, () => {})
    }
    return
  }
  const { sequence } = topic
  // Nothing of it was shown yet, or nobody was here to be shown what was missing.
  if (sequence.delivered < 0 || topic.size === 0) {
    if (answer.generation !== sequence.generation)
      sequence.restart(answer.generation, sequence.delivered < 0 ? -1 : answer.head)
    // Whoever joins now syncs up to all that came so far. A hole would stay one: nobody is there to repair it for.
    if (topic.size === 0) sequence.pass(answer.head)
    else edge.topics.resume(topic, answer.head)
  } else if (answer.generation !== sequence.generation) repair.giveUp(topic, answer.head, answer.generation)
  else if (answer.again && answer.head > sequence.delivered && !sequence.repairing) {
    sequence.hold()
    repair.start(topic)
  }
}

/** What a personal event means for the user's connections here. */
const takePersonal = (edge: EdgeRuntime, topic: Topic, item: Personal): void => {
  if (item.kind === "added") joinChannel(edge, topic.id, item.channel, item.channelSeq)
  if (item.kind !== "revoked") return
  for (const connection of edge.topics.connectionsOf(topic.id)) {
    if (connection.issuedAt < item.revokedBefore) edge.close(connection, "revoked")
  }
}
