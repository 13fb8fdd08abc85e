/**
 * Drives a channel's state in tests as its owner would: applies what is accepted, asks a store that is as far behind
 * the log as the floor allows, commits, takes back. It keeps the committed log, from which everything is recounted.
 */
import type { Membership } from "@parley/storage/Directory"
import type { StoredAck, StoredMessage } from "@parley/storage/MessageStore"
import * as fc from "fast-check"
import {
  apply,
  type ChannelLimits,
  channelLimitsDefault,
  ChannelState,
  commit,
  type Decision,
  decide,
  followUp,
  type Known,
  type Need
} from "../../src/channel/ChannelState.ts"
import { changedMessage, membersOf, textOf } from "../../src/channel/EventBody.ts"
import { mentionRowsOf } from "../../src/fanout/MentionRows.ts"
import type { Entry } from "../../src/log/Entry.ts"
import type { Caller, ChannelMutation } from "../../src/owner/OwnerProtocol.ts"

export const start = 1_790_000_000_000

/** A UUIDv7 of this time; equal numbers make equal ids. */
export const clientId = (time: number, number: number): string => {
  const hex = time.toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${number.toString(16).padStart(12, "0")}`
}

export const caller = (user: string): Caller => ({ user, device: `${user}-phone`, connection: 1, edge: "edge-1" })

/** So small that every bound is met within a few steps. */
export const tightLimits: ChannelLimits = {
  ...channelLimitsDefault,
  tailEventsMax: 6,
  windowIdsMax: 5,
  windowYoungIdsMax: 5,
  warmTailEventsMax: 3,
  warmWindowIdsMax: 2,
  cutTailBytesMax: 800,
  cutWindowIdsMax: 2,
  fanoutThreshold: 4,
  fanoutHysteresis: 1,
  recordsMax: 1,
  staysPerUserMax: 2,
  seniorsMax: 2
}

/** What the store would have after these events, in current form. */
export class StoreModel {
  readonly entries: ReadonlyArray<Entry>

  constructor(entries: ReadonlyArray<Entry>) {
    this.entries = entries
  }

  messages(): ReadonlyArray<StoredMessage> {
    const rows = new Map<number, StoredMessage>()
    for (const entry of this.entries) {
      if (entry.kind === "message") {
        rows.set(entry.seq, { seq: entry.seq, n: entry.n, by: entry.by, deleted: false, body: entry.body })
      }
      const row = rows.get(entry.target)
      if (row === undefined || row.deleted) continue
      if (entry.kind === "delete") {
        const body = changedMessage(row.body, { text: "", mentions: [], edited: 0, deleted: entry.seq })
        rows.set(row.seq, { ...row, deleted: true, body })
      } else if (entry.kind === "edit") {
        rows.set(row.seq, {
          ...row,
          body: changedMessage(row.body, { ...textOf(entry.body), edited: entry.seq, deleted: 0 })
        })
      }
    }
    return [...rows.values()]
  }

  /** Seqs of the messages that name the user, by the rows that the events make. */
  mentions(user: string): ReadonlyArray<number> {
    const seqs = new Set<number>()
    for (const entry of this.entries) {
      const { named, taken } = mentionRowsOf([entry])
      for (const row of named) if (row.user === user) seqs.add(row.seq)
      for (const row of taken) if (row.user === user) seqs.delete(row.seq)
    }
    return [...seqs]
  }

  ack(sender: string, cid: string): StoredAck | null {
    const entry = this.entries.find((entry) => entry.by === sender && entry.cid === cid)
    return entry === undefined ? null : { seq: entry.seq, n: entry.n, at: entry.at, bodyHash: entry.bodyHash }
  }

  stays(user: string): ReadonlyArray<Membership> {
    const stays: Array<Membership> = []
    for (const entry of this.entries) {
      const heir = entry.kind === "removed" ? (JSON.parse(entry.hidden) as { heir?: string }).heir : undefined // as: made by this test
      const last = stays.at(-1)
      if (heir === user && last !== undefined) stays[stays.length - 1] = { ...last, role: "owner" }
      if (!membersOf(entry.body).includes(user)) continue
      if (entry.kind === "removed") {
        if (last !== undefined) stays[stays.length - 1] = { ...last, to: entry.seq, seq: entry.seq }
      } else {
        const role = entry.kind === "created" && entry.by === user ? "owner" : "member"
        stays.push({ channel: entry.id, user, role, from: entry.seq, to: null, seq: entry.seq })
      }
    }
    return stays
  }

  answer(need: Need, floor: number): Known {
    if ("id" in need) return { floor, id: this.ack(need.sender, need.id) }
    if ("target" in need) return { floor, target: this.messages().find((row) => row.seq === need.target) ?? null }
    return { floor, memberships: new Map(need.member.map((user) => [user, this.stays(user)])) }
  }
}

export class Harness {
  state: ChannelState
  readonly limits: ChannelLimits
  /** Committed entries. */
  log: Array<Entry> = []
  pending: Array<{ readonly entry: Entry; readonly undo: () => void }> = []
  now = start
  /** How far the store is ahead of the floor that it told. */
  storeAhead = 0
  needs = 0
  /** Commits and floors in their order, for a replay. */
  readonly trace: Array<{ readonly entry: Entry } | { readonly floor: number }> = []
  #number = 0

  constructor(channel: string, limits: ChannelLimits) {
    this.limits = limits
    this.state = ChannelState.empty(channel, limits)
  }

  cid(late = 0): string {
    return clientId(this.now - late, ++this.#number)
  }

  store(): StoreModel {
    return new StoreModel(this.log.slice(0, Math.min(this.log.length, this.state.floor + this.storeAhead)))
  }

  /** Decides, asking the store as often as it takes; applies nothing. */
  resolve(user: string, mutation: ChannelMutation, admin = false): Exclude<Decision, { readonly _tag: "Need" }> {
    let known: Known = {}
    for (let asked = 0; asked < 8; asked++) {
      const decision = decide(this.state, caller(user), admin, mutation, this.now, known)
      if (decision._tag !== "Need") return decision
      this.needs++
      known = { ...known, ...this.store().answer(decision.need, decision.floor) }
    }
    throw new Error("asks the store for ever")
  }

  apply(entry: Entry): void {
    this.pending.push({ entry, undo: apply(this.state, entry) })
  }

  do(user: string, mutation: ChannelMutation, admin = false): Exclude<Decision, { readonly _tag: "Need" }> {
    const decision = this.resolve(user, mutation, admin)
    if (decision._tag === "Accept") {
      this.apply(decision.entry)
      const follow = followUp(this.state, this.now)
      if (follow !== undefined) this.apply(follow)
    }
    return decision
  }

  /** As `do` with a new client id, committed. */
  must(user: string, fields: Fields, admin = false): Entry {
    const decision = this.do(user, this.mutation(fields), admin)
    if (decision._tag !== "Accept") throw new Error(`not accepted: ${JSON.stringify(decision)}`)
    this.commitAll()
    return decision.entry
  }

  refusal(user: string, fields: Fields, admin = false): string {
    const decision = this.resolve(user, this.mutation(fields), admin)
    return decision._tag === "Reject" ? decision.failure.code : decision._tag
  }

  mutation(fields: Fields): ChannelMutation {
    return { channel: this.state.channel, cid: this.cid(), ...fields }
  }

  commit(count: number): void {
    const done = this.pending.splice(0, count)
    const last = done.at(-1)
    if (last === undefined) return
    this.log.push(...done.map(({ entry }) => entry))
    this.trace.push(...done)
    commit(this.state, last.entry.seq)
  }

  setFloor(floor: number): void {
    this.state.setFloor(floor)
    this.trace.push({ floor })
  }

  commitAll(): void {
    this.commit(this.pending.length)
  }

  undo(count: number): void {
    for (let left = count; left > 0; left--) this.pending.pop()?.undo()
  }

  /** `cut`: as of a checkpoint that the store was far behind, and has come past since. */
  passivate(how: Encoded): void {
    const bytes = how === "cut" ? this.state.encodeCut() : this.state.pack(how === "scarce")
    this.state = ChannelState.decode(bytes, this.limits)
  }
}

export const encoded = ["whole", "scarce", "cut"] as const
export type Encoded = (typeof encoded)[number]

type WithoutIds<M> = M extends ChannelMutation ? Omit<M, "channel" | "cid"> : never
export type Fields = WithoutIds<ChannelMutation>

// --- random histories ------------------------------------------------------------------------------------------

export const users = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"] as const

export type Step =
  /** `sane`: bent so that it may be accepted; the rest is mostly refused. */
  | {
      readonly _tag: "Do"
      readonly user: string
      readonly fields: Fields
      readonly late: boolean
      readonly sane: boolean
    }
  | { readonly _tag: "Again"; readonly back: number; readonly text: string | null }
  | { readonly _tag: "Commit"; readonly count: number }
  | { readonly _tag: "Undo" }
  | { readonly _tag: "Floor"; readonly behind: number }
  | { readonly _tag: "Passivate"; readonly how: Encoded }
  | { readonly _tag: "Shrink" }

/** What is not of the log: a state's own business. */
export const isOfMemory = ({ _tag }: Step): boolean => _tag === "Passivate" || _tag === "Shrink"

const user = fc.constantFrom(...users)
const text = fc.constantFrom("hi", "", 'a "quoted" \\ text', "žluťoučký 🐎", '","mentions":["ann"]', "\ud800")
const mentions = fc.uniqueArray(user, { maxLength: 2 })
const members = fc.uniqueArray(user, { minLength: 1, maxLength: 3 })
/** How far behind the head; made absolute when the step is taken. */
const target = fc.nat({ max: 14 })

const fields: fc.Arbitrary<Fields> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant("send" as const), text, mentions }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("edit" as const), target, text, mentions }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("delete" as const), target }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("update" as const), name: text }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("join" as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("leave" as const) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant("add_members" as const), members }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("remove_members" as const), members }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("create" as const), name: text, topic: text, members }) }
)
const often = fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) })
const seldom = often.map((often) => !often)

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 14, arbitrary: fc.record({ _tag: fc.constant("Do" as const), user, fields, late: seldom, sane: often }) },
  {
    weight: 3,
    arbitrary: fc.record({ _tag: fc.constant("Again" as const), back: fc.nat({ max: 20 }), text: fc.option(text) })
  },
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Commit" as const), count: fc.integer({ min: 1, max: 4 }) }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "Undo" as const }) },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("Floor" as const), behind: fc.nat({ max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ _tag: fc.constant("Passivate" as const), how: fc.constantFrom(...encoded) }) },
  { weight: 1, arbitrary: fc.constant({ _tag: "Shrink" as const }) }
)

/** Long: what is bounded must be met. */
export const steps = (maxLength: number): fc.Arbitrary<ReadonlyArray<Step>> =>
  fc.array(step, { minLength: 1, maxLength, size: "max" })

export const channels = fc.constantFrom("public:room", "group:room")

/** A channel with three members and the steps that follow. */
export const history = fc.record({ channel: channels, steps: steps(80) })

/** The mutation of someone who may do it, where there is one. */
const sane = (harness: Harness, user: string, fields: Fields): { readonly user: string; readonly fields: Fields } => {
  const model = new StoreModel([...harness.log, ...harness.pending.map(({ entry }) => entry)])
  const lasts = new Map<string, Membership | undefined>(users.map((user) => [user, model.stays(user).at(-1)]))
  const inside: ReadonlyArray<string> = users.filter((user) => lasts.get(user)?.to === null)
  const outside: ReadonlyArray<string> = users.filter((user) => lasts.get(user)?.to !== null)
  const owner = inside.find((user) => lasts.get(user)?.role === "owner") ?? user
  const among = (list: ReadonlyArray<string>) =>
    list[users.findIndex((other) => other === user) % Math.max(1, list.length)] ?? user
  switch (fields.op) {
    case "send":
      return {
        user: among(inside),
        fields: { ...fields, mentions: fields.mentions.filter((user) => lasts.get(user)?.to === null) }
      }
    case "edit":
    case "delete": {
      const messages = model.messages()
      const message = messages[messages.length - 1 - (fields.target % Math.max(1, messages.length))]
      const target = message === undefined ? {} : { target: message.seq }
      const named =
        fields.op === "edit" ? { mentions: fields.mentions.filter((user) => lasts.get(user)?.to === null) } : {}
      return { user: message?.by ?? user, fields: { ...fields, ...target, ...named } }
    }
    case "join":
      return { user: among(outside), fields }
    case "leave":
      return { user: among(inside), fields }
    case "add_members":
      return {
        user: owner,
        fields: { ...fields, members: fields.members.map((_, at) => outside[at] ?? among(outside)) }
      }
    case "remove_members":
      return { user: owner, fields: { ...fields, members: [among(inside)] } }
    case "update":
      return { user: owner, fields }
    case "create":
      return { user, fields }
  }
}

/** Takes one step; the decision where it was one. */
export const take = (harness: Harness, next: Step): Exclude<Decision, { readonly _tag: "Need" }> | undefined => {
  const { state } = harness
  switch (next._tag) {
    case "Do": {
      harness.now += 1
      const raw =
        "target" in next.fields ? { ...next.fields, target: Math.max(1, state.seq - next.fields.target) } : next.fields
      const { fields, user } = next.sane ? sane(harness, next.user, next.fields) : { fields: raw, user: next.user }
      const mutation = harness.mutation(fields)
      // An id made long before it arrives: at or before T, most of the time.
      return harness.do(user, next.late ? { ...mutation, cid: harness.cid(60_000) } : mutation)
    }
    case "Again": {
      const all = [...harness.log, ...harness.pending.map(({ entry }) => entry)].filter(
        (entry) => entry.kind === "message"
      )
      const first = all[all.length - 1 - next.back]
      if (first === undefined) return undefined
      const { mentions, text } = textOf(first.body)
      const mutation = {
        op: "send",
        channel: state.channel,
        cid: first.cid,
        text: next.text ?? text,
        mentions
      } as const
      return harness.do(first.by, mutation)
    }
    case "Commit":
      harness.commit(next.count)
      return undefined
    case "Undo":
      harness.undo(harness.pending.length)
      return undefined
    case "Floor":
      harness.storeAhead = next.behind % 3
      harness.setFloor(state.committedSeq - next.behind)
      return undefined
    case "Passivate":
      if (harness.pending.length === 0) harness.passivate(next.how)
      return undefined
    case "Shrink":
      state.shrink()
      return undefined
  }
}

export const run = (
  channel: string,
  limits: ChannelLimits,
  steps: ReadonlyArray<Step>,
  each?: (harness: Harness) => void
): Harness => {
  const harness = new Harness(channel, limits)
  harness.must("ann", { op: "create", name: "Room", topic: "", members: ["ben", "cat"] })
  for (const next of steps) {
    take(harness, next)
    each?.(harness)
  }
  return harness
}
