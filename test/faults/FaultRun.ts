/**
 * One fault under load on a cluster of real processes and real services: a team works on all nodes, the fault happens in the
 * midst, it heals, and the checker looks at everything that anybody was told. Bounded in mutations and time.
 */
import type { LocalCluster, LocalNode } from "../../infra/cluster/LocalNodes.ts"
import type { PrivateNetwork } from "../../infra/faults/PrivateNetwork.ts"
import { tail } from "../../infra/services/Readiness.ts"
import type { Invariant } from "../checker/Violation.ts"
import type { Random } from "../harness/Random.ts"
import { type Verdict, verdict } from "../harness/Verdict.ts"
import { Workload, type WorkloadOptions } from "../harness/Workload.ts"
import { AckWatch } from "./AckWatch.ts"
import { stuckOf, viewsOf } from "./ClusterCalls.ts"
import type { OwnCluster } from "./Stage.ts"

export interface Scene {
  readonly cluster: LocalCluster
  readonly workload: Workload
  readonly random: Random
  /** Where the machine can make one: each node and each service has a namespace by its name. */
  readonly network: PrivateNetwork | undefined
  /** Notes what a person who reads the report should know. */
  note(text: string): void
  /** Something that the fault itself looked at is not as it was promised. */
  broken(text: string): void
  /** A kill, or a fault's end: from here each channel's way back is timed. Without it, from the end of `happen`. */
  mark(): void
}

/** What a machine may not allow. */
export type Need = "network" | "fuse" | "mount"

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
  /** How long sends may stand still, in ms; beyond it the run fails. */
  readonly pauseMsMax: number
  readonly needs?: ReadonlyArray<Need>
  /** A cluster for this fault alone; else the one that all share. */
  readonly own?: OwnCluster
  /** The build is broken on purpose, or its settings are: the run is as it should be where one of these is found broken. */
  readonly catches?: ReadonlyArray<Invariant>
  /** Of the load: how often a step is taken, and how long a lane rests between two, where it is not as usual. */
  readonly weights?: WorkloadOptions["weights"]
  readonly loadPauseMs?: number
  /** How long devices have to catch up by themselves; as usual if not said. */
  readonly settleMsMax?: number
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
  /** From the last mark to the first ack of the channel that was last. */
  readonly recoveryMs: number | undefined
  readonly notes: ReadonlyArray<string>
  /** Of a broken build: it was caught. */
  readonly sound: boolean
  /** Whether it was to be caught. */
  readonly caught: boolean
  readonly report: string
}

/** Acks before the fault, and after it, that show the load is really there. */
const acksAround = 60
const acksMsMax = 60_000
/** With eight channels none gets near to 2,000 events, from where a sync from nothing is a reload: the checker reads by those. */
const mutationsMax = 12_000
const moreChannels = 5
const endMsMax = 30_000
/** A broken build may answer nobody any more. */
const endBrokenMsMax = 5_000
const settleMsMaxUsual = 40_000
/** Of each node's log, in the report of a run that is not sound. */
const logLines = 30

let runs = 0

/** Acks that a fault lies between. */
export const between = async ({ workload }: Scene, acks: number): Promise<void> => {
  await workload.untilAcked(acks, 30_000)
}

export const someNode = ({ cluster, random }: Scene): number => random.between(0, cluster.count - 1)

