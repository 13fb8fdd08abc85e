/**
 * The caller's side of calls over core NATS. What is asked of one runner in one turn of the event loop goes as one
 * message to the runner's subject, each part naming shard and epoch; answers come to one inbox a process. A call is
 * repeated, as it was, whenever its owner turns out to be another one (not mine, nobody listens, a newer announcement),
 * and when no answer comes within `ownerTryMsMax`: mutations have one effect by their client id, everything else only
 * reads or sets absolute values, and a runner takes no notice of a call that it is still working on. It calls back
 * exactly once: with an answer, or after `ownerRetryMsMax` with "moved". Plain TypeScript: bench `remotecalls`.
 */
import type { Attach, Attached, Detach, OwnerReply, OwnerRequest } from "../owner/OwnerProtocol.ts"
import { ownerRetryMsMax } from "../owner/OwnerCalls.ts"
import { Batch } from "./Batch.ts"
import type { ByteReader } from "./codec/ByteReader.ts"
import { openMessage, messageKinds, readParts } from "./codec/Envelope.ts"
import {
  readAnswered,
  writeAskedAttach,
  writeAskedDetach,
  writeAskedRequest,
  writeResend,
  writeWho
} from "./codec/CallCodec.ts"
import { readAnswer } from "./codec/ReplyCodec.ts"
import { Fragments } from "./Fragments.ts"
import type { NatsOutbound } from "./NatsOutbound.ts"
import type { OwnerDirectory } from "./OwnerDirectory.ts"
import { OwnerMap, type Route } from "./OwnerMap.ts"
import type { Subjects } from "./Subjects.ts"
import { WaitingCalls } from "./WaitingCalls.ts"

/** Calls of one process that have no answer yet; beyond them "overloaded" is answered at once. */
export const callsInFlightMax = 16_384
/**
 * How long one try waits for its answer. Well above a commit at the worst of times, for a repetition costs; well below
 * what clients wait, for an owner that was cut off or stopped answers nothing.
 */
export const ownerTryMsMax = 2_000
/** Between two looks at what waits, while something does. */
const tickMs = 25

const overloaded = { failure: { code: "overloaded" } } as const
const moved = { failure: { code: "moved" } } as const

type Reply = (reply: OwnerReply<unknown>) => void

/** What it carries is let go of when it ends: an old table of the Map it was in may keep it (as `Pending` says). */
export interface Call {
  readonly id: number
  readonly shard: number
  request: OwnerRequest | undefined
  attach: Attach | undefined
  /** Undefined: it has ended. */
  reply: Reply | undefined
  readonly deadline: number
  /** Whom it was sent to last, and when. */
  route: Route | undefined
  sentAt: number
}

interface Peer {
  readonly runner: string
  readonly inbox: string
  readonly batch: Batch
}

export interface NatsCallsOptions {
  /** Of the node, and of this process of it, since this start: where answers come to. */
  readonly node: string
  readonly process: string
  readonly shardCount: number
  readonly subjects: Subjects
  readonly outbound: NatsOutbound
  readonly directory: OwnerDirectory["Service"]
  readonly callsInFlightMax?: number
  readonly tryMsMax?: number
  readonly retryMsMax?: number
}

export class NatsCalls {
  readonly owners: OwnerMap
  readonly #options: NatsCallsOptions
  readonly #inFlightMax: number
  readonly #tryMsMax: number
  readonly #retryMsMax: number
  readonly #calls = new Map<number, Call>()
  readonly #waiting: WaitingCalls
  readonly #fragments = new Fragments()
  readonly #peers = new Map<string, Peer>()
  readonly #peersByInbox = new Map<string, Peer>()
  /** Shards whose route has changed in this turn. */
  readonly #rerouted = new Set<number>()
  #timer: NodeJS.Timeout | undefined = undefined
  #nextId = 1
  /** Since the start, for metrics. */
  readonly counts = { refused: 0, unanswered: 0, unreachable: 0, overloaded: 0, unreadable: 0 }

