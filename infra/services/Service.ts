/**
 * What every service has in common: how its nodes are planned, started together and found ready. `Nats`, `Cassandra` and
 * `Redis` say the rest.
 */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { choosePorts } from "./Ports.ts"
import { kill, launch, type Launch, runningMark } from "./Process.ts"
import type { Place, Program } from "./Program.ts"
import { tail, waitFor } from "./Readiness.ts"
import { sentenceOf, ServicesError } from "./ServicesError.ts"
import { atSite, type SiteOf } from "./Site.ts"
import type { NodeState, ServiceName, State, StateWriter } from "./State.ts"

export interface StartContext {
  readonly writer: StateWriter
  readonly environment: NodeJS.ProcessEnv
  /** Where installations are kept. */
  readonly cache: string
  /** Of the nodes that are started; see `NodeState`. */
  readonly owner: string | undefined
  /** Nodes that have a network of their own. */
  readonly siteOf?: SiteOf
  readonly say: (line: string) => void
}

/** What finding a program needs. */
export type ProgramContext = Pick<StartContext, "environment" | "cache" | "say">

export type Addresses = Omit<Partial<State>, "version" | "origins" | "nodes" | "kept">

export interface Service {
  readonly name: ServiceName
  readonly title: string
  readonly readyMsMax: number
  /** From SIGTERM to SIGKILL. */
  readonly stopMsMax: number
  /** Addresses that the environment gives, if it does; fails if nothing answers there. */
  readonly given: (environment: NodeJS.ProcessEnv) => Promise<Addresses | undefined>
  /** The node as such, and as a member of the whole. */
  readonly answers: (node: NodeState) => Promise<boolean>
  readonly isReady: (node: NodeState, nodes: ReadonlyArray<NodeState>) => Promise<boolean>
}

/** A plan of nodes whose ports are not chosen yet. */
export interface NodesPlan {
  readonly service: Service
  readonly program: Program
  readonly hosts: ReadonlyArray<string>
  /** Others on the machine go first (`Launch.yields`). */
  readonly yields?: boolean
  /** Of each node's process (`Launch.environment`). */
  readonly environment?: Readonly<Record<string, string>>
  /** Ports that each node has for itself, and ports that are the same on all of them. */
  readonly portNames: ReadonlyArray<string>
  readonly sharedPortNames?: ReadonlyArray<string>
  /** Writes the node's files; returns its arguments. */
  readonly prepare: (node: PlannedNode, nodes: ReadonlyArray<PlannedNode>) => ReadonlyArray<string>
  readonly addresses: (nodes: ReadonlyArray<NodeState>) => Addresses
}

export interface PlannedNode {
  readonly name: string
  readonly host: string
  readonly folder: string
  readonly ports: NodeState["ports"]
}

/** Somebody else may take a port between the choice and the start. */
const attemptsMax = 3

export const startNodes = async (context: StartContext, plan: NodesPlan): Promise<void> => {
  const { service } = plan
  context.say(`${service.title}: ${plan.program.what}`)
  for (let attempt = 1; ; attempt++) {
    const nodes = await placeNodes(context, plan, attempt > 1)
    try {
      await Promise.all(nodes.map((node) => launch(node.launch)))
      await waitUntilReady(context, service, nodes)
      return
    } catch (error) {
      const portTaken = nodes.some(({ launch }) =>
        tail(launch.log, 30).some((line) => /(?:already|is) in use/i.test(line))
      )
      await Promise.all(nodes.map(({ launch }) => kill(launch)))
      removeNodes(context.writer, service.name)
      if (!portTaken || attempt === attemptsMax) throw error
      context.say(`${service.title}: another program took one of its ports, it is started again with others`)
    }
  }
}

