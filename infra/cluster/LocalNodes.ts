/**
 * Parley nodes of one cluster as processes of this machine, each with a data directory of its own (keys, nothing else),
 * over services that are started with them. A node ends with the program that started it, however that ends, and can be
 * killed and started again, by a person or by a test.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, mkdirSync, openSync } from "node:fs"
import { join } from "node:path"
import { waitFor } from "../services/Readiness.ts"
import { environmentOf } from "../services/Environment.ts"
import { untilPaused } from "../services/Pause.ts"
import { type RunningServices, type ServicesOptions, startServices } from "../services/Services.ts"
import { ServicesError } from "../services/ServicesError.ts"
import { atSite, type SiteOf } from "../services/Site.ts"
import { loopback, nodeName, portsOf, sharedSecret } from "./NodePlaces.ts"
import { localCluster, nodeUsers, systemUserOf } from "./NodeUsers.ts"

const root = join(import.meta.dirname, "../..")
/** A node's start: code, connections, the shards that it takes, and of the first one the tables; on a busy machine. */
const startMsMax = 240_000
/** It drains first; what is left then is killed. */
const stopMsMax = 30_000

export interface ClusterOptions {
  readonly data: string
  readonly count: number
  /** Of the first node; the others follow. 0: free ones. */
  readonly port: number
  /** Further settings of every node, as `PARLEY_…`. */
  readonly environment?: Readonly<Record<string, string>>
  /** And of one node, by its place. */
  readonly environmentOf?: (index: number) => Readonly<Record<string, string>>
  /** Nodes and services that have a network of their own, by name. */
  readonly siteOf?: SiteOf
  /** Services that run already, and go on when the cluster ends; otherwise it has its own. */
  readonly over?: RunningServices
  /** How its own services differ from the usual: three NATS servers, one Cassandra node, Redis. */
  readonly services?: Pick<ServicesOptions, "nats" | "cassandra">
  /** Of node, before the script. */
  readonly nodeFlags?: ReadonlyArray<string>
  readonly say?: (line: string) => void
  /** With the services there and before any node: settings of this cluster as `PARLEY_…`. */
  readonly beforeNodes?: (environment: Readonly<Record<string, string>>) => Promise<void>
}

/** What one start of a node has beside its cluster's. */
export interface NodeChange {
  readonly environment?: Readonly<Record<string, string>>
  readonly nodeFlags?: ReadonlyArray<string>
  /** What is waited for; `/livez`: it answers, though it may not want traffic. */
  readonly probe?: "/readyz" | "/livez"
}

export interface LocalNode {
  readonly name: string
  readonly url: string
  readonly pid: number
  readonly log: string
}

/** Of a cluster's own services; in it, a folder a node. */
export const servicesFolder = (data: string): string => join(data, "services")

