import { UserEvent } from "@parley/protocol/Event"
import { Limits } from "@parley/protocol/Limits"
import { laterCursor } from "@parley/storage/CursorStore"
import { Schema } from "effect"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Entry } from "../../src/log/Entry.ts"
import type { Notice } from "../../src/session/SessionState.ts"
import {
  apply,
  commit,
  decideMarkUnread,
  decideNotice,
  decideRevoke,
  dropMention,
  moveCursor,
  replay,
  type SessionDecision,
  sessionLimits,
  SessionState,
  view
} from "../../src/session/SessionState.ts"
import { decodePersonal, decodeRest, encodeSession, type SessionSnapshot } from "../../src/session/SessionSnapshot.ts"
import { caller, clientId, start } from "../channel/ChannelHarness.ts"

const room = "group:room"
const ann = caller("ann")

const notice = (kind: Notice["kind"], seq: number, channel = room): Notice => ({ kind, channel, seq, by: "ben" })

const entryOf = (decision: SessionDecision): Entry => {
  if (decision._tag !== "Accept") throw new Error(`not accepted: ${JSON.stringify(decision)}`)
  return decision.entry
}
/** Applies and commits what is accepted. */
const take = (state: SessionState, decision: SessionDecision): SessionDecision => {
  if (decision._tag === "Accept") replay(state, decision.entry)
  return decision
}
const noticed = (state: SessionState, ...notices: ReadonlyArray<Notice>): ReadonlyArray<string> =>
  notices.map((next) => take(state, decideNotice(state, next, start))._tag)
const markUnread = (state: SessionState, seq: number, cid: string, now = start): SessionDecision =>
  decideMarkUnread(state, ann, room, seq, cid, now)

/** The logged event of a personal event's body. */
const entryOfBody = (body: string): Entry => {
  // as: the session made it
  const { at, kind, user_seq: seq } = JSON.parse(body) as { at: number; kind: string; user_seq: number }
  return { ...entryOf(decideNotice(SessionState.empty("ann"), notice("added", 1), start)), seq, at, kind, body }
}

const seen = (state: SessionState) => ({
  userSeq: state.userSeq,
  encoded: Buffer.from(state.encode()).toString("latin1"),
  view: view(state, { generation: 1, seq: state.personalFrom })
})

type Step =
  | { readonly _tag: "Notice"; readonly notice: Notice }
  | { readonly _tag: "MarkUnread"; readonly seq: number; readonly id: number }
  | { readonly _tag: "Read"; readonly seq: number }
  | { readonly _tag: "Revoke"; readonly before: number; readonly id: number }

const channel = fc.constantFrom(room, "public:hall")
const kind = fc.constantFrom("added" as const, "removed" as const, "mentioned" as const)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("Notice" as const),
      notice: fc.record({ kind, channel, seq: fc.integer({ min: 1, max: 9 }), by: fc.constant("ben") })
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ _tag: fc.constant("MarkUnread" as const), seq: fc.nat({ max: 9 }), id: fc.nat({ max: 6 }) })
  },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Read" as const), seq: fc.nat({ max: 9 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      _tag: fc.constant("Revoke" as const),
      before: fc.nat({ max: 9 }),
      id: fc.integer({ min: 7, max: 12 })
    })
  }
)

const decideStep = (state: SessionState, next: Step): SessionDecision => {
  switch (next._tag) {
    case "Notice":
      return decideNotice(state, next.notice, start)
    case "MarkUnread":
      return markUnread(state, next.seq, clientId(start, next.id))
    case "Revoke":
      return decideRevoke(state, next.before, clientId(start, next.id), start)
    case "Read":
      moveCursor(state, room, next.seq)
      return { _tag: "Nothing" }
  }
}

