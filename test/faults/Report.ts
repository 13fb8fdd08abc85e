/** A page of what a run of the faults found: a row a fault. */
import { cpus, totalmem } from "node:os"
import type { FaultResult } from "./FaultRun.ts"

const rowOf = ({
  acked,
  caught,
  fault,
  longestPauseMs,
  notes,
  recoveryMs,
  seconds,
  seed,
  sound,
  violations
}: FaultResult): string => {
  const count = (name: keyof typeof violations) => violations[name] ?? 0
  const others = Object.entries(violations).reduce((sum, [, found]) => sum + (found ?? 0), 0)
  const cells = [
    fault,
    caught ? (sound ? "caught" : "**not caught**") : sound ? "sound" : "**broken**",
    seconds,
    acked,
    count("DURABLE-BEFORE-ACK"),
    count("EXACTLY-ONCE-EFFECT"),
    count("ONE-ORDER"),
    others,
    (longestPauseMs / 1_000).toFixed(1),
    recoveryMs === undefined ? "never" : (recoveryMs / 1_000).toFixed(1),
    seed,
    notes.join("; ")
  ]
  return `| ${cells.join(" | ")} |`
}

export const reportOf = (results: ReadonlyArray<FaultResult>): string =>
  [
    `Machine: ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, everything on it; Node ${process.version}. Load: six devices of four users, up to 24 changes under way.`,
    "",
    "| fault | verdict | seconds | acknowledged | lost | duplicated | reordered | all violations | longest time without an ack, s | recovery, s | seed | notes |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ...results.map(rowOf),
    ""
  ].join("\n")
