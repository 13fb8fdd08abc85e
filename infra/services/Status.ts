/** A line for each node: its address, whether it runs, answers and is ready, its process and memory. */
import { readFileSync } from "node:fs"
import { services } from "./Ending.ts"
import { runningMark } from "./Process.ts"
import { addressOf } from "./Service.ts"
import type { NodeState, ServiceName, State } from "./State.ts"

export interface Status {
  readonly lines: ReadonlyArray<string>
  readonly allReady: boolean
}

export const statusOf = async (state: State | undefined, names: ReadonlyArray<ServiceName>): Promise<Status> => {
  const parts = await Promise.all(names.map((name) => serviceStatus(state, name)))
  return { lines: parts.flatMap(({ lines }) => lines), allReady: parts.every(({ allReady }) => allReady) }
}

const serviceStatus = async (state: State | undefined, name: ServiceName): Promise<Status> => {
  const origin = state?.origins[name]
  if (state === undefined || origin === undefined) return { lines: [`${name.padEnd(14)} not started`], allReady: false }
  if (origin === "environment") return givenStatus(state, name)
  const nodes = state.nodes.filter((node) => node.service === name)
  const found = await Promise.all(nodes.map(async (node) => ({ node, is: await nodeStatus(node, nodes) })))
  return {
    lines: found.map(
      ({ is, node }) => `${node.name.padEnd(14)} ${addressOf(node).padEnd(16)} ${is.padEnd(14)} ${processOf(node)}`
    ),
    allReady: found.every(({ is }) => is === "ready")
  }
}

const nodeStatus = async (node: NodeState, nodes: ReadonlyArray<NodeState>): Promise<string> => {
  const mark = runningMark(node.launch.pidFile)
  if (mark === undefined) return "not running"
  if (isPaused(mark.pid)) return "paused"
  const service = services[node.service]
  if (!(await service.answers(node))) return "does not answer"
  return (await service.isReady(node, nodes)) ? "ready" : "alone"
}

/** What the state knows of it may be old by now: the addresses are asked again. */
const givenStatus = async (state: State, name: ServiceName): Promise<Status> => {
  const { cassandraContactPoints = [], natsServers = [], redisUrl = "" } = state
  const addresses = { nats: natsServers.join(","), cassandra: cassandraContactPoints.join(","), redis: redisUrl }[name]
  const answers = await services[name].given({ [`PARLEY_${name.toUpperCase()}`]: addresses }).then(
    () => true,
    () => false
  )
  return {
    lines: [
      `${name.padEnd(14)} ${withoutLogin(addresses)} ${answers ? "answers" : "does not answer"} (from the environment)`
    ],
    allReady: answers
  }
}

const withoutLogin = (addresses: string): string => addresses.replaceAll(/\/\/[^/@,]*@/g, "//")

const procLine = (pid: number, name: string): string | undefined => {
  try {
    return new RegExp(`^${name}:\\s+(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  } catch {
    return undefined
  }
}

const isPaused = (pid: number): boolean => procLine(pid, "State")?.startsWith("T") === true

const processOf = ({ launch }: NodeState): string => {
  const mark = runningMark(launch.pidFile)
  if (mark === undefined) return ""
  const kilobytes = Number.parseInt(procLine(mark.pid, "VmRSS") ?? "", 10)
  return `process ${mark.pid}${Number.isNaN(kilobytes) ? "" : `, ${Math.round(kilobytes / 1_024)} MB`}`
}