describe("a user session", () => {
  it("lists his channels, what he left, and what he missed", () => {
    const state = SessionState.empty("ann")
    noticed(
      state,
      notice("added", 1),
      notice("added", 4, "public:hall"),
      notice("mentioned", 6),
      notice("removed", 9, "public:hall")
    )
    moveCursor(state, room, 5)
    expect(view(state, { generation: 1, seq: 2 })).toEqual({
      position: { generation: 1, seq: 4 },
      reload: false,
      personal: [
        `{"user_seq":3,"at":${start},"kind":"mentioned","channel":"${room}","seq":6,"by":"ben"}`,
        `{"user_seq":4,"at":${start},"kind":"removed","channel":"public:hall","seq":9}`
      ],
      channels: [{ channel: room, cursor: { generation: 0, seq: 5 } }],
      left: [{ channel: "public:hall", seq: 9 }],
      revokedBefore: 0
    })
  })

  it("has a device reload whose position can't be continued (NO-GAP-SYNC)", () => {
    const state = SessionState.empty("ann")
    for (let seq = 1; seq <= sessionLimits.personalEventsMax + 3; seq++) noticed(state, notice("mentioned", seq))
    const reloads = (generation: number, seq: number) => view(state, { generation, seq }).reload
    expect([
      reloads(0, 0),
      reloads(1, 2),
      reloads(1, 3),
      reloads(1, state.userSeq),
      reloads(1, state.userSeq + 1),
      reloads(2, 5)
    ]).toEqual([true, true, false, false, true, true])
    expect(view(state, { generation: 1, seq: 3 }).personal).toHaveLength(sessionLimits.personalEventsMax)
  })

  it("takes each notice once, in whatever order and however often they come (†12)", () => {
    const story = [
      notice("added", 1),
      notice("removed", 4),
      notice("added", 6),
      notice("removed", 8),
      notice("added", 11)
    ]
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...story, ...story, ...story], { minLength: 15 }),
        fc.integer({ min: 1, max: 5 }),
        (notices, length) => {
          const told = notices.filter((next) => story.indexOf(next) < length)
          const state = SessionState.empty("ann")
          noticed(state, ...told)
          const last = story[length - 1]
          expect([...state.channels]).toEqual(last?.kind === "added" ? [[room, last.seq]] : [])
          expect([...state.left]).toEqual(last?.kind === "removed" ? [[room, last.seq]] : [])
          expect(noticed(state, ...told)).toEqual(told.map(() => "Nothing"))
        }
      )
    )
  })

  it("tells one who repeats a notice that is pending to wait for it", () => {
    const state = SessionState.empty("ann")
    const undo = apply(state, entryOf(decideNotice(state, notice("added", 3), start)))
    expect(decideNotice(state, notice("added", 3), start)).toEqual({ _tag: "Duplicate", userSeq: 1, committed: false })
    expect(decideNotice(state, notice("removed", 2), start)._tag).toBe("Nothing")
    undo()
    expect(decideNotice(state, notice("added", 3), start)._tag).toBe("Accept")
  })

  it("shows nothing before it is committed (DURABLE-BEFORE-ACK)", () => {
    const state = SessionState.empty("ann")
    const before = view(state, { generation: 1, seq: 0 })
    apply(state, entryOf(decideNotice(state, notice("added", 3), start)))
    apply(state, entryOf(markUnread(state, 1, clientId(start, 1))))
    apply(state, entryOf(decideRevoke(state, 5, clientId(start, 2), start)))
    expect(view(state, { generation: 1, seq: 0 })).toEqual(before)
    expect(state.hasDirtyCursors).toBe(false)
    commit(state, 3)
    expect(view(state, { generation: 1, seq: 0 })).toMatchObject({
      position: { seq: 3 },
      channels: [{ cursor: { generation: 2, seq: 1 } }],
      revokedBefore: 5
    })
  })

  it("is as before when what was applied is taken back (†20)", () => {
    fc.assert(
      fc.property(fc.array(step), fc.array(step), (steps, more) => {
        const state = SessionState.empty("ann")
        for (const next of steps) take(state, decideStep(state, next))
        const before = seen(state)
        const undos: Array<() => void> = []
        for (const next of more) {
          const decision = next._tag === "Read" ? undefined : decideStep(state, next)
          if (decision?._tag === "Accept") undos.push(apply(state, decision.entry))
        }
        expect(seen(state).encoded).toBe(before.encoded)
        for (const undo of undos.toReversed()) undo()
        expect(seen(state)).toEqual(before)
      })
    )
  })

  it("is the same from its log, and from a snapshot and the later part of it", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.nat({ max: 40 }), (steps, cut) => {
        const state = SessionState.empty("ann")
        const log: Array<Entry> = []
        const pending: Array<Entry> = []
        let snapshot = state.encode()
        steps.forEach((next, index) => {
          if (index === cut) snapshot = state.encode()
          if (next._tag === "Read") return
          const decision = decideStep(state, next)
          if (decision._tag === "Accept") {
            apply(state, decision.entry)
            pending.push(decision.entry)
          }
          if (index % 3 === 0) {
            commit(state, state.userSeq)
            log.push(...pending.splice(0))
          }
        })
        commit(state, state.userSeq)
        log.push(...pending)
        const again = SessionState.empty("ann")
        for (const entry of log) replay(again, entry)
        expect(seen(again)).toEqual(seen(state))
        const later = SessionState.decode(snapshot)
        for (const entry of log) if (entry.seq > later.committedUserSeq) replay(later, entry)
        expect(seen(later)).toEqual(seen(state))
        expect(log.map((entry) => entry.seq)).toEqual(log.map((_, index) => index + 1))
      })
    )
  })

  it("writes bodies that are what the Schema encodes, byte for byte", () => {
    const decode = Schema.decodeUnknownSync(UserEvent)
    const encode = Schema.encodeSync(UserEvent)
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const state = SessionState.empty("ann")
        for (const next of steps) take(state, decideStep(state, next))
        for (const { body } of state.personal) expect(JSON.stringify(encode(decode(JSON.parse(body))))).toBe(body)
      })
    )
  })
})

