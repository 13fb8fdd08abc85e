/**
 * The channel entity's thin shell: takes requests in turn, asks the pure state, performs what it answers. Nothing is
 * answered or shown before its event is committed (DURABLE-BEFORE-ACK); epoch and lease are checked at every step, also
 * after a wait for the store (†18). Plain TypeScript: bench `send`.
 */
import type { ApiFailure } from "@parley/protocol/ApiError"
import { toWire } from "@parley/protocol/WireText"
import { apply, ChannelState, commit, decide, followUp, type Known } from "../channel/ChannelState.ts"
import { expireTyping, stopTyping, typing } from "../channel/Typing.ts"
import { ChannelReceipts } from "./ChannelReceipts.ts"
import { readHistory } from "./ChannelHistory.ts"
import { channelLimits, forgetIds, loadChannel } from "./ChannelLoader.ts"
import { syncChannel, syncNow, unreadCounts, withStay } from "./ChannelSync.ts"
import { inspectChannel } from "./Inspect.ts"
import type { Attached, Caller, ChannelAck, ChannelRequest, SyncResult, TopicName } from "./OwnerProtocol.ts"
import { channelTopic } from "./OwnerProtocol.ts"
import { type PendingEvent, refuse, type Resident, Residents, type WakeDepth } from "./Residents.ts"
import type { Reply, ShardOwner } from "./ShardOwner.ts"
import { afterOwnAdditions } from "./OwnAdditions.ts"
import { RefusedIds } from "./RefusedIds.ts"
import { findKnown, learnMembers, storeReaches, whenStoreReady } from "./StoreLookups.ts"
import { behind, withTail } from "./TailFill.ts"

export type ResidentChannel = Resident<ChannelState>

/** Looks into the store for one mutation: its id, its target, its members; more would be a loop. */
const lookupsMax = 4

type Mutate = ChannelRequest & { readonly _tag: "Mutate" }

const noCaller: Caller = { user: "", device: "", connection: 0, edge: "" }

export class ChannelHandler {
  readonly owner: ShardOwner
  readonly residents: Residents<ChannelState>
  readonly receipts: ChannelReceipts
  readonly #refused = new RefusedIds()
  /** Channels that may have typing signs: few of all that are resident. */
  readonly #typedIn = new Set<string>()

  constructor(owner: ShardOwner) {
    this.owner = owner
    this.receipts = new ChannelReceipts(owner)
    const { bounds } = owner.context
    this.residents = new Residents<ChannelState>({
      memory: owner.memory,
      decode: (_id, bytes) => {
        const state = ChannelState.decode(bytes, channelLimits(bounds))
        if (owner.context.forgetIds) forgetIds(state)
        return state
      },
      load: (id, depth, done) => loadChannel(owner, id, depth, done),
      stored: (id) => owner.stored("channel", id),
      storeReady: () => owner.storeReady
    })
  }

  request(request: ChannelRequest, reply: Reply, notMine: () => void): void {
    const fail = (failure: ApiFailure) => reply({ failure })
    if (request._tag === "Sync") {
      this.#sync(request, reply, notMine)
      return
    }
    const channel = request._tag === "Mutate" ? request.mutation.channel : request.channel
    const step = (resident: ResidentChannel, state: ChannelState) => {
      // Reads may have waited for the store: by then it may be somebody else's to answer (†18).
      const answer: Reply = (result) => (this.owner.serving ? reply(result) : notMine())
      switch (request._tag) {
        case "Mutate":
          return this.#mutate(resident, state, request, {}, 0, reply, notMine)
        case "History":
          return readHistory(this.owner, state, request, answer)
        case "Unread":
          return this.#unread(state, request, answer)
        case "Typing":
          return this.#typing(state, request, answer)
        case "Receipt":
          return this.#receipt(state, request, answer)
        case "Members":
          return this.#members(state, request, answer)
        case "InspectChannel":
          return withTail(this.owner, state, state.tailFrom, () =>
            answer({ ok: inspectChannel(this.owner, resident, state, request.payloads) })
          )
      }
    }
    this.#turn(channel, notMine, fail, step, depthOf(request))
  }

