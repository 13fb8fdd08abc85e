/**
 * The user session's thin shell. Personal changes are logged and take a user seq; cursors are values, merged by max
 * and written behind to the cursor store, and a session leaves memory only after they are (†5). A user who is only
 * connected has no resident session: his edge holds a small record.
 */
import type { ApiFailure } from "@parley/protocol/ApiError"
import type { WireText } from "@parley/protocol/WireText"
import {
  apply,
  commit,
  decideMarkUnread,
  decideNotice,
  decideRevoke,
  moveCursor,
  readUpTo,
  type SessionDecision,
  SessionState,
  standingOf,
  view
} from "../session/SessionState.ts"
import { inspectSession } from "./Inspect.ts"
import type { Attached, Caller, CursorMoved, LinkItem, SessionRequest, TopicName } from "./OwnerProtocol.ts"
import { userTopic } from "./OwnerProtocol.ts"
import { type PendingEvent, refuse, type Resident, Residents } from "./Residents.ts"
import { loadSession } from "./SessionLoader.ts"
import type { Reply, ShardOwner } from "./ShardOwner.ts"

export type ResidentSession = Resident<SessionState>

/**
 * A cursor has no place in a sequence by which an edge could miss it. So the last one of each user and channel is shown again to
 * each edge that attaches, which it does where a shard came here, and where its interest or a part of the link was
 * lost: for so many ticks at least, half a minute, and for twice as many at most. A next owner does not know what this one
 * showed, perhaps to nobody yet. So he shows what the edges offer again to him (`ReadMarks`), once, even if nothing moves.
 */
export const shownTicksMin = 60
/** In that time; beyond so many none is kept: such a device has it with its next sync. */
const shownMax = 10_000

const noCaller: Caller = { user: "", device: "", connection: 0, edge: "" }

export class SessionHandler {
  readonly owner: ShardOwner
  readonly residents: Residents<SessionState>
  /** Sessions with cursors that the store does not have, and the tick in which they are written. */
  readonly #dirty = new Map<ResidentSession, number>()
  /** Those whose cursors are on their way. */
  readonly #writing = new Set<ResidentSession>()
  /** Topic → channel → the last cursor shown; and those of the time before. */
  #shown = new Map<TopicName, Map<string, LinkItem>>()
  #shownBefore: ReadonlyMap<TopicName, ReadonlyMap<string, LinkItem>> = new Map()
  #shownCount = 0
  #ticks = 0

  constructor(owner: ShardOwner) {
    this.owner = owner
    this.residents = new Residents<SessionState>({
      memory: owner.memory,
      decode: (_id, bytes) => SessionState.decode(bytes),
      load: (id, _depth, done) => loadSession(owner, id, done),
      stored: (id) => owner.stored("user", id),
      storeReady: () => owner.storeReady
    })
  }

