/**
 * One fault under load on a cluster of real processes and real services: a team works on all nodes, the fault happens in the
 * midst, it heals, and the checker looks at everything that anybody was told. Bounded in mutations and time.
 */
import type { LocalCluster } from "../../infra/cluster/LocalNodes.ts"
import { tail } from "../../infra/services/Readiness.ts"
import type { Invariant } from "../checker/Violation.ts"
import type { Random } from "../harness/Random.ts"
import { type Verdict, verdict } from "../harness/Verdict.ts"
import { Workload } from "../harness/Workload.ts"

export interface Scene {
  readonly cluster: LocalCluster
  readonly workload: Workload
  readonly random: Random
  /** Notes what a person who reads the report should know. */
  note(text: string): void
}

export interface Fault {
  readonly name: string
  /** A line for `--list`. */
  readonly about: string
  /** Makes the fault, and ends it: everything runs again when this is over. */
  readonly happen: (scene: Scene) => Promise<void>
  /** Part of the short set, which every run of the tests has. */
  readonly short: boolean
  /** Half of the devices speak as clients of the next release. */
  readonly nextClients?: boolean
  /** Of each of the 24 lanes between two steps; a fault that takes long needs a load that lasts. Default 30 ms. */
  readonly loadPauseMs?: number
  /** How long sends may stand still, in ms; beyond it the run fails. */
  readonly pauseMsMax: number
}

export interface FaultResult {
  readonly fault: string
  readonly seed: number
  readonly seconds: number
  readonly acked: number
  /** Violations found, by what they are of. */
  readonly violations: Readonly<Partial<Record<Invariant, number>>>
  /** Longest time without an ack while the load went on. */
  readonly longestPauseMs: number
  readonly notes: ReadonlyArray<string>
  readonly sound: boolean
  readonly report: string
}

/** Acks before the fault, and after it, that show the load is really there. */
const acksAround = 60
const acksMsMax = 60_000
/** Beyond some 2,000 events a sync from nothing is a reload, and the checker reads by syncs from nothing. */
const mutationsMax = 6_000
const endMsMax = 30_000
const settleMsMax = 40_000
/** Of each node's log, in the report of a run that is not sound. */
const logLines = 30

let runs = 0

export const runFault = async (cluster: LocalCluster, fault: Fault, random: Random): Promise<FaultResult> => {
  const startedAt = performance.now()
  const tag = `${process.pid}x${++runs}`
  const notes: Array<string> = []
  const url = () => random.pick(cluster.nodes.map((node) => node.url))
  const { loadPauseMs = 30, nextClients = false } = fault
  const workload = new Workload({ random, url, mutationsMax, pauseMs: loadPauseMs, tag, nextClients })
  const pauses = watchPauses(workload)
  try {
    await workload.prepare()
    workload.begin()
    if (!(await workload.untilAcked(acksAround, acksMsMax))) notes.push("too few acks before the fault")
    pauses.begin()
    await fault.happen({ cluster, workload, random, note: (text) => notes.push(text) })
    if (!(await workload.untilAcked(acksAround, acksMsMax))) notes.push("too few acks after the fault")
    const longestPauseMs = pauses.end()
    await workload.end(endMsMax)
    const judged = () => ({ url: url(), output: logsOf(cluster) })
    const found = await verdict(workload, judged, random, settleMsMax)
    return resultOf(fault, found, { seed: random.seed, longestPauseMs, notes, startedAt })
  } finally {
    await workload.stop()
  }
}

const logsOf = (cluster: LocalCluster): string =>
  cluster.nodes.map(({ log, name }) => `--- ${name}:\n${tail(log, logLines).join("\n")}`).join("\n")

const resultOf = (
  fault: Fault,
  { acked, report, violations }: Verdict,
  run: {
    readonly seed: number
    readonly longestPauseMs: number
    readonly notes: ReadonlyArray<string>
    readonly startedAt: number
  }
): FaultResult => {
  const counts: Partial<Record<Invariant, number>> = {}
  for (const { invariant } of violations) counts[invariant] = (counts[invariant] ?? 0) + 1
  const tooLong = run.longestPauseMs > fault.pauseMsMax
  const tooFew = run.notes.some((note) => note.startsWith("too few acks"))
  return {
    fault: fault.name,
    seed: run.seed,
    seconds: Math.round((performance.now() - run.startedAt) / 1_000),
    acked,
    violations: counts,
    longestPauseMs: Math.round(run.longestPauseMs),
    notes: tooLong ? [...run.notes, `no ack for longer than ${fault.pauseMsMax} ms`] : run.notes,
    sound: violations.length === 0 && !tooLong && !tooFew,
    report
  }
}

const pollMs = 10

/** The longest time in which no ack came, by looking often. */
const watchPauses = (workload: Workload) => {
  let timer: NodeJS.Timeout | undefined
  let longest = 0
  let last = 0
  let acked = 0
  const look = () => {
    const now = performance.now()
    if (workload.acked !== acked) {
      acked = workload.acked
      last = now
    }
    longest = Math.max(longest, now - last)
  }
  return {
    begin: () => {
      last = performance.now()
      acked = workload.acked
      timer = setInterval(look, pollMs)
    },
    end: () => {
      clearInterval(timer)
      return longest
    }
  }
}
