/**
 * Read cursors. A cursor is a value `(generation, seq)`, merged by max (generation first), so writing it again, late or
 * out of order never moves it back; "mark unread" raises the generation (†5).
 */
import type { Effect } from "effect"
import { Context } from "effect"
import type { Position } from "@parley/protocol/Ids"
import type { StoreUnavailable } from "./StoreError.ts"

export interface Cursor {
  readonly channel: string
  readonly position: Position
}

/** The larger of two cursors: generation first, then seq. */
export const laterCursor = (a: Position, b: Position): Position =>
  a.generation !== b.generation ? (a.generation > b.generation ? a : b) : a.seq >= b.seq ? a : b

export class CursorStore extends Context.Service<
  CursorStore,
  {
    /** All cursors of a user. */
    read(user: string): Effect.Effect<ReadonlyArray<Cursor>, StoreUnavailable>
    /** Merges by max. */
    merge(user: string, cursors: ReadonlyArray<Cursor>): Effect.Effect<void, StoreUnavailable>
    /** Cursors of the members of one (small) channel. */
    ofChannel(
      channel: string
    ): Effect.Effect<ReadonlyArray<{ readonly user: string; readonly position: Position }>, StoreUnavailable>
  }
>()("@parley/storage/CursorStore") {}
