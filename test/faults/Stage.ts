/**
 * Where faults happen: one cluster for most of them, started when the first one wants it, and clusters of their own for
 * those that need other settings, a broken build or services that are to be spoiled. One cluster's nodes run at a time.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type ClusterOptions, type LocalCluster, servicesFolder, startCluster } from "../../infra/cluster/LocalNodes.ts"
import type { PrivateNetwork } from "../../infra/faults/PrivateNetwork.ts"
import type { ServicesOptions } from "../../infra/services/Services.ts"
import { signTokensWith } from "../wire/Tokens.ts"
import { tamperingFlags } from "./NodeTampering.ts"

export interface OwnCluster {
  /** Where its log, store and cursors are: names of its own over the services of all, or services of its own. */
  readonly services: "shared" | "own"
  readonly environment?: Readonly<Record<string, string>>
  readonly nodeFlags?: ReadonlyArray<string>
  /** The last so many nodes are edges only, the others runners only; else each is both. */
  readonly edges?: number
  readonly nats?: NonNullable<ServicesOptions["nats"]>
  readonly cassandraNodes?: number
  /** Before the services start, with their folder: mounts something in it. What it returns is undone at the end. */
  readonly prepare?: (services: string) => Promise<AsyncDisposable>
}

export interface StageOptions {
  readonly environment: Readonly<Record<string, string>>
  readonly network: PrivateNetwork | undefined
  readonly say: (line: string) => void
}

const nodes = 3

/** It is there for minutes: compiling itself would take the cores from all that is under test. */
const briefly = { brief: true }

export class Stage implements AsyncDisposable {
  readonly #options: StageOptions
  readonly #data = mkdtempSync(join(tmpdir(), "parley-faults-"))
  #shared: LocalCluster | undefined
  #owned = 0

  constructor(options: StageOptions) {
    this.#options = options
  }

  /** All its nodes run. */
  async shared(): Promise<LocalCluster> {
    if (this.#shared === undefined) {
      this.#shared = await startCluster({
        ...this.#base("shared"),
        environment: this.#options.environment,
        nodeFlags: tamperingFlags,
        services: { cassandra: briefly }
      })
    }
    const cluster = this.#shared
    const running = new Set(cluster.nodes.map(({ name }) => name))
    for (let index = 0; index < cluster.count; index++) {
      if (!running.has(cluster.place(index).name)) await cluster.startNode(index)
    }
    signTokensWith(cluster.secret)
    return cluster
  }

  /** While it is used no other cluster's nodes run. */
  async withOwn<A>(own: OwnCluster, use: (cluster: LocalCluster) => Promise<A>): Promise<A> {
    const name = `own-${++this.#owned}`
    const base = this.#base(name)
    const over = own.services === "shared" ? (await this.shared()).services : undefined
    await this.#rest()
    mkdirSync(servicesFolder(base.data), { recursive: true, mode: 0o700 })
    await using prepared = (await own.prepare?.(servicesFolder(base.data))) ?? nothing
    void prepared
    const cluster = await startCluster({
      ...base,
      environment: {
        ...this.#options.environment,
        // Streams of all clusters have room on the same servers.
        PARLEY_LOG_SOFT_BYTES: String(64 * 1_048_576),
        PARLEY_LOG_HARD_BYTES: String(96 * 1_048_576),
        ...(own.services === "own" ? {} : { PARLEY_CLUSTER: name, PARLEY_CASSANDRA_KEYSPACE: name.replace("-", "_") }),
        ...own.environment
      },
      nodeFlags: own.nodeFlags ?? [],
      ...(own.edges === undefined ? {} : rolesOf(own.edges)),
      services: {
        ...(own.nats === undefined ? {} : { nats: own.nats }),
        cassandra: { ...briefly, ...(own.cassandraNodes === undefined ? {} : { nodes: own.cassandraNodes }) }
      },
      ...(over === undefined ? {} : { over })
    })
    try {
      signTokensWith(cluster.secret)
      return await use(cluster)
    } finally {
      // Spoiled or not, nobody wants it any more: no farewell.
      for (let index = 0; index < cluster.count; index++) await cluster.killNode(index)
      await cluster[Symbol.asyncDispose]()
    }
  }

  /** What the shared NATS servers logged of nodes that tried what their users may not do; empty without them. */
  get refusals(): ReadonlyArray<string> {
    const servers = this.#shared?.services.state.nodes.filter(({ service }) => service === "nats") ?? []
    return servers.flatMap(({ launch }) =>
      readFileSync(launch.log, "utf8")
        .split("\n")
        .filter((line) => /violation/i.test(line))
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#shared?.[Symbol.asyncDispose]()
    rmSync(this.#data, { recursive: true, force: true, maxRetries: 5 })
  }

  #base(name: string): ClusterOptions {
    const { network, say } = this.#options
    const siteOf = network === undefined ? {} : { siteOf: (node: string) => network.site(prefixed(name, node)) }
    return { data: join(this.#data, name), count: nodes, port: 0, say, ...siteOf }
  }

  /** The shared nodes end, their services stay. */
  async #rest(): Promise<void> {
    const cluster = this.#shared
    if (cluster === undefined) return
    await Promise.all(Array.from({ length: cluster.count }, (_, index) => cluster.stopNode(index)))
  }
}

const rolesOf = (edges: number): Pick<ClusterOptions, "environmentOf"> => ({
  environmentOf: (index) => ({ PARLEY_ROLES: index < nodes - edges ? "runner" : "edge" })
})

const nothing: AsyncDisposable = { [Symbol.asyncDispose]: async () => undefined }

/** The shared cluster's names are those that faults use. */
const prefixed = (cluster: string, node: string): string => (cluster === "shared" ? node : `${cluster}-${node}`)
