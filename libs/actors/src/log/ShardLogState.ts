/**
 * One shard's log as one owner sees it: opening (its epoch record), serving (one record in flight, the next gathers),
 * then out or quarantined. Pure: events in, the next state and what to do out; no service, no clock. `Takeover` and
 * `ShardLog` perform it, and a test explores every interleaving of three such owners over a log that loses answers.
 *
 * It promises SINGLE-WRITER and that no caller is told "committed" or "failed" of what may be otherwise (†19 to †24).
 */
import type { AppendOutcome, LogPosition } from "@parley/storage/EventLog"
import { type Flight, type LogRules, logRules, type Seen } from "./LogRules.ts"
import { noHash, type RecordHash } from "./Record.ts"

/** The last record that is known to be in the log. Position 0: the shard is empty. */
export interface Tip {
  readonly position: LogPosition
  readonly number: number
  readonly hash: RecordHash
}
export const emptyTip: Tip = { position: 0, number: 0, hash: noHash }

export type OutReason =
  /** Another owner has an epoch at or above this one's. */
  | "taken"
  /** The log went on after the record at which the state was handed over. */
  | "stale_handover"
  /** There is no room even for the epoch record. */
  | "full"
  /** The owner said so: lease lost, or drained. */
  | "stepped_down"

interface OpeningOptions {
  readonly epochAtLeast: number
  /** A log that ends before this has lost something (†24). */
  readonly knownAtLeast: LogPosition
}

export type ShardLogState =
  | ({ readonly _tag: "Reading"; readonly tries: number; readonly behind: number } & OpeningOptions)
  | ({
      readonly _tag: "Opening"
      readonly after: Tip
      readonly flight: Flight
      readonly handedOver: boolean
    } & OpeningOptions)
  | {
      readonly _tag: "Serving"
      readonly epoch: number
      readonly tip: Tip
      readonly flight: Flight | null
      /** Something has gathered that is not part of the record in flight. */
      readonly gathered: boolean
      readonly checkpointAsked: boolean
    }
  | { readonly _tag: "Out"; readonly reason: OutReason; readonly epoch: number }
  | { readonly _tag: "Quarantined"; readonly what: string }

export type ShardLogEvent =
  /** The shard's last record, as the leader has it; null: the shard is empty. */
  | { readonly _tag: "LastRead"; readonly last: (Tip & { readonly epoch: number }) | null }
  | { readonly _tag: "LastUnread" }
  | { readonly _tag: "LastDamaged"; readonly what: string }
  /** The first entry gathers beside the record in flight, or with none in flight. */
  | { readonly _tag: "Gathered" }
  | { readonly _tag: "CheckpointAsked" }
  /** The log takes the record: its bytes are fixed from here on. */
  | { readonly _tag: "Taken"; readonly hash: RecordHash }
  | { readonly _tag: "Settled"; readonly outcome: AppendOutcome }
  | { readonly _tag: "PlaceRead"; readonly position: LogPosition; readonly seen: Seen }
  | { readonly _tag: "Resumed" }
  | { readonly _tag: "DeadlinePassed" }
  | { readonly _tag: "SteppedDown" }

export type ShardLogEffect =
  | { readonly _tag: "ReadLast" }
  | { readonly _tag: "Read"; readonly position: LogPosition }
  /** `again`: the very same bytes (†19). */
  | { readonly _tag: "Append"; readonly flight: Flight; readonly again: boolean }
  /** Wait a while, then `Resumed`. */
  | { readonly _tag: "Pause"; readonly tries: number }
  | { readonly _tag: "Committed"; readonly kind: Flight["kind"]; readonly tip: Tip }
  /** The record in flight failed for certain, and with `gathered` all that gathered since (†20). */
  | {
      readonly _tag: "Failed"
      readonly kind: Flight["kind"]
      readonly reason: "full" | "too_large"
      readonly gathered: boolean
    }
  /** Callers past their deadline: outcome unknown, retry with the same id (†21). */
  | { readonly _tag: "TellUnknown" }
  | { readonly _tag: "GoOut"; readonly reason: OutReason; readonly epoch: number }
  | { readonly _tag: "Quarantine"; readonly what: string }

export interface Step {
  readonly state: ShardLogState
  readonly effects: ReadonlyArray<ShardLogEffect>
}

/** Refusals in a row, paced, that name a place before what is known committed; then the log has lost records (†24). */
export const behindMax = 40

export interface Opening extends OpeningOptions {
  /** The record at which a draining owner handed its state over, and that owner's epoch. */
  readonly handover?: (Tip & { readonly epoch: number }) | undefined
}