  /** Delivers and commits one event; its waiters are told by the owner. */
  committed(pending: PendingEvent): void {
    const { entry } = pending
    const resident = this.residents.peek(entry.id)
    if (resident?.state === undefined) return
    commit(resident.state, entry.seq)
    // His message ends his sign for everybody; the next one is news again.
    if (entry.kind === "message") stopTyping(resident.state, entry.by)
    this.residents.touch(resident)
    const topic = channelTopic(entry.id)
    if (!this.owner.interest.wanted(topic)) return
    this.owner.publish({
      _tag: "Event",
      topic,
      from: entry.seq - 1,
      to: entry.seq,
      body: entry.body,
      kind: entry.kind,
      originEdge: pending.originEdge,
      originConnection: pending.originConnection,
      members: changedMembers(entry.kind, entry.body),
      readFanout: resident.state.fanout === "read"
    })
  }

  setFloor(channel: string, seq: number): void {
    const resident = this.residents.peek(channel)
    if (resident?.state === undefined) return
    resident.state.setFloor(seq)
    this.residents.touch(resident)
  }

  /** Undefined: it can't be said now, which is no denial. */
  authorise(
    topic: TopicName,
    channel: string,
    users: ReadonlyArray<string>,
    done: (answer: Attached["topics"][number] | undefined) => void
  ): void {
    const none = { topic, head: 0, generation: 0, denied: users }
    this.#turn(
      channel,
      () => done(undefined),
      () => done(undefined),
      (_resident, state) => {
        const answer = (denied: ReadonlyArray<string>) =>
          done({ topic, head: state.committedSeq, generation: state.generation, denied })
        // Who is known to be in needs no look at his past: a herd that comes back asks this half a million times.
        if (state.exists && users.every((user) => state.isMember(user) === true)) return answer(nobody)
        afterOwnAdditions(this.owner, channel, users, (settled) => {
          if (!settled) return done(undefined)
          if (!state.exists) return done(none)
          learnMembers(this.owner, state, users, (known) => {
            if (known) answer(users.filter((user) => state.isMember(user) !== true))
            else done(undefined)
          })
        })
      }
    )
  }

  tick(): void {
    this.residents.rest()
    const now = this.owner.context.now()
    for (const channel of this.#typedIn) {
      const state = this.residents.peek(channel)?.state
      if (state !== undefined) {
        for (const user of expireTyping(state, now)) this.#showTyping(state, user, noCaller, false)
      }
      if (state === undefined || state.typing === undefined) this.#typedIn.delete(channel)
    }
  }

  #turn(
    channel: string,
    notMine: () => void,
    fail: (failure: ApiFailure) => void,
    step: (resident: ResidentChannel, state: ChannelState) => void,
    depth?: WakeDepth
  ): void {
    // What is in memory was asked for before.
    if (this.residents.peek(channel) === undefined && !this.owner.has(channel)) return notMine()
    this.residents.turn(
      channel,
      (resident) => {
        if (!this.owner.serving) return notMine()
        if (resident.state !== undefined) step(resident, resident.state)
      },
      (why) => {
        // It may have waited for the store until it was somebody else's (†18).
        if (!this.owner.serving) notMine()
        else fail({ code: why === "full" ? "overloaded" : "unavailable" })
      },
      depth
    )
  }

  #mutateLater(waiting: ChannelState, request: Mutate, lookups: number, reply: Reply, notMine: () => void): void {
    const fail = (failure: ApiFailure) => reply({ failure })
    const again = (resident: ResidentChannel, state: ChannelState) =>
      this.#mutate(resident, state, request, {}, lookups, reply, notMine)
    whenStoreReady(
      this.owner,
      (ready) => {
        if (ready) this.#turn(waiting.channel, notMine, fail, again)
        else if (this.owner.serving) fail({ code: "unavailable" })
        else notMine()
      },
      waiting
    )
  }

  #mutate(
    resident: ResidentChannel,
    state: ChannelState,
    request: Mutate,
    known: Known,
    lookups: number,
    reply: Reply,
    notMine: () => void
  ): void {
    if (!this.owner.serving) return notMine()
    const { admin, caller, mutation } = request
    const now = this.owner.context.now()
    const decision = decide(state, caller, admin, mutation, now, known)
    switch (decision._tag) {
      case "Reject":
        return refuse(resident, decision.failure, (answer) => {
          this.#refused.answered(caller.user, mutation.cid, answer.failure)
          reply(answer)
        })
      case "Duplicate":
        return this.#repeat(resident, decision, reply)
      case "Need": {
        if (lookups >= lookupsMax) return reply({ failure: { code: "unavailable" } })
        // The others do not wait for a store that only this one needs, and that may be away.
        if (!storeReaches(this.owner, state)) return this.#mutateLater(state, request, lookups + 1, reply, notMine)
        this.residents.hold(resident)
        return findKnown(this.owner, state, decision, known, (found) => {
          if (found === undefined) reply({ failure: { code: "unavailable" } })
          else this.#mutate(resident, state, request, found, lookups + 1, reply, notMine)
          this.residents.release(resident)
        })
      }
      case "Accept": {
        const refused = this.#refused.of(caller.user, mutation.cid)
        if (refused !== undefined) return reply({ failure: refused })
        const { entry } = decision
        const ack: ChannelAck = { seq: entry.seq, n: entry.n, at: entry.at, generation: entry.generation }
        const undo = apply(state, entry)
        this.owner.propose(resident, entry, undo, caller, (failure) =>
          reply(failure === undefined ? { ok: ack } : { failure })
        )
        const follow = followUp(state, now)
        if (follow !== undefined) this.owner.propose(resident, follow, apply(state, follow), noCaller, ignore)
      }
    }
  }

  /** The ack of the first try, once its event is committed. */
  #repeat(
    resident: ResidentChannel,
    first: { readonly seq: number; readonly ack: ChannelAck; readonly committed: boolean },
    reply: Reply
  ): void {
    const pending = first.committed ? undefined : resident.pending.find((p) => p.entry.seq === first.seq)
    if (pending === undefined) return reply({ ok: first.ack })
    pending.waiters.push((failure) => reply(failure === undefined ? { ok: first.ack } : { failure }))
  }

  #sync(request: ChannelRequest & { readonly _tag: "Sync" }, reply: Reply, notMine: () => void): void {
    const { eventsMax, items, user } = request
    const residents = items.map((item) => this.residents.ready(item.channel))
    const states = residents.map((resident) => resident?.state)
    const left: Array<number> = []
    const results = syncNow(states, user, items, eventsMax).map((result, place) => {
      const resident = residents[place]
      // Those that have to wait for something take their place when they have it.
      if (result === undefined) left.push(place)
      else if (resident !== undefined) this.residents.use(resident)
      return result ?? unanswered
    })
    // Nobody waited since the lease was looked at (†18).
    if (left.length === 0) return reply({ ok: results })
    this.#syncLater(request, results, left, reply, notMine)
  }

  #syncLater(
    { eventsMax, items, user }: ChannelRequest & { readonly _tag: "Sync" },
    results: Array<SyncResult>,
    places: ReadonlyArray<number>,
    reply: Reply,
    notMine: () => void
  ): void {
    let left = places.length
    let moved = false
    for (const place of places) {
      const item = items[place]
      if (item === undefined) continue
      const { channel } = item
      const put = (result: SyncResult) => {
        results[place] = result
        if (--left > 0) return
        if (moved || !this.owner.serving) notMine()
        else reply({ ok: results })
      }
      const gone = () => {
        moved = true
        put({ _tag: "Failed", channel, failure: { code: "moved" } })
      }
      this.#turn(
        channel,
        gone,
        (failure) => put({ _tag: "Failed", channel, failure }),
        (_resident, state) =>
          withTail(this.owner, state, behind(state, user, item), () =>
            syncChannel(this.owner, state, user, item, eventsMax, put)
          )
      )
    }
  }

  #unread(state: ChannelState, request: ChannelRequest & { readonly _tag: "Unread" }, reply: Reply): void {
    this.#asMember(state, request.user, reply, () => {
      const { seq } = request.cursor
      if (seq > state.committedSeq) {
        return reply({
          failure: { code: "invalid", detail: `seq ${seq} is past the channel's head, ${state.committedSeq}` }
        })
      }
      withTail(this.owner, state, Math.max(seq, state.readableAfter(request.user)), () =>
        unreadCounts(this.owner, state, request.user, seq, (counts) =>
          reply(counts === undefined ? { failure: { code: "unavailable" } } : { ok: counts })
        )
      )
    })
  }

  #receipt(state: ChannelState, request: ChannelRequest & { readonly _tag: "Receipt" }, reply: Reply): void {
    this.#asMember(state, request.caller.user, reply, () => {
      this.receipts.take(state, request.caller, request.delivered, request.read)
      reply({ ok: {} })
    })
  }

  #typing(state: ChannelState, request: ChannelRequest & { readonly _tag: "Typing" }, reply: Reply): void {
    const { caller, on } = request
    this.#asMember(state, caller.user, reply, () => {
      if (on) this.#typedIn.add(state.channel)
      if (typing(state, caller.user, on, this.owner.context.now())) this.#showTyping(state, caller.user, caller, on)
      reply({ ok: {} })
    })
  }

  /** Goes on only for one who is in; to others the channel does not exist. */
  #asMember(state: ChannelState, user: string, reply: Reply, go: () => void): void {
    withStay(this.owner, state, user, (stay) => {
      if (stay === undefined) reply({ failure: { code: "unavailable" } })
      else if (stay === null || stay.to !== null) reply({ failure: { code: "not_found" } })
      else go()
    })
  }

  #showTyping(state: ChannelState, user: string, caller: Caller, on: boolean): void {
    const { channel } = state
    const frame = toWire(JSON.stringify({ ev: "typing", channel, user, on, ttl_ms: state.limits.typingTtlMs }))
    this.owner.publish({
      _tag: "Ephemeral",
      topic: channelTopic(channel),
      frame,
      exceptUser: user,
      exceptConnection: caller.connection
    })
  }

  #members(state: ChannelState, request: ChannelRequest & { readonly _tag: "Members" }, reply: Reply): void {
    const page = () => {
      const here = state.memberPage(request.afterUser, request.limit)
      if (here !== undefined) return reply({ ok: here })
      const { directory } = this.owner.context.stores
      this.owner.context.run(directory.members(state.channel, request.afterUser, request.limit), (result) =>
        reply(
          "ok" in result ? { ok: result.ok.filter((stay) => stay.to === null) } : { failure: { code: "unavailable" } }
        )
      )
    }
    if (!request.admin) return this.#asMember(state, request.user, reply, page)
    if (state.exists) page()
    else reply({ failure: { code: "not_found" } })
  }
}

/** What needs members and the newest event only, which is most of what is asked of a channel that nobody has open. */
const depthOf = (request: ChannelRequest): WakeDepth =>
  request._tag === "Typing" ||
  request._tag === "Receipt" ||
  (request._tag === "Mutate" && request.mutation.op === "send")
    ? "head"
    : "tail"

const ignore = () => {}

/** Stands in a sync's answer until the channel's own is there. */
const unanswered: SyncResult = { _tag: "Failed", channel: "", failure: { code: "unavailable" } }

const nobody: ReadonlyArray<string> = []

/** Whom a membership event is about: edges take connections on and off exactly at its seq. */
const changedMembers = (kind: string, body: string): ReadonlyArray<string> => {
  if (kind !== "added" && kind !== "removed" && kind !== "created") return nobody
  // Our own encoding of an AddedEvent, RemovedEvent or CreatedEvent; ids are ASCII.
  const { members } = JSON.parse(body) as { readonly members: ReadonlyArray<string> }
  return members
}
