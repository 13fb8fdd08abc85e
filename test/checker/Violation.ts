/** What the checker finds: which promise was broken, where, and what shows it. */

export type Invariant =
  | "DURABLE-BEFORE-ACK"
  | "ONE-ORDER"
  | "EXACTLY-ONCE-EFFECT"
  | "NO-GAP-SYNC"
  | "REVOKED-IS-OUT"
  /** Read marks never go back within a generation. */
  | "CURSORS-MONOTONIC"
  /** Every frame fits its schema. */
  | "WIRE-SCHEMA"

export interface Violation {
  readonly invariant: Invariant
  readonly what: string
  readonly evidence: unknown
}

/** Violations shown of each invariant; the rest is counted. */
const shownMax = 5

/** For a failing test's message. */
export const renderViolations = (violations: ReadonlyArray<Violation>): string =>
  [...Map.groupBy(violations, ({ invariant }) => invariant)]
    .flatMap(([invariant, found]) => [
      `${invariant}: ${found.length}`,
      ...found.slice(0, shownMax).map(({ evidence, what }) => `  ${what} ${JSON.stringify(evidence)}`)
    ])
    .join("\n")