export const runFault = async (
  cluster: LocalCluster,
  fault: Fault,
  random: Random,
  network?: PrivateNetwork
): Promise<FaultResult> => {
  const startedAt = performance.now()
  const tag = `${process.pid}x${++runs}`
  const notes: Array<string> = []
  const wrong: Array<string> = []
  const isBroken = fault.catches !== undefined
  const { edges } = fault.own ?? {}
  const isEdge = ({ name }: LocalNode) => edges === undefined || Number(name.split("-").at(-1)) > cluster.count - edges
  const url = () => random.pick(cluster.nodes.filter(isEdge).map((node) => node.url))
  const workload = new Workload({
    random,
    url,
    mutationsMax,
    lasting: true,
    pauseMs: fault.loadPauseMs ?? 30,
    tag,
    moreChannels,
    nextClients: fault.nextClients ?? false,
    weights: fault.weights ?? {}
  })
  const watch = new AckWatch(workload.recorder, () => workload.channels)
  const untilAcked = async (when: string, msMax: number) => {
    if (await workload.untilAcked(acksAround, msMax)) return
    ;(isBroken ? notes : wrong).push(`too few acks ${when} the fault`)
  }
  let marked = false
  try {
    await workload.prepare()
    workload.begin()
    await untilAcked("before", acksMsMax)
    watch.begin()
    const mark = () => {
      marked = true
      watch.mark()
    }
    const note = (text: string) => void notes.push(text)
    const broken = (text: string) => void wrong.push(text)
    await fault.happen({ cluster, workload, random, network, note, broken, mark })
    network?.heal()
    if (!marked) watch.mark()
    await untilAcked("after", isBroken ? endBrokenMsMax : acksMsMax)
    if (!isBroken) await untilAllBack(watch)
    watch.end()
    if (watch.longestPauseMs > fault.pauseMsMax && !isBroken) {
      wrong.push(`no ack for longer than ${fault.pauseMsMax} ms`)
    }
    await workload.end(isBroken ? endBrokenMsMax : endMsMax)
    const servers = () => cluster.nodes.map((node) => node.url)
    const judged = () => ({ url: url(), servers: servers(), output: logsOf(cluster) })
    const settleMsMax = fault.settleMsMax ?? (isBroken ? 2 * endBrokenMsMax : settleMsMaxUsual)
    const judgement = await verdict(workload, judged, random, settleMsMax)
    const isStuck = !isBroken && watch.silent.length > 0
    const seen =
      judgement.violations.length > 0 || isStuck
        ? `\n${await viewsOf(cluster)}\n${await stuckOf(cluster, workload.channels)}`
        : ""
    const found = { ...judgement, report: judgement.report + seen }
    return resultOf(fault, found, { seed: random.seed, watch, notes, wrong, startedAt })
  } finally {
    network?.heal()
    watch.end()
    await workload.stop()
  }
}

/** Every channel is acknowledged something again, or that takes too long, which the report shows. */
const untilAllBack = async (watch: AckWatch): Promise<void> => {
  for (const until = performance.now() + backMsMax; watch.silent.length > 0 && performance.now() < until;) {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
const backMsMax = 30_000

const logsOf = (cluster: LocalCluster): string =>
  cluster.nodes.map(({ log, name }) => `--- ${name}:\n${tail(log, logLines).join("\n")}`).join("\n")

interface Run {
  readonly seed: number
  readonly watch: AckWatch
  readonly notes: ReadonlyArray<string>
  readonly wrong: ReadonlyArray<string>
  readonly startedAt: number
}

const resultOf = (fault: Fault, { acked, report, violations }: Verdict, run: Run): FaultResult => {
  const counts: Partial<Record<Invariant, number>> = {}
  for (const { invariant } of violations) counts[invariant] = (counts[invariant] ?? 0) + 1
  const { catches } = fault
  const silent = catches === undefined ? run.watch.silent : []
  const wrong = silent.length === 0 ? run.wrong : [...run.wrong, `not back: ${silent.join(", ")}`]
  const asPromised = violations.length === 0 && wrong.length === 0
  const caught = wrong.length > 0 || (catches?.some((invariant) => counts[invariant] !== undefined) ?? false)
  return {
    fault: fault.name,
    seed: run.seed,
    seconds: Math.round((performance.now() - run.startedAt) / 1_000),
    acked,
    violations: counts,
    longestPauseMs: Math.round(run.watch.longestPauseMs),
    recoveryMs: run.watch.recoveryMs === undefined ? undefined : Math.round(run.watch.recoveryMs),
    notes: [...run.notes, ...wrong],
    sound: catches === undefined ? asPromised : caught,
    caught: catches !== undefined,
    report
  }
}
