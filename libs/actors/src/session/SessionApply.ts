/**
 * The whole state of one user session, apart from any process: the channels he is in, what he would miss (each with a
 * user seq, logged), and his cursors (values, not logged, †5). Logged changes take effect when they are committed; what
 * is pending only counts for deciding, so taking it back leaves no trace (†20). Channels are not bounded here: whoever
 * adds members is.
 */
import type { Position } from "@parley/protocol/Ids"
import type { WireText } from "@parley/protocol/WireText"
import { type Cursor, laterCursor } from "@parley/storage/CursorStore"
import { IdempotencyWindow } from "../channel/IdempotencyWindow.ts"
import type { Entry } from "../log/Entry.ts"
import type { SessionStanding, SessionView } from "../owner/OwnerProtocol.ts"
import { personalEvent } from "./PersonalEvent.ts"
import { decodePersonal, decodeRest, encodeSession } from "./SessionSnapshot.ts"

export const sessionLimits = {
  /** Personal events kept for devices that were away; a device further behind takes the list of channels anew. */
  personalEventsMax: 256,
  /** Channels he left, told to devices that still show them, and a guard against late notices. */
  tombstonesMax: 1_000,
  /** Mentions kept a channel; older ones are counted by the inbox store. */
  mentionsPerChannelMax: 64,
  mentionChannelsMax: 1_000,
  idsMax: 256,
  /** Cursors handed to the store at once. */
  cursorsPerWriteMax: 500
} as const

const noCursor: Position = { generation: 0, seq: 0 }

interface PersonalBody {
  readonly seq: number
  readonly body: WireText
}

/** Rough sizes in bytes. */
const stateBytes = 1_024
const channelBytes = 160
const eventBytes = 256

export interface MentionIndex {
  /** Ascending. */
  readonly seqs: Array<number>
  /** Those up to this seq are not all here. */
  from: number
}

export class SessionState {
  readonly user: string
  generation = 1
  /** The last user seq given out: speculative. */
  userSeq = 0
  committedUserSeq = 0
  /** Time of the last event given out: never goes back. */
  at = 0
  committedAt = 0
  /** Channels he is in, with the channel's seq that added him. */
  readonly channels = new Map<string, number>()
  /** Channels he is in no longer, with the seq of the removal; oldest first. */
  readonly left = new Map<string, number>()
  readonly cursors = new Map<string, Position>()
  readonly mentions = new Map<string, MentionIndex>()
  /** Tokens issued before this are void (s since 1970). */
  revokedBefore = 0
  window = new IdempotencyWindow(sessionLimits.idsMax, 0)
  personalFrom = 0
  /** Undefined: they are in `#rest` only. Most sessions that wake are asked for none, and sleep again. */
  #personal: Array<PersonalBody> | undefined = []
  /** What it was woken from, one byte a char (the heap packs that best); undefined: not needed any more. */
  #rest: string | undefined = undefined
  /** Since it was woken. */
  #changed = false
  readonly #pending: Array<Entry> = []
  readonly #dirty = new Set<string>()
  /** Of a write that has not ended. */
  readonly #onTheirWay = new Set<string>()

  constructor(user: string) {
    this.user = user
  }

  static empty(user: string): SessionState {
    return new SessionState(user)
  }

