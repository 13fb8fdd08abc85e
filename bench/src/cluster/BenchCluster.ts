/**
 * A whole cluster under test: NATS of three servers, Cassandra, Redis and Parley nodes as processes of this machine, in a
 * directory of their own that goes with them. Nothing is pinned: all of them, and the generator, share the machine's cores,
 * so what can be compared is CPU, which is read from /proc, of Parley and of each service apart.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { shardOf } from "@parley/actors/fanout/ShardHash"
import { type LocalCluster, startCluster } from "../../../infra/cluster/LocalNodes.ts"
import { runningMark } from "../../../infra/services/Process.ts"
import { pause, say } from "../Report.ts"
import { benchSecret, type CpuSource, startFlags, stoppedPorts, wideLimits } from "../Servers.ts"

/** As the figures are taken. */
export const benchShards = 256
const ownersMsMax = 60_000
/** One tick of the kernel's clock, which `/proc/PID/stat` counts in. */
const tickSeconds = 0.01

/** Settings of the nodes that the caller of a bench gives, such as PARLEY_LOG_STREAMS=1, to compare two of them. */
const given = Object.fromEntries(
  Object.entries(process.env).flatMap(([key, value]) =>
    key.startsWith("PARLEY_") && value !== undefined ? [[key, value] as const] : []
  )
)

export interface BenchClusterOptions {
  readonly nodes: number
  /**
   * Cassandra is to be measured as it is after its first minutes: compiled well, which takes a core from what runs beside
   * it for the first one or two. Otherwise quickly, for benches that are over by then.
   */
  readonly warms?: boolean
  readonly environment?: Readonly<Record<string, string>>
}

export class BenchCluster implements AsyncDisposable, CpuSource {
  readonly cluster: LocalCluster
  readonly #data: string
  /** CPU of nodes that have ended. */
  #ended = 0
  readonly #seen = new Map<number, number>()

  private constructor(cluster: LocalCluster, data: string) {
    this.cluster = cluster
    this.#data = data
  }

