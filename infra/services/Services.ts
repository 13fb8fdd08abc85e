/**
 * The services of a data directory, started together and held by a program: a test, the local cluster, the command line.
 * Nodes can be stopped, killed, paused and started again one by one, which is what tests of faults do.
 */
import { randomUUID } from "node:crypto"
import { resolve } from "node:path"
import { isDeepStrictEqual } from "node:util"
import { type CassandraOptions, cassandraProgram, startCassandra } from "./Cassandra.ts"
import { services } from "./Ending.ts"
import { endGuarded, startGuardian } from "./Guardian.ts"
import { cacheFolder } from "./Installation.ts"
import { type NatsOptions, natsProgram, startNats } from "./Nats.ts"
import { kill, launch, runningMark, signal, stop } from "./Process.ts"
import { redisProgram, startRedis } from "./Redis.ts"
import { removeNodes, startAgain, type StartContext, waitForNode } from "./Service.ts"
import { sentenceOf, ServicesError } from "./ServicesError.ts"
import type { SiteOf } from "./Site.ts"
import { type NodeState, type ServiceName, serviceNames, type State, StateWriter } from "./State.ts"

export interface ServicesOptions {
  /** Where state and data are. Two directories are two sets of services. */
  readonly data: string
  readonly nats?: NatsOptions & { readonly nodes?: number }
  readonly cassandra?: CassandraOptions & { readonly nodes?: number }
  readonly redis?: boolean
  /** Nodes that have a network of their own, by name. */
  readonly siteOf?: SiteOf
  /** They go on when this program ends. Otherwise they end with it, even if it is killed. */
  readonly outlive?: boolean
  /** The data is removed when they end; only with services that do not outlive. */
  readonly temporary?: boolean
  readonly environment?: NodeJS.ProcessEnv
  readonly say?: (line: string) => void
}

export const natsNodesDefault = 3

/** Starts what is named and does not run yet: all or nothing, but for services that outlive; of these, what worked stays. */
export const startServices = async (options: ServicesOptions): Promise<RunningServices> => {
  const running = await startEach(options)
  if (running.failures.size === 0) return running
  await running.stop()
  throw new ServicesError([...running.failures.values()].map((error) => error.message).join("\n"))
}

/** The same, where what could be started is worth having without the rest. */
export const startEach = async (options: ServicesOptions): Promise<RunningServices> => {
  const data = resolve(options.data)
  const owner = options.outlive === true ? undefined : randomUUID()
  const guarded = owner === undefined ? undefined : { data, owner, temporary: options.temporary === true }
  const guardian = guarded && startGuardian(guarded)
  const context = {
    environment: options.environment ?? process.env,
    say: options.say ?? (() => undefined),
    owner,
    ...(options.siteOf === undefined ? {} : { siteOf: options.siteOf })
  }
  const failures = new Map<ServiceName, ServicesError>()
  const wanted = serviceNames.filter((name) => options[name] !== undefined && options[name] !== false)
  const end = async (): Promise<void> => {
    if (guarded !== undefined) await endGuarded(guarded)
    await guardian?.dismiss()
  }
  try {
    return await StateWriter.with(data, async (writer) => {
      const start = { ...context, writer, cache: cacheFolder(context.environment) }
      const outcomes = await Promise.allSettled(wanted.map((name) => startOne(start, name, options)))
      for (const [index, outcome] of outcomes.entries()) {
        const name = wanted[index]
        if (outcome.status === "rejected" && name !== undefined) failures.set(name, failureOf(outcome.reason))
      }
      return new RunningServices(data, writer.state, failures, end)
    })
  } catch (error) {
    await end()
    throw error
  }
}

/** Has all of them on this machine, and starts none: for who goes where nothing can be fetched. */
export const installServices = async (say: (line: string) => void): Promise<void> => {
  const context = { environment: process.env, cache: cacheFolder(process.env), say }
  await natsProgram(context)
  await cassandraProgram(context)
  await redisProgram(context)
}

