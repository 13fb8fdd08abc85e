/**
 * The decisions about the log that must not be wrong, each by itself. `ShardLogState` asks them, and the exhaustive
 * test replaces them one by one to show that each is needed.
 */
import type { LogPosition } from "@parley/storage/EventLog"
import type { RecordHash } from "./Record.ts"

/** A record on its way into the log. */
export interface Flight {
  readonly kind: "epoch" | "events" | "checkpoint"
  readonly epoch: number
  readonly number: number
  /** What it must follow: the expected last record of the shard. */
  readonly expectedLast: LogPosition
  /** null until the log takes it: until then no byte of it has left. */
  readonly hash: RecordHash | null
  /** An attempt of it may be written or still on its way: then only success, or another record at its place, settles it. */
  readonly doubtful: boolean
  /** What it waits for. */
  readonly waits: "append" | "read" | "pause"
  /** Attempts that settled nothing: paces the next one. */
  readonly tries: number
  /** Refusals in a row that named a place before what this owner knows committed. */
  readonly behind: number
}

/** What a read that decides found at the place a refusal named. */
export type Seen =
  | { readonly _tag: "Record"; readonly epoch: number; readonly number: number; readonly hash: RecordHash }
  /** Nothing there, or no answer: the read is stale, or the refusal was. */
  | { readonly _tag: "Nothing" }
  /** What is there is not what anybody wrote. */
  | { readonly _tag: "Damaged"; readonly what: string }

export type Verdict = "mine" | "overtaken" | "again" | "foreign"

export interface LogRules {
  /** Whether a refusal is the end of this record, so that its callers may be told "failed". */
  readonly refusalIsCertain: (flight: Flight) => boolean
  /** Whether what was gathered behind a refused record fails with it. */
  readonly gatheredFailsToo: (flight: Flight) => boolean
  /** What the record at the place of a refusal says about the record in flight. */
  readonly judge: (flight: Flight, seen: Seen) => Verdict
}

export const logRules: LogRules = {
  // †20 †21: a lost or delayed attempt may be written after a later attempt was refused.
  refusalIsCertain: (flight) => !flight.doubtful,
  // †20: later events of the same entities took the next seqs. A checkpoint took none.
  gatheredFailsToo: (flight) => flight.kind === "events",
  judge: (flight, seen) => {
    if (seen._tag !== "Record") return "again"
    // †22: mine is what has my bytes, not what has my numbers.
    if (seen.hash === flight.hash) return "mine"
    if (seen.epoch > flight.epoch) return "overtaken"
    // Two owners that start at once may choose the same epoch; the epoch record of one of them is refused.
    if (seen.epoch === flight.epoch && flight.kind === "epoch") return "overtaken"
    // Under my own epoch and further than I ever was: somebody else writes as me.
    if (seen.epoch === flight.epoch && seen.number >= flight.number) return "foreign"
    return "again"
  }
}
