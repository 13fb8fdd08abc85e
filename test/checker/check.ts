/**
 * The one checker of the invariants, for every test that starts real servers: crash, power loss, full disk, and the
 * broken builds that it has to catch. Pure: what was seen, and what is there at the end, go in; what is wrong comes out.
 */
import { cursorsMonotonic } from "./CursorsMonotonic.ts"
import { durableBeforeAck } from "./DurableBeforeAck.ts"
import { exactlyOnceEffect } from "./ExactlyOnceEffect.ts"
import type { FinalState } from "./FinalState.ts"
import type { History } from "./History.ts"
import { noGapSync } from "./NoGapSync.ts"
import { oneOrder } from "./OneOrder.ts"
import { revokedIsOut } from "./RevokedIsOut.ts"
import { truthOf } from "./Truth.ts"
import type { Violation } from "./Violation.ts"

export const check = (history: History, final: FinalState): ReadonlyArray<Violation> => {
  const truth = truthOf(history, final)
  return [
    ...durableBeforeAck(history, truth, final),
    ...oneOrder(history, truth, final),
    ...exactlyOnceEffect(history, truth),
    ...noGapSync(history, truth, final),
    ...revokedIsOut(history, truth),
    ...cursorsMonotonic(history, final),
    ...history.flatMap((fact) =>
      fact._tag === "Broken" ? [{ invariant: "WIRE-SCHEMA" as const, what: fact.what, evidence: fact }] : []
    )
  ]
}