  constructor(options: NatsCallsOptions) {
    this.#options = options
    this.#inFlightMax = options.callsInFlightMax ?? callsInFlightMax
    this.#tryMsMax = options.tryMsMax ?? ownerTryMsMax
    this.#retryMsMax = options.retryMsMax ?? ownerRetryMsMax
    this.owners = new OwnerMap({
      shardCount: options.shardCount,
      directory: options.directory,
      onRoute: (shard) => this.#reroute(shard)
    })
    this.#waiting = new WaitingCalls({
      owners: this.owners,
      send: (call) => this.#send(call),
      askWho: (runner, shard) => {
        this.#write(runner, (to) => writeWho(to, shard))
      }
    })
  }

  get inFlight(): number {
    return this.#calls.size
  }

  request(shard: number, request: OwnerRequest, reply: Reply): void {
    const route = this.owners.routeOf(shard)
    // Nearly always so where one process has all roles: a function call, and nothing to remember.
    if (route?.local === undefined || this.#waiting.has(shard)) return this.#begin(shard, request, undefined, reply)
    const again = () => {
      this.counts.refused++
      this.owners.refused(shard, route, 0)
      this.#begin(shard, request, undefined, reply)
    }
    route.local.request(shard, route.epoch, request, (result) => (isMoved(result) ? again() : reply(result)), again)
  }

  attach(attach: Attach, reply: (reply: OwnerReply<Attached>) => void): void {
    // Reason for `as`: an attach is answered by what an attach is answered with.
    this.#begin(attach.shard, undefined, attach, reply as Reply)
  }

  /** May be lost: the next heartbeat's digest tells. */
  detach(detach: Detach): void {
    const route = this.owners.routeOf(detach.shard)
    if (route?.local !== undefined) route.local.detach(detach)
    else if (route !== undefined) this.#write(route.runner, (to) => writeAskedDetach(to, detach))
  }

  resend(runner: string, start: number, edge: string, from: number): void {
    this.#write(runner, (to) => writeResend(to, start, edge, from))
  }

  /** A message to this process's inbox; `unheard`: the server says that nobody listens where this went. */
  receive(subject: string, bytes: Uint8Array, unheard: boolean): void {
    const peer = this.#peersByInbox.get(subject)
    if (peer === undefined) return
    if (unheard) {
      this.counts.unreachable++
      this.#unreachable(peer)
      return
    }
    const message = this.#fragments.join(bytes)
    if (message === undefined) return
    const opened = openMessage(message)
    if (opened._tag !== "Message" || opened.kind !== messageKinds.replies) this.counts.unreadable++
    else
      readParts(
        opened.reader,
        (part) => this.#answered(peer.runner, part),
        () => void this.counts.unreadable++
      )
  }

  /** The connection was away: what was under way may be lost. */
  reconnected(): void {
    for (const call of this.#calls.values()) if (call.route?.local === undefined) this.#sendAgain(call)
  }

  stop(): void {
    this.owners.stop()
    clearTimeout(this.#timer)
    this.#waiting.clear()
    for (const call of this.#calls.values()) this.#finish(call, moved)
  }

  #begin(shard: number, request: OwnerRequest | undefined, attach: Attach | undefined, reply: Reply): void {
    if (this.#calls.size >= this.#inFlightMax) {
      this.counts.overloaded++
      return reply(overloaded)
    }
    const now = performance.now()
    const deadline = now + this.#retryMsMax
    const call: Call = { id: this.#nextId++, shard, request, attach, reply, deadline, route: undefined, sentAt: now }
    this.#calls.set(call.id, call)
    this.#arm()
    this.#send(call)
  }

  /** To the shard's owner; behind those that wait for one. */
  #send(call: Call): void {
    const route = this.#waiting.has(call.shard) ? undefined : this.owners.routeOf(call.shard)
    call.route = route
    if (route === undefined) this.#waiting.add(call)
    else if (route.local !== undefined) this.#sendHere(call, route)
    else {
      call.sentAt = performance.now()
      this.#write(route.runner, (to) => {
        if (call.attach !== undefined) writeAskedAttach(to, call.id, route.epoch, call.attach)
        else if (call.request !== undefined) writeAskedRequest(to, call.id, call.shard, route.epoch, call.request)
      })
    }
  }

  #sendHere(call: Call, route: Route): void {
    const { attach, request, shard } = call
    const done = (result: OwnerReply<unknown>) => this.#settle(call, route, result)
    const notMine = () => this.#refused(call, route, 0)
    if (attach !== undefined) route.local?.attach(route.epoch, attach, done, notMine)
    else if (request !== undefined) route.local?.request(shard, route.epoch, request, done, notMine)
  }

  #sendAgain(call: Call): void {
    if (this.#calls.get(call.id) === call && call.route !== undefined) this.#send(call)
  }

  #write(runner: string, write: (to: ReturnType<Batch["open"]>) => void): void {
    const { batch } = this.#peer(runner)
    const writer = batch.open()
    const before = writer.length
    write(writer)
    batch.written(before)
  }

  #answered(runner: string, part: ByteReader): void {
    const answer = readAnswered(part)
    if (answer === undefined || part.failed) return
    if (answer._tag === "Serves") {
      if (answer.serves) this.owners.announced(runner, answer.shard, answer.epoch)
      return
    }
    const call = this.#calls.get(answer.id)
    if (call === undefined) return
    const { request, route } = call
    switch (answer._tag) {
      case "Ok": {
        const ok = request === undefined ? part.fail() : readAnswer(part, request._tag)
        if (!part.failed) this.#finish(call, { ok })
        return
      }
      case "Failure":
        if (route !== undefined) this.#settle(call, route, answer)
        return
      case "Attached":
        return this.#finish(call, { ok: answer.attached })
      case "NotMine":
        if (route?.runner === runner && route.epoch === answer.asked) this.#refused(call, route, answer.epoch)
    }
  }

  /** An owner that was out before it was done says "moved": somebody else will know. */
  #settle(call: Call, route: Route, result: OwnerReply<unknown>): void {
    if (isMoved(result)) this.#refused(call, route, 0)
    else this.#finish(call, "failure" in result ? { failure: result.failure } : result)
  }

  #refused(call: Call, route: Route, epochThere: number): void {
    // It may have been answered, or sent to another one, meanwhile.
    if (this.#calls.get(call.id) !== call || call.route !== route) return
    this.counts.refused++
    this.owners.refused(call.shard, route, epochThere)
    this.#send(call)
  }

  #unreachable({ inbox, runner }: Peer): void {
    // Names of runners are of one start each: nobody is kept for ever.
    this.#peers.delete(runner)
    this.#peersByInbox.delete(inbox)
    this.owners.runnerGone(runner)
    for (const call of this.#calls.values()) {
      if (call.route !== undefined && call.route.local === undefined && call.route.runner === runner) this.#send(call)
    }
  }

  #finish(call: Call, result: OwnerReply<unknown>): void {
    if (!this.#calls.delete(call.id)) return
    const { reply } = call
    call.request = undefined
    call.attach = undefined
    call.reply = undefined
    reply?.(result)
  }

  /** At the end of the turn: announcements come for many shards at once, and calls for one shard keep their order. */
  #reroute(shard: number): void {
    if (this.#rerouted.size === 0) setImmediate(this.#sendRerouted)
    this.#rerouted.add(shard)
  }

  readonly #sendRerouted = (): void => {
    const shards = new Set(this.#rerouted)
    this.#rerouted.clear()
    const waiting = [...shards].flatMap((shard) => this.#waiting.take(shard))
    for (const call of this.#calls.values()) {
      if (call.route === undefined || !shards.has(call.shard)) continue
      if (call.route !== this.owners.routeOf(call.shard)) this.#send(call)
    }
    for (const call of waiting) if (this.#calls.has(call.id)) this.#send(call)
  }

  #arm(): void {
    this.#timer ??= setTimeout(this.#tick, tickMs)
  }

  readonly #tick = (): void => {
    this.#timer = undefined
    const now = performance.now()
    for (const call of this.#calls.values()) {
      if (now >= call.deadline) this.#finish(call, moved)
      else if (call.route !== undefined && call.route.local === undefined && now - call.sentAt >= this.#tryMsMax) {
        this.counts.unanswered++
        this.owners.refresh(call.shard)
        this.#send(call)
      }
    }
    this.#waiting.tick(now)
    if (this.#calls.size > 0) this.#arm()
  }

  #peer(runner: string): Peer {
    let peer = this.#peers.get(runner)
    if (peer === undefined) {
      const { node, outbound, process, subjects } = this.#options
      const inbox = subjects.answers(node, process, runner)
      peer = { runner, inbox, batch: new Batch(outbound, "calls", subjects.run(runner), inbox) }
      this.#peers.set(runner, peer)
      this.#peersByInbox.set(inbox, peer)
    }
    return peer
  }
}

const isMoved = (result: OwnerReply<unknown>): boolean => "failure" in result && result.failure.code === "moved"