/** What the system refused is a failure as well, and says why: a full disk, a folder of somebody else. */
const failureOf = (reason: unknown): ServicesError => {
  if (reason instanceof ServicesError) return reason
  if (reason instanceof Error && "code" in reason) return new ServicesError(sentenceOf(reason), { cause: reason })
  throw reason
}

const startOne = async (context: StartContext, name: ServiceName, options: ServicesOptions): Promise<void> => {
  const { environment, say, writer } = context
  const service = services[name]
  const given = await service.given(environment)
  const nodes = writer.state.nodes.filter((node) => node.service === name)
  const count = countOf(name, options)
  const countBefore = writer.state.kept.counts[name] ?? count
  if (given === undefined && countBefore !== count) {
    throw new ServicesError(
      `${service.title}: the data in ${writer.data} is that of ${countBefore} nodes, not ${count}: start as many, or choose another directory.`
    )
  }
  if (nodes.some((node) => runningMark(node.launch.pidFile) !== undefined)) {
    // What a start has printed for the environment names the same services.
    if (given !== undefined && !isDeepStrictEqual({ ...writer.state, ...given }, writer.state)) {
      throw new ServicesError(
        `${service.title} runs in ${writer.data}, and the environment names another: end the one, or unset PARLEY_${name.toUpperCase()}.`
      )
    }
    return startAgain(context, service)
  }
  if (given !== undefined) {
    say(`${service.title}: the one that the environment names`)
    removeNodes(writer, name)
    return writer.change((state) => ({ ...state, ...given, origins: { ...state.origins, [name]: "environment" } }))
  }
  if (name === "nats") return startNats(context, count, options.nats)
  if (name === "cassandra") return startCassandra(context, count, options.cassandra)
  return startRedis(context)
}

const countOf = (name: ServiceName, { cassandra, nats }: ServicesOptions): number =>
  ({ nats: nats?.nodes ?? natsNodesDefault, cassandra: cassandra?.nodes ?? 1, redis: 1 })[name]

export class RunningServices implements AsyncDisposable {
  readonly data: string
  readonly state: State
  /** What could not be started, and what to do; always empty from `startServices`. */
  readonly failures: ReadonlyMap<ServiceName, ServicesError>
  readonly #end: () => Promise<void>

  constructor(data: string, state: State, failures: ReadonlyMap<ServiceName, ServicesError>, end: () => Promise<void>) {
    this.data = data
    this.state = state
    this.failures = failures
    this.#end = end
  }

  get nodeNames(): ReadonlyArray<string> {
    return this.state.nodes.map((node) => node.name)
  }

  /** A clean end of one node, such as `nats-2`. */
  async stopNode(name: string): Promise<void> {
    const node = this.#node(name)
    await stop(node.launch, services[node.service].stopMsMax)
  }

  /** As if its machine's process table had been cleared: no flush, no farewell. */
  async killNode(name: string): Promise<void> {
    await kill(this.#node(name).launch)
  }

  /** With the same data, address and configuration; waits until it answers. */
  async startNode(name: string): Promise<void> {
    const node = this.#node(name)
    if (runningMark(node.launch.pidFile) !== undefined) throw new ServicesError(`${name} runs already.`)
    await launch(node.launch)
    await waitForNode(services[node.service], node)
  }

  /** It keeps its connections and does nothing, until `resume`. */
  pause(name: string): void {
    this.#signal(name, "SIGSTOP")
  }

  resume(name: string): void {
    this.#signal(name, "SIGCONT")
  }

  /** Ends what this start has started, unless it is to outlive this program. */
  stop(): Promise<void> {
    return this.#end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #signal(name: string, which: NodeJS.Signals): void {
    if (!signal(this.#node(name).launch, which)) throw new ServicesError(`${name} does not run.`)
  }

  #node(name: string): NodeState {
    const node = this.state.nodes.find((node) => node.name === name)
    if (node !== undefined) return node
    throw new ServicesError(`There is no node ${name} in ${this.data}: there are ${this.nodeNames.join(", ")}.`)
  }
}
