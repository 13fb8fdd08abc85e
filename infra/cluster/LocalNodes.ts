/**
 * Parley nodes of one cluster as processes of this machine, each with a data directory of its own (keys, nothing else),
 * over services that are started with them. A node ends with the program that started it, however that ends, and can be
 * killed and started again, by a person or by a test.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { waitFor } from "../services/Readiness.ts"
import { environmentOf } from "../services/Environment.ts"
import { untilPaused } from "../services/Pause.ts"
import { choosePorts, isFree } from "../services/Ports.ts"
import { type RunningServices, startServices } from "../services/Services.ts"
import { ServicesError } from "../services/ServicesError.ts"
import { localCluster, nodeUsers, systemUserOf } from "./NodeUsers.ts"

const root = join(import.meta.dirname, "../..")
/** A node's start: code, connections, and the shards that it takes. */
const startMsMax = 120_000
/** It drains first; what is left then is killed. */
const stopMsMax = 30_000
const host = "127.0.0.1"

export interface ClusterOptions {
  readonly data: string
  readonly count: number
  /** Of the first node; the others follow. 0: free ones. */
  readonly port: number
  /** Further settings of every node, as `PARLEY_…`. */
  readonly environment?: Readonly<Record<string, string>>
  /** Of node, before the script. */
  readonly nodeFlags?: ReadonlyArray<string>
  readonly say?: (line: string) => void
  /** With the services there and before any node: settings of this cluster as `PARLEY_…`. */
  readonly beforeNodes?: (environment: Readonly<Record<string, string>>) => Promise<void>
}

export interface LocalNode {
  readonly name: string
  readonly url: string
  readonly pid: number
  readonly log: string
}

/** Services, then nodes; all or nothing. */
export const startCluster = async (options: ClusterOptions): Promise<LocalCluster> => {
  const say = options.say ?? (() => undefined)
  mkdirSync(options.data, { recursive: true, mode: 0o700 })
  const ports = await portsOf(options)
  const services = await startServices({
    data: join(options.data, "services"),
    nats: { nodes: 3, ...nodeUsers(ports.map((_port, index) => nameOf(index))) },
    cassandra: { nodes: 1 },
    redis: true,
    say
  })
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

const portsOf = async ({ count, port }: ClusterOptions): Promise<ReadonlyArray<number>> => {
  if (port === 0) {
    const names = Array.from({ length: count }, (_, index) => `node-${index + 1}`)
    return Object.values(await choosePorts(names, [host]))
  }
  const ports = Array.from({ length: count }, (_, index) => port + index)
  for (const wanted of ports) {
    if (!(await isFree(wanted, [host]))) {
      throw new ServicesError(`Port ${wanted} is taken: end what listens there, or choose another with --port.`)
    }
  }
  return ports
}

const nameOf = (index: number): string => `node-${index + 1}`

/** Of development tokens: every node must know it. */
const sharedSecret = (data: string): string => {
  const file = join(data, "auth.secret")
  if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString("base64url"), { mode: 0o600 })
  return readFileSync(file, "utf8")
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

  /** What all nodes have in common. */
  get environment(): Readonly<Record<string, string>> {
    const { data, environment } = this.#options
    return {
      PARLEY_MODE: "development",
      PARLEY_AUTH_SECRET: sharedSecret(data),
      PARLEY_CASSANDRA_REPLICATION: `${this.services.state.cassandraDatacenter ?? "datacenter1"}:1`,
      PARLEY_CASSANDRA_SYNC_MS: "0",
      ...environmentOf(this.services.state, "PARLEY_"),
      PARLEY_CLUSTER: localCluster,
      ...environment
    }
  }

  place(index: number): Omit<LocalNode, "pid"> {
    const name = nameOf(index)
    return { name, url: `http://${host}:${this.#ports[index]}`, log: join(this.#options.data, name, "node.log") }
  }

  /** Starts a node that does not run, and waits until it serves; `environment`: settings of this start alone. */
  async startNode(index: number, environment: Readonly<Record<string, string>> = {}): Promise<void> {
    const { log, name, url } = this.place(index)
    const data = join(this.#options.data, name)
    mkdirSync(data, { recursive: true, mode: 0o700 })
    const output = openSync(log, "a", 0o600)
    const inherited = Object.entries(process.env).filter(([key]) => !key.startsWith("PARLEY_"))
    const child = spawn(
      process.execPath,
      [
        ...(this.#options.nodeFlags ?? []),
        "--import",
        endWithParent,
        join(root, "infra/launch.mjs"),
        "apps/node/src/main.ts",
        "serve"
      ],
      {
        cwd: root,
        env: {
          ...Object.fromEntries(inherited),
          ...this.environment,
          ...this.#logins(name),
          PARLEY_NAME: name,
          PARLEY_DATA: data,
          PARLEY_PORT: String(this.#ports[index]),
          ...this.#options.environment,
          ...environment
        },
        stdio: ["ignore", output, output]
      }
    )
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
      answers: () => isReady(url)
    })
    this.#say(`${name} serves at ${url}`)
  }

  /** Its own users at NATS, where that was started here; who names servers in the environment names their users, too. */
  #logins(name: string): Readonly<Record<string, string>> {
    return this.services.state.origins.nats === "environment"
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
    await this.services.stop()
  }
}

const isReady = async (url: string): Promise<boolean> => {
  try {
    return (await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) })).ok
  } catch {
    return false
  }
}

/** Loaded into a node before its own code. */
const endWithParent = `data:text/javascript,${encodeURIComponent(
  `setInterval(() => { if (process.ppid !== ${process.pid}) process.kill(process.pid, "SIGKILL") }, 250).unref()`
)}`
