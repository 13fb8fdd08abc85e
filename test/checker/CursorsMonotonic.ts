/** Read marks of a user never end up before one that a device was told of (its devices offer theirs again at sync). */
import { laterCursor } from "@parley/storage/CursorStore"
import type { FinalState } from "./FinalState.ts"
import type { History } from "./History.ts"
import type { Violation } from "./Violation.ts"

export const cursorsMonotonic = (history: History, final: FinalState): ReadonlyArray<Violation> => {
  const fresh = new Map(final.fresh.map((view) => [view.user, view.channels]))
  return history.flatMap((fact) => {
    if (fact._tag !== "Marked") return []
    const now = fresh.get(fact.user)?.get(fact.channel)?.cursor
    // Who left has no cursor to look at.
    if (now === undefined || laterCursor(now, fact.cursor) === now) return []
    const what = `${fact.user}'s read mark in ${fact.channel} went back`
    return [{ invariant: "CURSORS-MONOTONIC" as const, what, evidence: { told: fact.cursor, now } }]
  })
}