/** How an owner begins. */
export const openShardLog = (opening: Opening): Step => {
  const { epochAtLeast, knownAtLeast, handover } = opening
  return handover === undefined
    ? { state: { _tag: "Reading", epochAtLeast, knownAtLeast, tries: 0, behind: 0 }, effects: [{ _tag: "ReadLast" }] }
    : appendEpoch({ epochAtLeast, knownAtLeast }, handover, handover.epoch, true)
}

/** How an owner goes on whose epoch record is in the log. */
export const servingShardLog = (epoch: number, tip: Tip): ShardLogState => ({
  _tag: "Serving",
  epoch,
  tip,
  flight: null,
  gathered: false,
  checkpointAsked: false
})

const newFlight = (kind: Flight["kind"], epoch: number, after: Tip): Flight => ({
  kind,
  epoch,
  number: after.number + 1,
  expectedLast: after.position,
  hash: null,
  doubtful: false,
  waits: "append",
  tries: 0,
  behind: 0
})

const appendEpoch = (options: OpeningOptions, after: Tip, lastEpoch: number, handedOver: boolean): Step => {
  const flight = newFlight("epoch", Math.max(options.epochAtLeast, lastEpoch + 1), after)
  return {
    state: {
      _tag: "Opening",
      epochAtLeast: options.epochAtLeast,
      knownAtLeast: options.knownAtLeast,
      after: { position: after.position, number: after.number, hash: after.hash },
      flight,
      handedOver
    },
    effects: [{ _tag: "Append", flight, again: false }]
  }
}

const stay = (state: ShardLogState): Step => ({ state, effects: [] })
const out = (reason: OutReason, epoch: number): Step => ({
  state: { _tag: "Out", reason, epoch },
  effects: [{ _tag: "GoOut", reason, epoch }]
})
const quarantine = (what: string): Step => ({
  state: { _tag: "Quarantined", what },
  effects: [{ _tag: "Quarantine", what }]
})

type Reading = Extract<ShardLogState, { _tag: "Reading" }>
type Serving = Extract<ShardLogState, { _tag: "Serving" }>
type InFlight = Extract<ShardLogState, { _tag: "Opening" }> | (Serving & { readonly flight: Flight })

export const stepShardLog = (state: ShardLogState, event: ShardLogEvent, rules: LogRules = logRules): Step => {
  if (state._tag === "Out" || state._tag === "Quarantined") return stay(state)
  if (event._tag === "SteppedDown") return out("stepped_down", 0)
  if (state._tag === "Reading") return stepReading(state, event)
  if (state._tag === "Serving") {
    if (event._tag === "Gathered") return next({ ...state, gathered: true })
    if (event._tag === "CheckpointAsked") return next({ ...state, checkpointAsked: true })
    if (event._tag === "DeadlinePassed") return { state, effects: [{ _tag: "TellUnknown" }] }
    if (state.flight === null) return stay(state)
    return stepInFlight({ ...state, flight: state.flight }, event, rules)
  }
  return stepInFlight(state, event, rules)
}

const stepReading = (state: Reading, event: ShardLogEvent): Step => {
  switch (event._tag) {
    case "LastRead": {
      const last = event.last ?? { ...emptyTip, epoch: 0 }
      if (last.position >= state.knownAtLeast) return appendEpoch(state, last, last.epoch, false)
      // †24: never written over. But one read may come from a leader that was deposed, so it has to stay so.
      const behind = state.behind + 1
      return behind >= behindMax
        ? quarantine(`the log ends at ${last.position}, but ${state.knownAtLeast} is known`)
        : pauseReading({ ...state, behind })
    }
    case "LastUnread":
      return pauseReading(state)
    case "LastDamaged":
      return quarantine(event.what)
    case "Resumed":
      return { state, effects: [{ _tag: "ReadLast" }] }
    default:
      return stay(state)
  }
}

const pauseReading = (state: Reading): Step => ({
  state: { ...state, tries: state.tries + 1 },
  effects: [{ _tag: "Pause", tries: state.tries }]
})

const stepInFlight = (state: InFlight, event: ShardLogEvent, rules: LogRules): Step => {
  const { flight } = state
  switch (event._tag) {
    case "Taken":
      return flight.hash === null ? stay({ ...state, flight: { ...flight, hash: event.hash } }) : stay(state)
    case "Settled":
      return flight.waits === "append" ? settled(state, event.outcome, rules) : stay(state)
    case "PlaceRead":
      return flight.waits === "read" ? placeRead(state, event.position, event.seen, rules) : stay(state)
    case "Resumed": {
      if (flight.waits !== "pause") return stay(state)
      const attempt: Flight = { ...flight, waits: "append" }
      return {
        state: { ...state, flight: attempt },
        effects: [{ _tag: "Append", flight: attempt, again: flight.hash !== null }]
      }
    }
    default:
      return stay(state)
  }
}