  request(request: SessionRequest, reply: Reply, notMine: () => void): void {
    const user = "user" in request ? request.user : request.caller.user
    this.#turn(
      user,
      notMine,
      (failure) => reply({ failure }),
      (resident, state) => {
        const now = this.owner.context.now()
        switch (request._tag) {
          case "Standing":
            return reply({ ok: standingOf(state) })
          case "Open":
            return reply({ ok: view(state, request.after) })
          case "Inbox": {
            const { inbox } = this.owner.context.stores
            return this.owner.context.run(inbox.placesOf(readUpTo(state, request.asOf)), (result) => {
              if (!this.owner.serving) notMine()
              else reply("ok" in result ? { ok: result.ok } : { failure: { code: "unavailable" } })
            })
          }
          case "MoveCursor": {
            const { cursor, moved } = moveCursor(state, request.channel, request.seq, request.generation)
            if (moved) this.#cursorsChanged(resident)
            // An edge offers what another owner took: whether he showed it to all who were to see it nobody knows.
            const offered = cursor.generation === request.generation && cursor.seq === request.seq
            if (moved || (offered && this.#showsFirst(user, request.channel)))
              this.#showCursor(state, request, cursor, request.caller)
            return reply({ ok: { cursor, userSeq: state.committedUserSeq } satisfies CursorMoved })
          }
          case "MarkUnread":
            return this.#decided(
              resident,
              state,
              decideMarkUnread(state, request.caller, request.channel, request.seq, request.cid, now),
              reply,
              (userSeq) => {
                const cursor = state.cursorOf(request.channel)
                this.#cursorsChanged(resident)
                // By the time it is answered, or asked again, it may have been moved on: then the counts are of no cursor.
                const stands = cursor.generation === userSeq && cursor.seq === request.seq
                if (stands) this.#showCursor(state, request, cursor, request.caller)
                return { cursor, userSeq } satisfies CursorMoved
              }
            )
          case "Notice":
            // The member fan-out holds the log until its notices are in: refused, they would keep a full log full.
            return this.#decided(resident, state, decideNotice(state, request, now), reply, () => ({}), true)
          case "Revoke":
            return this.#decided(
              resident,
              state,
              decideRevoke(state, request.before, request.cid, now),
              reply,
              (userSeq) => ({ userSeq })
            )
          case "InspectSession":
            return reply({ ok: inspectSession(this.owner, resident, state, request.payloads) })
        }
      }
    )
  }

  committed(pending: PendingEvent): void {
    const { entry } = pending
    const resident = this.residents.peek(entry.id)
    if (resident?.state === undefined) return
    commit(resident.state, entry.seq)
    this.residents.touch(resident)
    this.#publish(entry.id, entry.seq, entry.kind, `{"ev":"personal","event":${entry.body}}`, entry.body, 0)
  }

  /** An edge wants a user's topic from now on. */
  attached(edge: string, topic: TopicName): void {
    const { links } = this.owner.context
    const shown = this.#shown.get(topic)
    for (const item of shown?.values() ?? []) links.push(edge, item)
    for (const [channel, item] of this.#shownBefore.get(topic) ?? [])
      if (shown?.has(channel) !== true) links.push(edge, item)
  }

  /** Undefined: it can't be said now, which is no denial. */
  authorise(
    topic: TopicName,
    user: string,
    users: ReadonlyArray<string>,
    done: (answer: Attached["topics"][number] | undefined) => void
  ): void {
    const denied = users.filter((other) => other !== user)
    this.#turn(
      user,
      () => done(undefined),
      () => done(undefined),
      (_resident, state) => done({ topic, head: state.committedUserSeq, generation: state.generation, denied })
    )
  }

  /** Writes changed cursors behind; sessions that are done with rest. */
  tick(): void {
    this.residents.rest()
    if (++this.#ticks % shownTicksMin === 0) this.#forgetShown()
    for (const [resident, due] of this.#dirty) if (due <= this.#ticks) this.#writeCursors(resident)
  }

  #forgetShown(): void {
    this.#shownBefore = this.#shown
    this.#shown = new Map()
    this.#shownCount = 0
  }

  /** The shard goes: whatever is not written yet is sent on its way. */
  leave(): void {
    for (const resident of this.#dirty.keys()) this.#writeCursors(resident)
  }

  #writeCursors(resident: ResidentSession): void {
    const { state } = resident
    if (this.#writing.has(resident)) return
    const changed = state?.takeDirtyCursors() ?? []
    if (state === undefined || changed.length === 0) return this.#written(resident)
    const { context } = this.owner
    this.#writing.add(resident)
    context.run(context.stores.cursors.merge(resident.id, changed), (result) => {
      this.#writing.delete(resident)
      // They are values: writing them again later is as good.
      if ("ok" in result) state.cursorsWritten()
      else state.putDirtyCursors(changed.map((cursor) => cursor.channel))
      if (state.hasDirtyCursors) this.#dirty.set(resident, this.#ticks + context.bounds.cursorTicks)
      else this.#written(resident)
    })
  }

  #written(resident: ResidentSession): void {
    resident.dirty = false
    this.#dirty.delete(resident)
  }

  get dirtyCount(): number {
    return this.#dirty.size
  }

  #turn(
    user: string,
    notMine: () => void,
    fail: (failure: ApiFailure) => void,
    step: (resident: ResidentSession, state: SessionState) => void
  ): void {
    // What is in memory was asked for before.
    if (this.residents.peek(user) === undefined && !this.owner.has(user)) return notMine()
    this.residents.turn(
      user,
      (resident) => {
        if (!this.owner.serving) return notMine()
        const { state } = resident
        if (state === undefined) return
        // As of a checkpoint, of an owner who had yet to write them: what leaves memory comes back as the store has it (†5).
        if (state.hasDirtyCursors && !resident.dirty) this.#cursorsChanged(resident)
        step(resident, state)
      },
      (why) => {
        // It may have waited for the store until it was somebody else's (†18).
        if (!this.owner.serving) notMine()
        else fail({ code: why === "full" ? "overloaded" : "unavailable" })
      }
    )
  }

  #decided(
    resident: ResidentSession,
    state: SessionState,
    decision: SessionDecision,
    reply: Reply,
    /** Given the place of the event that was asked for, of its first time if this is a repetition. */
    ok: (userSeq: number) => unknown,
    reserved = false
  ): void {
    switch (decision._tag) {
      case "Reject":
        return refuse(resident, decision.failure, reply)
      case "Nothing":
        return reply({ ok: ok(state.committedUserSeq) })
      case "Duplicate": {
        const { userSeq } = decision
        const pending = resident.pending.find((p) => p.entry.seq === userSeq)
        if (pending === undefined) return reply({ ok: ok(userSeq) })
        pending.waiters.push((failure) => reply(failure === undefined ? { ok: ok(userSeq) } : { failure }))
        return
      }
      case "Accept": {
        const { entry } = decision
        const settle = (failure: ApiFailure | undefined) =>
          reply(failure === undefined ? { ok: ok(entry.seq) } : { failure })
        return this.owner.propose(resident, entry, apply(state, entry), noCaller, settle, reserved)
      }
    }
  }

  #cursorsChanged(resident: ResidentSession): void {
    resident.dirty = true
    if (!this.#dirty.has(resident)) this.#dirty.set(resident, this.#ticks + this.owner.context.bounds.cursorTicks)
  }

  /** Whether it would be the channel's first here, of late. */
  #showsFirst(user: string, channel: string): boolean {
    const topic = userTopic(user)
    const known = [this.#shown, this.#shownBefore].some((shown) => shown.get(topic)?.has(channel) === true)
    return !known && this.#shownCount < shownMax
  }

  #showCursor(
    state: SessionState,
    at: { readonly channel: string; readonly unread: number; readonly mentions: number; readonly head: number },
    cursor: { readonly generation: number; readonly seq: number },
    caller: Caller
  ): void {
    const { channel, head, mentions, unread } = at
    const frame = JSON.stringify({ ev: "cursor", channel, cursor, unread, mentions, head })
    const item = this.#publish(state.user, 0, "cursor", frame, "{}", caller.connection)
    let ofUser = this.#shown.get(item.topic)
    if (ofUser?.has(channel) !== true && this.#shownCount++ >= shownMax) return
    if (ofUser === undefined) this.#shown.set(item.topic, (ofUser = new Map()))
    ofUser.set(channel, item)
  }

  #publish(
    user: string,
    seq: number,
    kind: string,
    frame: WireText,
    body: WireText,
    exceptConnection: number
  ): LinkItem {
    // A UserEvent of our own encoding.
    const event = JSON.parse(body) as { readonly channel?: string; readonly seq?: number; readonly before?: number }
    const item: LinkItem = {
      _tag: "Personal",
      topic: userTopic(user),
      seq,
      kind,
      frame,
      channel: event.channel ?? "",
      channelSeq: event.seq ?? 0,
      exceptConnection,
      revokedBefore: event.before ?? 0
    }
    this.owner.publish(item)
    return item
  }
}