  static async start({ environment = {}, nodes, warms = false }: BenchClusterOptions): Promise<BenchCluster> {
    const data = mkdtempSync(join(tmpdir(), "parley-bench-"))
    const profiles = process.env["BENCH_PROFILE"]
    const profiling = profiles === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profiles}`]
    try {
      const cluster = await startCluster({
        data,
        count: nodes,
        port: 0,
        nodeFlags: [...startFlags, ...profiling],
        environment: {
          ...wideLimits,
          PARLEY_AUTH_SECRET: benchSecret,
          PARLEY_SHARDS: String(benchShards),
          PARLEY_DRAIN_WINDOW_MS: "0",
          PARLEY_LOG_LEVEL: "warn",
          // Everything shares two cores, and what is started is not compiled yet: late is not overloaded.
          PARLEY_EVENT_LOOP_LAG_MS: "5000",
          ...environment,
          ...given
        },
        services: { cassandra: { brief: !warms } },
        say
      })
      const started = new BenchCluster(cluster, data)
      // A load that finds something wrong throws out of a socket's turn: the cluster goes all the same.
      let ending = false
      const end = (why: unknown): void => {
        process.exitCode = 1
        console.error(why)
        if (ending) return
        ending = true
        void started[Symbol.asyncDispose]().finally(() => process.exit(1))
      }
      for (const event of ["uncaughtException", "SIGINT", "SIGTERM"]) process.on(event, end)
      try {
        await started.untilOwned(nodes)
      } catch (error) {
        await started[Symbol.asyncDispose]()
        throw error
      }
      return started
    } catch (error) {
      rmSync(data, { recursive: true, force: true })
      throw error
    }
  }

  /** Of the node with this index, whether it runs or not. */
  portOf(index: number): number {
    return Number(new URL(this.cluster.place(index).url).port)
  }

  /** Ports of the nodes that run. */
  get ports(): ReadonlyArray<number> {
    return this.cluster.nodes.map(({ url }) => Number(new URL(url).port))
  }

  /** The node's index by shard, from 1 on, as a node that runs knows it; undefined: nobody has it. */
  async owners(): Promise<ReadonlyArray<number | undefined>> {
    const [node] = this.cluster.nodes
    if (node === undefined) throw new Error("no node runs")
    const key = readFileSync(join(this.#data, node.name, "operator.key"), "utf8").trim()
    const answer = await fetch(`${node.url}/v1/cluster`, { headers: { authorization: `Bearer ${key}` } })
    // as: the server's ClusterStatus
    const { shards } = (await answer.json()) as { readonly shards: ReadonlyArray<{ shard: number; runner: string }> }
    const owners: Array<number | undefined> = []
    for (const { runner, shard } of shards) {
      const found = /^node-(\d+)-/.exec(runner)
      owners[shard] = found === null ? undefined : Number(found[1]) - 1
    }
    return owners
  }

  /** Waits until so many nodes own about as many shards each. */
  async untilOwned(nodes: number): Promise<ReadonlyArray<number | undefined>> {
    const share = Math.floor(benchShards / nodes)
    for (const end = performance.now() + ownersMsMax; ;) {
      const owners = await this.owners()
      const counts = new Map<number, number>()
      for (const owner of owners.slice(1)) if (owner !== undefined) counts.set(owner, (counts.get(owner) ?? 0) + 1)
      if (counts.size === nodes && [...counts.values()].every((count) => count >= share)) return owners
      if (performance.now() > end) throw new Error(`shards are not spread over ${nodes} nodes after ${ownersMsMax} ms`)
      await pause(200)
    }
  }

  async metric(name: string): Promise<number> {
    const value = (await this.metrics()).get(name)
    if (value === undefined) throw new Error(`no node has a metric ${name}`)
    return value
  }

  /** The sum over the nodes of each metric, without its labels; of a gauge that all nodes have alike, that many times. */
  async metrics(): Promise<ReadonlyMap<string, number>> {
    const sums = new Map<string, number>()
    for (const { url } of this.cluster.nodes) {
      const text = await (await fetch(`${url}/metrics`)).text()
      for (const line of text.split("\n")) {
        const found = /^(\w+)(?:\{[^}]*\})? (\S+)/.exec(line)
        if (found?.[1] !== undefined) sums.set(found[1], (sums.get(found[1]) ?? 0) + Number(found[2]))
      }
    }
    return sums
  }

  cpuSeconds(): number {
    let sum = this.#ended
    const running = new Set(this.cluster.nodes.map(({ pid }) => pid))
    for (const pid of running) {
      this.#seen.set(pid, secondsOf(pid) ?? this.#seen.get(pid) ?? 0)
      sum += this.#seen.get(pid) ?? 0
    }
    for (const [pid, seconds] of this.#seen) {
      if (running.has(pid)) continue
      this.#ended += seconds
      sum += seconds
      this.#seen.delete(pid)
    }
    return sum
  }

  /** Of each node and each service. */
  cpuByThread(): Readonly<Record<string, number>> {
    const seconds: Record<string, number> = {}
    for (const { name, pid } of this.cluster.nodes) seconds[name] = secondsOf(pid) ?? 0
    for (const { launch, service } of this.cluster.services.state.nodes) {
      const mark = runningMark(launch.pidFile)
      if (mark !== undefined) seconds[service] = (seconds[service] ?? 0) + groupSeconds(mark.pid)
    }
    return seconds
  }

  /** Resident bytes of each node that runs. */
  rssBytes(): ReadonlyArray<number> {
    return this.cluster.nodes.map(
      ({ pid }) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1_024
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Clients that are still there lose their connections by this, and not by what is measured.
    for (const port of this.ports) stoppedPorts.add(port)
    await this.cluster[Symbol.asyncDispose]()
    rmSync(this.#data, { recursive: true, force: true })
  }
}

const statOf = (pid: number | string): ReadonlyArray<string> | undefined => {
  try {
    // The command in brackets may hold anything: count from its end.
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")
  } catch {
    return undefined
  }
}

const seconds = (stat: ReadonlyArray<string>): number => (Number(stat[11]) + Number(stat[12])) * tickSeconds

const secondsOf = (pid: number): number | undefined => {
  const stat = statOf(pid)
  return stat === undefined ? undefined : seconds(stat)
}

/** A service is a process group of its own. */
const groupSeconds = (group: number): number => {
  let sum = 0
  for (const pid of readdirSync("/proc")) {
    const stat = /^\d+$/.test(pid) ? statOf(pid) : undefined
    if (stat !== undefined && Number(stat[2]) === group) sum += seconds(stat)
  }
  return sum
}

/** `count` channel ids of each shard, in the order of the shards. */
export const channelsByShard = (prefix: string, count: number, shards = benchShards): ReadonlyArray<string> => {
  const found = Array.from({ length: shards + 1 }, () => new Array<string>())
  for (let missing = shards * count, serial = 0; missing > 0; serial++) {
    const id = `group:${prefix}${serial}`
    const ids = found[shardOf(id, shards)]
    if (ids === undefined || ids.length >= count) continue
    ids.push(id)
    missing--
  }
  return found.flat()
}

export const shardOfChannel = (id: string): number => shardOf(id, benchShards)