const settled = (state: InFlight, outcome: AppendOutcome, rules: LogRules): Step => {
  const { flight } = state
  // What was not taken has not left: however the attempt ended, it is certain.
  const left = flight.hash !== null
  switch (outcome._tag) {
    case "Committed":
      return committed(state, outcome.position)
    case "Refused":
      return left && !rules.refusalIsCertain(flight) ? pause(state, flight) : refused(state, outcome.reason, rules)
    case "Ambiguous":
      return pause(state, { ...flight, doubtful: flight.doubtful || left })
    case "WrongSequence": {
      const behind = outcome.actual < flight.expectedLast ? flight.behind + 1 : 0
      if (behind >= behindMax)
        return quarantine(`the log ends at ${outcome.actual}, but ${flight.expectedLast} is known`)
      // Either an earlier attempt of mine is there, or another owner's record, or the refusal is a deposed leader's.
      const asked: Flight = { ...flight, doubtful: flight.doubtful || left, behind, waits: "read" }
      if (outcome.actual === 0) return placeRead({ ...state, flight: asked }, 0, { _tag: "Nothing" }, rules)
      return { state: { ...state, flight: asked }, effects: [{ _tag: "Read", position: outcome.actual }] }
    }
  }
}

const placeRead = (state: InFlight, position: LogPosition, seen: Seen, rules: LogRules): Step => {
  if (seen._tag === "Damaged") return quarantine(seen.what)
  const { flight } = state
  switch (rules.judge(flight, seen)) {
    case "mine":
      return committed(state, position)
    case "overtaken":
      return out("taken", seen._tag === "Record" ? seen.epoch : 0)
    case "foreign":
      return quarantine(`position ${position} holds a record of epoch ${flight.epoch} that is not this owner's`)
    case "again":
      if (state._tag === "Serving") return pause(state, flight)
      // An epoch record that nobody serves under may be abandoned; the next one gets what the log ends with by then.
      if (state.handedOver) return out("stale_handover", 0)
      return pauseReading({
        _tag: "Reading",
        epochAtLeast: state.epochAtLeast,
        knownAtLeast: state.knownAtLeast,
        tries: flight.tries,
        behind: 0
      })
  }
}

/**
 * After a pause the same record is appended again, also where a read made no sense: the answer names the place anew,
 * so a stale refusal heals as well as a stale read (†22).
 */
const pause = (state: InFlight, flight: Flight): Step => ({
  state: { ...state, flight: { ...flight, waits: "pause", tries: flight.tries + 1 } },
  effects: [{ _tag: "Pause", tries: flight.tries }]
})

const committed = (state: InFlight, position: LogPosition): Step => {
  const { flight } = state
  if (flight.hash === null || position <= flight.expectedLast) {
    return quarantine(`the log acknowledges position ${position} after ${flight.expectedLast}`)
  }
  const tip: Tip = { position, number: flight.number, hash: flight.hash }
  const effect: ShardLogEffect = { _tag: "Committed", kind: flight.kind, tip }
  if (state._tag === "Opening") return { state: servingShardLog(flight.epoch, tip), effects: [effect] }
  return next({ ...state, tip, flight: null }, effect)
}

const refused = (state: InFlight, reason: "full" | "too_large", rules: LogRules): Step => {
  if (state._tag === "Opening") return out("full", 0)
  const gathered = rules.gatheredFailsToo(state.flight)
  const effect: ShardLogEffect = { _tag: "Failed", kind: state.flight.kind, reason, gathered }
  return next({ ...state, flight: null, gathered: state.gathered && !gathered }, effect)
}

/** One record in flight: a checkpoint takes its turn between two batches. */
const next = (state: Serving, ...effects: ReadonlyArray<ShardLogEffect>): Step => {
  if (state.flight !== null || !(state.checkpointAsked || state.gathered)) return { state, effects }
  const flight = newFlight(state.checkpointAsked ? "checkpoint" : "events", state.epoch, state.tip)
  return {
    state: {
      ...state,
      flight,
      gathered: state.checkpointAsked && state.gathered,
      checkpointAsked: false
    },
    effects: [...effects, { _tag: "Append", flight, again: false }]
  }
}
