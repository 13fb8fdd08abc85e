/**
 * How far the store knows the log to have come, by shard: kept apart from the log, so that one that comes back with less
 * than it had (an older backup) is found before it is written over (†24). The persister says so now and then; what the log
 * had after that is known to nobody but itself.
 *
 * Where log and store are one directory that is kept and restored as a whole, nothing is kept: the default.
 */
import { Context, Effect } from "effect"
import type { LogPosition } from "./EventLog.ts"
import type { StoreRefused, StoreUnavailable } from "./StoreError.ts"

export interface LogPlace {
  readonly shard: number
  readonly position: LogPosition
}

export interface LogPlacesService {
  /** 0: nothing is known. */
  known(shard: number): Effect.Effect<LogPosition, StoreUnavailable>
  /** A smaller position than is known changes nothing. */
  note(places: ReadonlyArray<LogPlace>): Effect.Effect<void, StoreUnavailable | StoreRefused>
}

export const LogPlaces = Context.Reference<LogPlacesService>("@parley/storage/LogPlaces", {
  defaultValue: () => ({ known: () => Effect.succeed(0), note: () => Effect.void })
})