describe("cursors", () => {
  it("move forward only, and merge by max whatever the order (†5)", () => {
    const position = fc.record({ generation: fc.nat({ max: 2 }), seq: fc.nat({ max: 5 }) })
    fc.assert(
      fc.property(fc.array(position, { minLength: 1 }), (positions) => {
        const state = SessionState.empty("ann")
        for (const next of positions) state.mergeCursor(room, next)
        const largest = positions.reduce(laterCursor, { generation: 0, seq: 0 })
        expect(state.cursorOf(room)).toEqual(largest)
        expect(moveCursor(state, room, largest.seq)).toEqual({ cursor: largest, moved: false })
        expect(moveCursor(state, room, largest.seq + 2)).toEqual({
          cursor: { ...largest, seq: largest.seq + 2 },
          moved: true
        })
      })
    )
  })

  it("stay where an offer is of another generation (†5)", () => {
    const state = SessionState.empty("ann")
    state.mergeCursor(room, { generation: 3, seq: 2 })
    for (const generation of [0, 2, 4])
      expect(moveCursor(state, room, 9, generation)).toEqual({ cursor: { generation: 3, seq: 2 }, moved: false })
    expect(moveCursor(state, room, 9, 3)).toEqual({ cursor: { generation: 3, seq: 9 }, moved: true })
  })

  it("go back by a mark-unread, in a new generation, and not again by its retry (†5)", () => {
    const state = SessionState.empty("ann")
    noticed(state, notice("added", 1))
    moveCursor(state, room, 20)
    const cid = clientId(start, 1)
    take(state, markUnread(state, 8, cid))
    expect(state.cursorOf(room)).toEqual({ generation: 2, seq: 8 })
    moveCursor(state, room, 15)
    expect(take(state, markUnread(state, 8, cid))).toEqual({ _tag: "Duplicate", userSeq: 2, committed: true })
    expect(state.cursorOf(room)).toEqual({ generation: 2, seq: 15 })
    state.mergeCursor(room, { generation: 0, seq: 99 })
    expect(state.cursorOf(room)).toEqual({ generation: 2, seq: 15 })
  })

  it("that were read on since are not set back by a replay of the mark-unread (†5)", () => {
    const state = SessionState.empty("ann")
    const entry = entryOf(markUnread(state, 8, clientId(start, 1)))
    state.mergeCursor(room, { generation: 1, seq: 12 })
    replay(state, entry)
    expect(state.cursorOf(room)).toEqual({ generation: 1, seq: 12 })
  })

  it("are what the store lacks while their write is on its way: who takes over then writes them again (†5)", () => {
    const state = SessionState.empty("ann")
    const next = () =>
      SessionState.decode(state.encode())
        .takeDirtyCursors()
        .map(({ channel }) => channel)
    moveCursor(state, room, 3)
    state.takeDirtyCursors()
    expect(next()).toEqual([room])
    // Moved on meanwhile: what was written is not the newest.
    moveCursor(state, room, 4)
    moveCursor(state, "group:other", 1)
    state.cursorsWritten()
    expect(next()).toEqual([room, "group:other"])
    state.takeDirtyCursors()
    state.cursorsWritten()
    expect(next()).toEqual([])
    expect(state.cursorOf(room).seq).toBe(4)
  })

  it("are handed to the store until it has them (†5)", () => {
    const state = SessionState.empty("ann")
    state.mergeCursor("group:stored", { generation: 0, seq: 4 })
    expect(state.takeDirtyCursors()).toEqual([])
    moveCursor(state, room, 3)
    expect(state.takeDirtyCursors()).toEqual([{ channel: room, position: { generation: 0, seq: 3 } }])
    expect(state.hasDirtyCursors).toBe(false)
    moveCursor(state, room, 5)
    state.putDirtyCursors([room])
    const again = SessionState.decode(state.encode())
    expect(again.takeDirtyCursors()).toEqual([{ channel: room, position: { generation: 0, seq: 5 } }])
    for (let at = 0; at <= sessionLimits.cursorsPerWriteMax; at++) moveCursor(state, `group:${at}`, 1)
    expect(state.takeDirtyCursors()).toHaveLength(sessionLimits.cursorsPerWriteMax)
    expect(state.takeDirtyCursors()).toHaveLength(2)
  })
})