/** Chooses ports, writes files, and writes down what is about to be started. */
const placeNodes = async (context: StartContext, plan: NodesPlan, anew: boolean): Promise<ReadonlyArray<NodeState>> => {
  const { data, state } = context.writer
  const { hosts, program, service } = plan
  const names = hosts.map((_, index) => `${service.name}-${index + 1}`)
  const own = names.flatMap((name) => plan.portNames.map((port) => `${name}.${port}`))
  const shared = (plan.sharedPortNames ?? []).map((port) => `${service.name}.${port}`)
  const siteOf = context.siteOf ?? (() => undefined)
  // In a network of its own every port is free, and from here it can't be asked.
  const asked = hosts.filter((_, index) => siteOf(names[index] ?? "") === undefined)
  const ports = await choosePorts([...own, ...shared], [...new Set(asked)], anew ? {} : state.kept.ports)
  const portsOf = (name: string): NodeState["ports"] => {
    const of = (prefix: string, all: ReadonlyArray<string>) => all.map((port) => [port, ports[`${prefix}.${port}`]])
    return Object.fromEntries([...of(name, plan.portNames), ...of(service.name, plan.sharedPortNames ?? [])])
  }
  const planned = names.map((name, index): PlannedNode => {
    const folder = join(data, name)
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const host = siteOf(name)?.host ?? hosts[index] ?? "127.0.0.1"
    return { name, host, folder, ports: portsOf(name) }
  })
  const nodes = planned.map((node): NodeState => {
    const place: Place = { folder: node.folder, containerName: `${state.kept.clusterName}-${node.name}` }
    const { container, ...direct } = program.command(place, plan.prepare(node, planned))
    const site = siteOf(node.name)
    if (site !== undefined && container !== undefined) {
      throw new ServicesError(
        `${service.title} runs in a container here, which can't be put into a network of its own.`
      )
    }
    const command = { ...atSite(site, direct.command, direct.args), ...(container === undefined ? {} : { container }) }
    const log = join(node.folder, `${node.name}.log`)
    const launch: Launch = {
      ...command,
      cwd: node.folder,
      log,
      pidFile: join(node.folder, `${node.name}.pid`),
      ...(plan.environment === undefined ? {} : { environment: plan.environment }),
      ...(plan.yields === true ? { yields: true } : {})
    }
    const owner = context.owner === undefined ? {} : { owner: context.owner }
    return { name: node.name, service: service.name, host: node.host, ports: node.ports, launch, ...owner }
  })
  context.writer.change((state) => ({
    ...state,
    ...plan.addresses(nodes),
    origins: { ...state.origins, [service.name]: program.origin },
    nodes: [...state.nodes.filter((node) => node.service !== service.name), ...nodes],
    kept: {
      ...state.kept,
      ports: { ...state.kept.ports, ...ports },
      counts: { ...state.kept.counts, [service.name]: hosts.length }
    }
  }))
  return nodes
}

/** Starts those of a service's nodes that don't run, as they were started before. */
export const startAgain = async (context: StartContext, service: Service): Promise<void> => {
  const nodes = context.writer.state.nodes.filter((node) => node.service === service.name)
  await Promise.all(
    nodes.map(async (node) => {
      if (runningMark(node.launch.pidFile) === undefined) await launch(node.launch)
    })
  )
  await waitUntilReady(context, service, nodes)
}

export const waitUntilReady = async (
  { say }: Pick<StartContext, "say">,
  service: Service,
  nodes: ReadonlyArray<NodeState>
): Promise<void> => {
  const started = performance.now()
  const seconds = () => ((performance.now() - started) / 1_000).toFixed(1)
  await Promise.all(
    nodes.map(async (node) => {
      await waitForNode(service, node)
      say(`${node.name} answers at ${addressOf(node)} after ${seconds()} s`)
    })
  )
  await Promise.all(nodes.map((node) => waitForNode(service, node, () => service.isReady(node, nodes))))
  if (nodes.length > 1) say(`${service.title}: all ${nodes.length} nodes are one cluster after ${seconds()} s`)
}

export const waitForNode = (
  service: Service,
  node: NodeState,
  answers: () => Promise<boolean> = () => service.answers(node)
): Promise<void> =>
  waitFor({
    what: `${node.name} at ${addressOf(node)}`,
    msMax: service.readyMsMax,
    log: node.launch.log,
    runs: () => runningMark(node.launch.pidFile) !== undefined,
    answers
  })

export const addressOf = (node: NodeState): string => `${node.host}:${node.ports.client}`

/** A service's nodes and addresses leave the state; what is kept stays. */
export const removeNodes = (writer: StateWriter, name: ServiceName): void =>
  writer.change((state) => {
    const others = Object.fromEntries(Object.entries(state).filter(([key]) => !key.startsWith(name)))
    const origins = Object.fromEntries(Object.entries(state.origins).filter(([service]) => service !== name))
    const nodes = state.nodes.filter((node) => node.service !== name)
    return { ...others, version: state.version, kept: state.kept, origins, nodes }
  })

/** `host:port`, with the service's usual port where none is given. */
export const hostAndPort = (text: string, variable: string, usualPort: number): { host: string; port: number } => {
  try {
    const url = new URL(text.includes("://") ? text : `any://${text.trim()}`)
    if (url.hostname === "") throw new Error("no host")
    return { host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port: url.port === "" ? usualPort : Number(url.port) }
  } catch (error) {
    throw new ServicesError(
      `${variable} has "${text}" in it, which is no address (${sentenceOf(error)}): write host:port.`
    )
  }
}
