/**
 * NATS servers of a test's own, for what can't be done to shared ones: another configuration, a system account, and
 * being killed or paused. Real processes of the real binary, with their data in a directory that goes with them.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect } from "@nats-io/transport-node"
import { Effect, Redacted, type Scope } from "effect"
import { cacheFolder } from "../../../../infra/services/Installation.ts"
import { natsProcess } from "../../../../infra/services/Nats.ts"
import { untilPaused } from "../../../../infra/services/Pause.ts"
import type { NatsOptions } from "../../src/jetstream/Nats.ts"

export interface OwnServersOptions {
  readonly servers: number
  readonly syncInterval?: string
  readonly maxPayload?: string
}

export interface OwnServers {
  readonly addresses: ReadonlyArray<string>
  /** As the application, and as the system account's user. */
  readonly application: NatsOptions
  readonly system: NatsOptions
  /** By the server's name: n1, n2 … */
  signal(name: string, signal: NodeJS.Signals): void
  /** Starts one again that was killed. */
  start(name: string): Promise<void>
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

export const ownServers = (options: OwnServersOptions): Effect.Effect<OwnServers, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => startAll(options)),
    ({ stop }) => Effect.promise(stop)
  )

const startAll = async (options: OwnServersOptions): Promise<OwnServers & { readonly stop: () => Promise<void> }> => {
  const directory = mkdtempSync(join(tmpdir(), "parley-nats-"))
  const names = Array.from({ length: options.servers }, (_, at) => `n${at + 1}`)
  const ports = await Promise.all(names.map(freePort))
  const routes = await Promise.all(names.map(freePort))
  const processes = new Map<string, ChildProcess>()
  const { env: environment } = process
  const program = await natsProcess({ cache: cacheFolder(environment), environment, say: () => undefined })

  const launch = (name: string): void => {
    const place = { folder: directory, containerName: name }
    const { args, command } = program.command(place, ["-c", join(directory, `${name}.conf`)])
    processes.set(name, spawn(command, args, { stdio: "ignore" }))
  }
  for (const [at, name] of names.entries()) {
    writeFileSync(join(directory, `${name}.conf`), configuration(options, directory, name, at, ports, routes))
    launch(name)
  }
  const addresses = ports.map((port) => `127.0.0.1:${port}`)
  const application: NatsOptions = {
    servers: addresses,
    name: "test",
    user: "app",
    password: Redacted.make("app"),
    firstConnectMs: 20_000
  }
  const system: NatsOptions = { ...application, user: "system", password: Redacted.make("system") }
  const stop = async (): Promise<void> => {
    await Promise.all([...processes.values()].map(ended))
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    await ready(addresses)
  } catch (cause) {
    await stop()
    throw cause
  }
  return {
    addresses,
    application,
    system,
    stop,
    signal: (name, signal) => {
      const child = processes.get(name)
      child?.kill(signal)
      if (signal === "SIGSTOP" && child?.pid !== undefined) untilPaused(child.pid)
    },
    start: async (name) => {
      const before = processes.get(name)
      if (before !== undefined) await ended(before)
      launch(name)
      await ready(addresses)
    }
  }
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill("SIGKILL")
  })

const configuration = (
  options: OwnServersOptions,
  directory: string,
  name: string,
  at: number,
  ports: ReadonlyArray<number>,
  routes: ReadonlyArray<number>
): string => `
server_name: ${name}
listen: "127.0.0.1:${ports[at]}"
max_payload: ${options.maxPayload ?? "1MB"}
jetstream { store_dir: "${join(directory, name)}", max_file_store: 1GB, sync_interval: "${options.syncInterval ?? "always"}" }
${
  options.servers === 1
    ? ""
    : `cluster { name: own, listen: "127.0.0.1:${routes[at]}", no_advertise: true, routes: [${routes
        .map((port) => `"nats://127.0.0.1:${port}"`)
        .join(", ")}] }`
}
accounts {
  APP: { jetstream: enabled, users: [{ user: app, password: app }] }
  SYS: { users: [{ user: system, password: system }] }
}
system_account: SYS
`

/** JetStream answers: it has a leader where it needs one. */
const ready = async (addresses: ReadonlyArray<string>): Promise<void> => {
  const until = Date.now() + 30_000
  for (;;) {
    try {
      const connection = await connect({ servers: [...addresses], user: "app", pass: "app", reconnect: false })
      try {
        const answer = await connection.request("$JS.API.INFO", "", { timeout: 1_000 })
        if (!answer.string().includes('"error"')) return
      } finally {
        await connection.close()
      }
    } catch (cause) {
      if (Date.now() > until) throw cause
    }
    if (Date.now() > until) throw new Error("the test's own NATS servers are not ready")
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