  get committed(): number {
    return this.committedUserSeq
  }
  get channelCount(): number {
    return this.channels.size
  }
  get bytes(): number {
    const entries = this.channels.size + this.left.size + this.cursors.size + this.mentions.size
    return (
      stateBytes +
      entries * channelBytes +
      (this.committedUserSeq - this.personalFrom + this.#pending.length + this.window.size) * eventBytes
    )
  }

  pendingEntries(): ReadonlyArray<Entry> {
    return this.#pending
  }

  /** What it says at rest is not what it was woken from. */
  changed(): void {
    this.#changed = true
    if (this.#personal !== undefined) this.#rest = undefined
  }

  /** Events after `personalFrom`, ascending. */
  get personal(): ReadonlyArray<PersonalBody> {
    return this.#events()
  }

  /** Bodies of those after `after`, which is not below `personalFrom`. */
  personalAfter(after: number): ReadonlyArray<WireText> {
    return this.#events()
      .slice(after - this.personalFrom)
      .map((event) => event.body)
  }

  #events(): Array<PersonalBody> {
    if (this.#personal === undefined) {
      const bodies = this.#rest === undefined ? [] : decodePersonal(Buffer.from(this.#rest, "latin1"))
      this.#personal = bodies.map((body, place) => ({ seq: this.personalFrom + place + 1, body }))
      if (this.#changed) this.#rest = undefined
    }
    return this.#personal
  }

  // --- cursors --------------------------------------------------------------------------------------------------

  cursorOf(channel: string): Position {
    return this.cursors.get(channel) ?? noCursor
  }

  /** A cursor that the store or a client has: merged by max. */
  mergeCursor(channel: string, position: Position): void {
    const before = this.cursorOf(channel)
    const later = laterCursor(before, position)
    // Woken with the cursors that the store has, it knows them already.
    if (later.generation === before.generation && later.seq === before.seq) return
    this.cursors.set(channel, later)
    this.changed()
  }

  setCursor(channel: string, position: Position): void {
    this.cursors.set(channel, position)
    this.#dirty.add(channel)
    this.changed()
  }

  get hasDirtyCursors(): boolean {
    return this.#dirty.size > 0
  }

  /**
   * Cursors that the store does not have, for a write, one at a time; say how it ended with `cursorsWritten`, or with
   * `putDirtyCursors`. What is on its way is not stored: a checkpoint of that time has it as dirty still (†5).
   */
  takeDirtyCursors(): ReadonlyArray<Cursor> {
    const taken: Array<Cursor> = []
    for (const channel of this.#dirty) {
      if (taken.length >= sessionLimits.cursorsPerWriteMax) break
      taken.push({ channel, position: this.cursorOf(channel) })
    }
    for (const { channel } of taken) {
      this.#dirty.delete(channel)
      this.#onTheirWay.add(channel)
    }
    return taken
  }

  cursorsWritten(): void {
    this.#onTheirWay.clear()
    this.changed()
  }

  /** The write failed, or they were not stored when the session was left by an owner. */
  putDirtyCursors(channels: ReadonlyArray<string>): void {
    for (const channel of channels) {
      this.#onTheirWay.delete(channel)
      this.#dirty.add(channel)
    }
    if (channels.length > 0) this.changed()
  }

  inspectCursors(): ReadonlyArray<Cursor> {
    return [...this.cursors].map(([channel, position]) => ({ channel, position }))
  }

  /** Mentions of a channel after a seq; undefined where older ones may be in the inbox store only. */
  mentionsAfter(channel: string, after: number): number | undefined {
    const index = this.mentions.get(channel)
    if (index === undefined) return this.mentions.size < sessionLimits.mentionChannelsMax ? 0 : undefined
    return after < index.from ? undefined : index.seqs.filter((seq) => seq > after).length
  }

  // --- logged changes -------------------------------------------------------------------------------------------

  push(entry: Entry): () => void {
    if (entry.seq !== this.userSeq + 1) throw new Error(`session is at ${this.userSeq}, got ${entry.seq} (ONE-ORDER)`)
    const { at } = this
    this.userSeq = entry.seq
    this.at = Math.max(at, entry.at)
    this.#pending.push(entry)
    if (entry.cid !== "") this.window.remember(entry)
    return () => {
      if (this.#pending.at(-1) !== entry) throw new Error(`undo of ${entry.seq}, which is not the newest pending event`)
      this.#pending.pop()
      if (entry.cid !== "") this.window.forget(entry)
      this.userSeq = entry.seq - 1
      this.at = at
    }
  }

  commitTo(seq: number): void {
    if (seq > this.userSeq) throw new Error(`session is at ${this.userSeq}, got a commit of ${seq}`)
    const personal = this.#events()
    for (let entry = this.#pending[0]; entry !== undefined && entry.seq <= seq; entry = this.#pending[0]) {
      this.#pending.shift()
      this.committedUserSeq = entry.seq
      this.committedAt = Math.max(this.committedAt, entry.at)
      this.generation = Math.max(this.generation, entry.generation)
      this.#take(entry)
      personal.push({ seq: entry.seq, body: entry.body })
    }
    const over = personal.length - sessionLimits.personalEventsMax
    if (over > 0) {
      personal.splice(0, over)
      this.personalFrom += over
    }
    this.changed()
    this.window.settle(this.committedUserSeq)
  }

  #take(entry: Entry): void {
    const event = personalEvent(entry)
    switch (event.kind) {
      case "added":
        this.channels.set(event.channel, event.seq)
        this.left.delete(event.channel)
        return
      case "removed":
        this.channels.delete(event.channel)
        this.mentions.delete(event.channel)
        this.#bury(event.channel, event.seq)
        return
      case "mentioned":
        this.#mention(event.channel, event.seq)
        return
      case "marked_unread": {
        // Merged: a store that is ahead of the log's replay may know how far he read on since.
        const position = { generation: entry.seq, seq: event.seq }
        this.setCursor(event.channel, laterCursor(this.cursorOf(event.channel), position))
        return
      }
      case "revoked":
        this.revokedBefore = Math.max(this.revokedBefore, event.before)
    }
  }

  #bury(channel: string, seq: number): void {
    this.left.delete(channel)
    this.left.set(channel, seq)
    for (const oldest of this.left.keys()) {
      if (this.left.size <= sessionLimits.tombstonesMax) return
      this.left.delete(oldest)
      if (!this.#dirty.has(oldest) && !this.#onTheirWay.has(oldest)) this.cursors.delete(oldest)
    }
  }

  #mention(channel: string, seq: number): void {
    const index = this.mentions.get(channel) ?? { seqs: [], from: 0 }
    // The channel mentioned last goes last, so that the first is the one to forget.
    this.mentions.delete(channel)
    this.mentions.set(channel, index)
    index.seqs.push(seq)
    index.seqs.sort((a, b) => a - b)
    if (index.seqs.length > sessionLimits.mentionsPerChannelMax) index.from = index.seqs.shift() ?? index.from
    for (const oldest of this.mentions.keys()) {
      if (this.mentions.size <= sessionLimits.mentionChannelsMax) return
      this.mentions.delete(oldest)
    }
  }

  // --- at rest --------------------------------------------------------------------------------------------------

  /** What it holds is asked for whole. */
  shrink(): boolean {
    return false
  }

  /** All of it is needed, whatever room there is. */
  pack(): Uint8Array {
    return this.encode()
  }

  /** The committed state: what is pending never touched it. */
  encode(): Uint8Array {
    if (this.#rest !== undefined && !this.#changed) return Buffer.from(this.#rest, "latin1")
    return encodeSession({
      user: this.user,
      generation: this.generation,
      userSeq: this.committedUserSeq,
      at: this.committedAt,
      channels: [...this.channels],
      left: [...this.left],
      cursors: [...this.cursors].map(([channel, position]) => [channel, position.generation, position.seq]),
      dirty: [...new Set([...this.#dirty, ...this.#onTheirWay])],
      mentions: [...this.mentions].map(([channel, index]) => [channel, index.from, index.seqs]),
      revokedBefore: this.revokedBefore,
      window: this.window.snapshot(sessionLimits.idsMax, this.committedUserSeq),
      personal: this.personal.map((event) => event.body)
    })
  }

  static decode(bytes: Uint8Array): SessionState {
    const snapshot = decodeRest(bytes)
    const state = new SessionState(snapshot.user)
    state.generation = snapshot.generation
    state.userSeq = state.committedUserSeq = snapshot.userSeq
    state.at = state.committedAt = snapshot.at
    for (const [channel, since] of snapshot.channels) state.channels.set(channel, since)
    for (const [channel, seq] of snapshot.left) state.left.set(channel, seq)
    for (const [channel, generation, seq] of snapshot.cursors) state.cursors.set(channel, { generation, seq })
    state.putDirtyCursors(snapshot.dirty)
    for (const [channel, from, seqs] of snapshot.mentions) state.mentions.set(channel, { from, seqs: [...seqs] })
    state.revokedBefore = snapshot.revokedBefore
    state.window = IdempotencyWindow.restore(sessionLimits.idsMax, snapshot.window, snapshot.userSeq)
    state.personalFrom = snapshot.userSeq - snapshot.personalCount
    state.#personal = undefined
    state.#rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1")
    state.#changed = false
    return state
  }
}

/** Takes the next event, speculatively; the answer takes it back, newest first, as long as it is not committed (†20). */
export const apply = (state: SessionState, entry: Entry): (() => void) => state.push(entry)

/** All events up to this user seq are in the log. */
export const commit = (state: SessionState, userSeq: number): void => state.commitTo(userSeq)

/** An event out of the log. */
export const replay = (state: SessionState, entry: Entry): void => {
  state.push(entry)
  state.commitTo(entry.seq)
}

/**
 * Moves the cursor forward within its generation (†5); a seq behind it changes nothing. Not logged: it is a value, and
 * the write behind takes it from `takeDirtyCursors`.
 */
export const moveCursor = (
  state: SessionState,
  channel: string,
  seq: number,
  generation: number | null = null
): { readonly cursor: Position; readonly moved: boolean } => {
  const before = state.cursorOf(channel)
  if (seq <= before.seq) return { cursor: before, moved: false }
  if (generation !== null && generation !== before.generation) return { cursor: before, moved: false }
  const cursor = { generation: before.generation, seq }
  state.setCursor(channel, cursor)
  return { cursor, moved: true }
}

/** Takes a mention away whose message was deleted, or edited not to name him. Not logged: the fan-out repeats it. */
export const dropMention = (state: SessionState, channel: string, seq: number): boolean => {
  const index = state.mentions.get(channel)
  const at = index?.seqs.indexOf(seq) ?? -1
  if (at >= 0) {
    index?.seqs.splice(at, 1)
    state.changed()
  }
  return at >= 0
}

export const standingOf = (state: SessionState): SessionStanding => ({
  position: { generation: state.generation, seq: state.committedUserSeq },
  revokedBefore: state.revokedBefore
})

/** The session as a connection gets it that holds `after`: what it missed, or "reload", and the channels as they are. */
export const view = (state: SessionState, after: Position): SessionView => {
  const reload =
    after.generation !== state.generation || after.seq < state.personalFrom || after.seq > state.committedUserSeq
  const channels: Array<{ readonly channel: string; readonly cursor: Position }> = []
  for (const channel of state.channels.keys()) channels.push({ channel, cursor: state.cursorOf(channel) })
  return {
    ...standingOf(state),
    reload,
    personal: reload || after.seq === state.committedUserSeq ? nothing : state.personalAfter(after.seq),
    channels,
    left: Array.from(state.left, ([channel, seq]) => ({ channel, seq }))
  }
}

/**
 * Up to where he has read each of his channels, but for those that he marked unread after the user seq `asOf`: as seen
 * from there a cursor only moves forward.
 */
export const readUpTo = (
  state: SessionState,
  asOf: number
): ReadonlyArray<{ readonly channel: string; readonly seq: number }> => {
  const read: Array<{ readonly channel: string; readonly seq: number }> = []
  for (const channel of state.channels.keys()) {
    const { generation, seq } = state.cursorOf(channel)
    if (generation <= asOf) read.push({ channel, seq })
  }
  return read
}

const nothing: ReadonlyArray<WireText> = []