describe("client ids in a session", () => {
  it("are refused when reused, ahead, older than the window, or not to be told from executed ones (†29, †30)", () => {
    const state = SessionState.empty("ann")
    const cid = clientId(start, 1)
    take(state, markUnread(state, 1, cid))
    expect(markUnread(state, 2, cid)).toEqual({ _tag: "Reject", failure: { code: "id_reused" } })
    expect(markUnread(state, 1, clientId(start + Limits.clientIdAheadMsMax + 1, 2))).toEqual({
      _tag: "Reject",
      failure: { code: "id_ahead", server_time: start }
    })
    expect(markUnread(state, 1, clientId(start, 3), start + Limits.idempotencyWindowMs + 1)).toEqual({
      _tag: "Reject",
      failure: { code: "id_expired" }
    })
    for (let at = 0; at < sessionLimits.idsMax; at++) take(state, markUnread(state, 1, clientId(start + 1 + at, 10)))
    expect(markUnread(state, 1, cid)).toEqual({ _tag: "Reject", failure: { code: "id_expired" } })
  })

  it("of a revocation have one effect, and an older one changes nothing", () => {
    const state = SessionState.empty("ann")
    expect(take(state, decideRevoke(state, 50, clientId(start, 1), start))._tag).toBe("Accept")
    expect(take(state, decideRevoke(state, 50, clientId(start, 1), start))._tag).toBe("Duplicate")
    expect(take(state, decideRevoke(state, 40, clientId(start, 2), start))._tag).toBe("Nothing")
    expect(view(state, { generation: 1, seq: 1 }).revokedBefore).toBe(50)
  })
})

describe("mentions", () => {
  it("are counted after a seq while all of them are here, and dropped with their message", () => {
    const state = SessionState.empty("ann")
    noticed(state, notice("added", 1), notice("mentioned", 7), notice("mentioned", 3), notice("mentioned", 9))
    expect([0, 3, 8, 9].map((after) => state.mentionsAfter(room, after))).toEqual([3, 2, 1, 0])
    expect(dropMention(state, room, 7)).toBe(true)
    expect(dropMention(state, room, 7)).toBe(false)
    expect(state.mentionsAfter(room, 3)).toBe(1)
    expect(state.mentionsAfter("group:other", 0)).toBe(0)
  })

  it("of a channel he is out of, or was not in yet, are none", () => {
    const state = SessionState.empty("ann")
    noticed(state, notice("added", 5))
    expect(noticed(state, notice("mentioned", 4))).toEqual(["Nothing"])
    noticed(state, notice("removed", 8))
    expect(noticed(state, notice("mentioned", 8), notice("mentioned", 7))).toEqual(["Nothing", "Nothing"])
  })

  it("are bounded a channel: what is older is the store's to count", () => {
    const state = SessionState.empty("ann")
    for (let seq = 1; seq <= sessionLimits.mentionsPerChannelMax + 2; seq++) noticed(state, notice("mentioned", seq))
    expect(state.mentionsAfter(room, 1)).toBeUndefined()
    expect(state.mentionsAfter(room, 2)).toBe(sessionLimits.mentionsPerChannelMax)
    expect(noticed(state, notice("mentioned", 1))).toEqual(["Nothing"])
  })

  it("are bounded in channels, and tombstones are bounded", () => {
    const state = SessionState.empty("ann")
    for (let at = 0; at <= sessionLimits.mentionChannelsMax; at++) noticed(state, notice("mentioned", 5, `group:${at}`))
    expect(state.mentionsAfter("group:0", 0)).toBeUndefined()
    expect(state.mentionsAfter("group:1", 0)).toBe(1)
    for (let at = 0; at <= sessionLimits.tombstonesMax; at++) noticed(state, notice("removed", 6, `group:${at}`))
    expect(state.left.size).toBe(sessionLimits.tombstonesMax)
    expect(state.left.has("group:0")).toBe(false)
  })
})