/** Services, then nodes; all or nothing. */
export const startCluster = async (options: ClusterOptions): Promise<LocalCluster> => {
  const say = options.say ?? (() => undefined)
  mkdirSync(options.data, { recursive: true, mode: 0o700 })
  const asked = await portsOf(options)
  const names = asked.map((_port, index) => nodeName(index))
  const services =
    options.over ??
    (await startServices({
      data: servicesFolder(options.data),
      nats: { nodes: 3, ...nodeUsers(names), ...options.services?.nats },
      cassandra: { nodes: 1, yields: true, ...options.services?.cassandra },
      redis: true,
      say,
      ...(options.siteOf === undefined ? {} : { siteOf: options.siteOf })
    }))
  // Any free ones are chosen now: services took theirs meanwhile.
  const ports = options.port === 0 ? await freePorts(options, services) : asked
  const cluster = new LocalCluster(options, services, ports, say)
  try {
    await options.beforeNodes?.(cluster.environment)
    // The first one makes streams, buckets and tables; those that start together share the shards out once.
    await cluster.startNode(0)
    await Promise.all(ports.slice(1).map((_port, index) => cluster.startNode(index + 1)))
    return cluster
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
}

const freePorts = async (options: ClusterOptions, services: RunningServices): Promise<ReadonlyArray<number>> => {
  try {
    return await portsOf(options)
  } catch (error) {
    if (options.over === undefined) await services.stop()
    throw error
  }
}

export class LocalCluster implements AsyncDisposable {
  readonly services: RunningServices
  readonly #options: ClusterOptions
  readonly #ports: ReadonlyArray<number>
  readonly #say: (line: string) => void
  readonly #children = new Map<number, ChildProcess>()

  constructor(
    options: ClusterOptions,
    services: RunningServices,
    ports: ReadonlyArray<number>,
    say: (line: string) => void
  ) {
    this.#options = options
    this.services = services
    this.#ports = ports
    this.#say = say
  }

  /** Nodes, whether they run or not. */
  get count(): number {
    return this.#ports.length
  }

  /** Those that run. */
  get nodes(): ReadonlyArray<LocalNode> {
    return [...this.#children].sort(([a], [b]) => a - b).map(([index, { pid = 0 }]) => ({ ...this.place(index), pid }))
  }

  /** Its folder: services, and one of each node. */
  get data(): string {
    return this.#options.data
  }

  /** Signs tokens that every node takes. */
  get secret(): string {
    return sharedSecret(this.#options.data)
  }

  /** What all nodes have in common. */
  get environment(): Readonly<Record<string, string>> {
    const { environment, siteOf } = this.#options
    const copies = Math.min(3, this.services.state.cassandraContactPoints?.length ?? 1)
    return {
      // Development mode hands tokens out, so it stays on loopback.
      PARLEY_MODE: siteOf === undefined ? "development" : "production",
      PARLEY_AUTH_SECRET: this.secret,
      PARLEY_CASSANDRA_REPLICATION: `${this.services.state.cassandraDatacenter ?? "datacenter1"}:${copies}`,
      PARLEY_CASSANDRA_SYNC_MS: "0",
      ...environmentOf(this.services.state, "PARLEY_"),
      PARLEY_CLUSTER: localCluster,
      ...environment
    }
  }

  place(index: number): Omit<LocalNode, "pid"> {
    const name = nodeName(index)
    const at = this.#options.siteOf?.(name)?.host ?? loopback
    return { name, url: `http://${at}:${this.#ports[index]}`, log: join(this.#options.data, name, "node.log") }
  }

  /** Starts a node that does not run, and waits until it serves; `change`: settings of this start only. */
  async startNode(index: number, change: NodeChange = {}): Promise<void> {
    const { log, name, url } = this.place(index)
    const data = join(this.#options.data, name)
    mkdirSync(data, { recursive: true, mode: 0o700 })
    const output = openSync(log, "a", 0o600)
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("PARLEY_"))
    const site = this.#options.siteOf?.(name)
    const command = atSite(site, process.execPath, [
      ...(this.#options.nodeFlags ?? []),
      ...(change.nodeFlags ?? []),
      "--import",
      endWithParent,
      join(root, "infra/launch.mjs"),
      "apps/node/src/main.ts",
      "serve"
    ])
    const child = spawn(command.command, command.args, {
      cwd: root,
      env: {
        ...Object.fromEntries(inherited),
        ...this.environment,
        ...this.#logins(name),
        PARLEY_NAME: name,
        PARLEY_DATA: data,
        PARLEY_PORT: String(this.#ports[index]),
        ...(site === undefined ? {} : { PARLEY_HOST: site.host }),
        ...this.#options.environment,
        ...this.#options.environmentOf?.(index),
        ...change.environment
      },
      // A session of its own: Linux shares the cores out by session first (`sched_autogroup`), services have one each as well.
      detached: true,
      stdio: ["ignore", output, output]
    })
    closeSync(output)
    this.#children.set(index, child)
    let ended = false
    child.once("exit", (code, signal) => {
      ended = true
      if (this.#children.get(index) === child) this.#children.delete(index)
      this.#say(`${name} ended${signal === null ? ` with ${code}` : ` by ${signal}`}; its log is ${log}`)
    })
    await waitFor({
      what: `${name} at ${url}`,
      msMax: startMsMax,
      log,
      runs: () => !ended,
      answers: () => isReady(url, change.probe ?? "/readyz")
    })
    this.#say(`${name} serves at ${url}`)
  }

  /** Its own users at NATS, where that was started here; who names servers in the environment names their users, too. */
  #logins(name: string): Readonly<Record<string, string>> {
    // They are of the usual name: a cluster of another one has what the services' own user may.
    const other = (this.environment["PARLEY_CLUSTER"] ?? localCluster) !== localCluster
    return this.services.state.origins.nats === "environment" || other
      ? {}
      : { PARLEY_NATS_USER: name, PARLEY_NATS_SYSTEM_USER: systemUserOf(name) }
  }

  signalNode(index: number, signal: NodeJS.Signals): void {
    const child = this.#children.get(index)
    if (child === undefined) throw new ServicesError(`${this.place(index).name} does not run.`)
    child.kill(signal)
    if (signal === "SIGSTOP" && child.pid !== undefined) untilPaused(child.pid)
  }

  /** `kill -9`. */
  async killNode(index: number): Promise<void> {
    await this.#end(index, "SIGKILL")
  }

  /** Drains it. */
  async stopNode(index: number): Promise<void> {
    await this.#end(index, "SIGTERM")
  }

  async #end(index: number, signal: NodeJS.Signals): Promise<void> {
    const child = this.#children.get(index)
    if (child === undefined) return
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    child.kill(signal)
    const late = setTimeout(() => child.kill("SIGKILL"), stopMsMax)
    await exited
    clearTimeout(late)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children.keys()].map((index) => this.stopNode(index)))
    if (this.#options.over === undefined) await this.services.stop()
  }
}

const isReady = async (url: string, probe: string): Promise<boolean> => {
  try {
    return (await fetch(url + probe, { signal: AbortSignal.timeout(2_000) })).ok
  } catch {
    return false
  }
}

/** Loaded into a node before its own code. */
const endWithParent = `data:text/javascript,${encodeURIComponent(
  `setInterval(() => { if (process.ppid !== ${process.pid}) process.kill(process.pid, "SIGKILL") }, 250).unref()`
)}`