describe("a session at rest", () => {
  const event = fc.oneof(
    fc.record({ kind: fc.constantFrom("added", "removed"), channel, seq: fc.nat() }),
    fc.record({ kind: fc.constant("mentioned"), channel, seq: fc.nat(), by: fc.constantFrom("ben", "7") }),
    fc.record({ kind: fc.constant("marked_unread"), channel, seq: fc.nat(), cid: fc.constantFrom("c1", "2") }),
    fc.record({ kind: fc.constant("revoked"), before: fc.nat(), cid: fc.string() }),
    fc.record({ kind: fc.constant("of_another_version"), channel, seq: fc.nat() })
  )
  const place = fc.tuple(channel, fc.nat())
  const snapshot = fc.record({
    user: fc.constant("ann"),
    generation: fc.integer({ min: 1, max: 9 }),
    at: fc.nat(),
    channels: fc.array(place, { maxLength: 3 }),
    left: fc.array(place, { maxLength: 3 }),
    cursors: fc.array(fc.tuple(channel, fc.nat(), fc.nat()), { maxLength: 3 }),
    dirty: fc.array(channel, { maxLength: 2 }),
    mentions: fc.array(fc.tuple(channel, fc.nat(), fc.array(fc.nat(), { maxLength: 3 })), { maxLength: 2 }),
    revokedBefore: fc.nat(),
    window: fc.record({
      bound: fc.nat(),
      ids: fc.array(
        fc.record({
          sender: fc.constant("ann"),
          cid: fc.string(),
          time: fc.nat(),
          seq: fc.nat(),
          n: fc.nat(),
          at: fc.nat(),
          bodyHash: fc.string()
        }),
        { maxLength: 2 }
      )
    }),
    events: fc.array(fc.tuple(fc.nat(), event), { maxLength: 6 }),
    before: fc.nat()
  })

  const decodeSession = (bytes: Uint8Array): SessionSnapshot => {
    const { personalCount, ...rest } = decodeRest(bytes)
    const personal = decodePersonal(bytes)
    expect(personalCount).toBe(personal.length)
    return { ...rest, personal }
  }

  it("is read as it was written, events of other fields and versions included", () => {
    fc.assert(
      fc.property(snapshot, ({ before, events, ...rest }) => {
        const personal = events.map(([at, some], i) => JSON.stringify({ user_seq: before + i + 1, at, ...some }))
        const whole = { ...rest, userSeq: before + events.length, personal }
        expect(decodeSession(encodeSession(whole))).toEqual(whole)
        // As the version before this one wrote it.
        const old = Buffer.concat([Buffer.of(1), Buffer.from(JSON.stringify(whole))])
        expect(decodeSession(old)).toEqual(whole)
      })
    )
    expect(() => decodeSession(Buffer.of(3, 0x7b, 0x7d))).toThrow("another version")
  })

  it("is the same again when nothing has happened since, and says all that has", () => {
    const state = SessionState.empty("ann")
    noticed(state, ...Array.from({ length: 5 }, (_, i) => notice("added", i + 1, `group:${i}`)))
    noticed(state, notice("mentioned", 9, "group:2"))
    moveCursor(state, "group:1", 7)
    const bytes = state.encode()
    const woken = () => SessionState.decode(bytes)
    expect(Buffer.from(woken().encode()).equals(Buffer.from(bytes))).toBe(true)
    const after = { generation: 1, seq: 2 }
    const changes: ReadonlyArray<(woken: SessionState) => unknown> = [
      (session) => noticed(session, notice("mentioned", 10, "group:2")),
      (session) => moveCursor(session, "group:1", 8),
      (session) => session.mergeCursor("group:3", { generation: 0, seq: 2 }),
      (session) => session.takeDirtyCursors(),
      (session) => session.putDirtyCursors(["group:4"]),
      (session) => dropMention(session, "group:2", 9),
      (session) => noticed(session, notice("removed", 9, "group:0"))
    ]
    for (const change of changes) {
      const session = woken()
      change(session)
      // One that was never at rest.
      const awake = SessionState.empty("ann")
      for (const { body } of session.personal.slice(0, 6)) replay(awake, entryOfBody(body))
      moveCursor(awake, "group:1", 7)
      change(awake)
      const again = SessionState.decode(session.encode())
      expect(seen(again)).toEqual(seen(awake))
      expect(view(again, after)).toEqual(view(awake, after))
    }
  })

  it("takes less than 50 bytes a channel, with cursor and event", () => {
    const state = SessionState.empty("ann")
    for (let i = 0; i < 10; i++) {
      noticed(state, notice("added", 3, `group:quiet${i}`))
      moveCursor(state, `group:quiet${i}`, 9)
    }
    expect(state.encode().length).toBeLessThan(10 * 50 + 150)
  })
})
