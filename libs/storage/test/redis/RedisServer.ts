/** A redis-server of a test's own, which it may flush, kill and start again: the one that tests share must not be. */
import { Effect } from "effect"
import { Redis as Client } from "ioredis"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { untilPaused } from "../../../../infra/services/Pause.ts"

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.on("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() =>
        typeof address === "object" && address !== null ? resolve(address.port) : reject(new Error("no port"))
      )
    })
  })

export class RedisServer {
  readonly port: number
  readonly #directory = mkdtempSync(join(tmpdir(), "parley-redis-"))
  readonly extra: ReadonlyArray<string>
  #process: ChildProcess | undefined

  constructor(port: number, args: (directory: string) => ReadonlyArray<string>) {
    this.port = port
    this.extra = args(this.#directory)
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const child = spawn("redis-server", [...this.extra, "--port", `${this.port}`, "--dir", this.#directory], {
      stdio: "ignore"
    })
    this.#process = child
    const failed = new Promise<never>((_, reject) => {
      child.once("error", () =>
        reject(new Error("This test starts a redis-server of its own: install one (apt-get install redis-server)"))
      )
    })
    failed.catch(() => undefined)
    await Promise.race([failed, this.#answers()])
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    this.#process = undefined
    const ended = new Promise((resolve) => child.once("exit", resolve))
    child.kill(signal)
    await ended
  }

  /** Stops it in the midst of everything; `SIGCONT` lets it go on. */
  signal(signal: NodeJS.Signals): void {
    const child = this.#process
    child?.kill(signal)
    if (signal === "SIGSTOP" && child?.pid !== undefined) untilPaused(child.pid)
  }

  /** Asks it anything, by a connection of its own. */
  async ask(...command: ReadonlyArray<string>): Promise<unknown> {
    const client = new Client(this.port, "127.0.0.1", { maxRetriesPerRequest: 20, retryStrategy: () => 50 })
    client.on("error", () => undefined)
    try {
      const [name = "PING", ...args] = command
      return await client.call(name, ...args)
    } finally {
      client.disconnect()
    }
  }

  async #answers(): Promise<void> {
    const client = new Client(this.port, "127.0.0.1", { maxRetriesPerRequest: null, retryStrategy: () => 20 })
    client.on("error", () => undefined)
    try {
      await client.ping()
    } finally {
      client.disconnect()
    }
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

const running = (make: (port: number) => RedisServer) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = make(await freePort())
      await server.start()
      return server
    }),
    (server) => Effect.promise(() => server.kill().then(() => server.remove()))
  )

export const redisServer = (...extra: ReadonlyArray<string>) =>
  running((port) => new RedisServer(port, () => ["--bind", "127.0.0.1", "--save", "", ...extra]))

/** One Sentinel is the majority of one: it promotes a replica a second after the master is gone. */
export const redisSentinel = (master: RedisServer) =>
  running(
    (port) =>
      new RedisServer(port, (directory) => {
        const config = join(directory, "sentinel.conf")
        const lines = [
          "bind 127.0.0.1",
          `sentinel monitor chat 127.0.0.1 ${master.port} 1`,
          "sentinel down-after-milliseconds chat 500",
          "sentinel failover-timeout chat 2000"
        ]
        writeFileSync(config, lines.join("\n"))
        return [config, "--sentinel"]
      })
  )

/** Two servers with half of the slots each. */
export const redisCluster = Effect.gen(function* () {
  const server = Effect.gen(function* () {
    const busPort = yield* Effect.promise(freePort)
    const bus = ["--cluster-port", `${busPort}`, "--cluster-announce-ip", "127.0.0.1"]
    return yield* redisServer("--cluster-enabled", "yes", ...bus)
  })
  const [one, two] = [yield* server, yield* server]
  const busOf = (it: RedisServer) => it.extra[it.extra.indexOf("--cluster-port") + 1] ?? ""
  yield* Effect.promise(async () => {
    await one.ask("CLUSTER", "ADDSLOTSRANGE", "0", "8191")
    await two.ask("CLUSTER", "ADDSLOTSRANGE", "8192", "16383")
    await two.ask("CLUSTER", "SET-CONFIG-EPOCH", "2")
    await one.ask("CLUSTER", "MEET", "127.0.0.1", `${two.port}`, busOf(two))
    for (const it of [one, two]) {
      for (let tries = 0; !String(await it.ask("CLUSTER", "INFO")).includes("cluster_state:ok"); tries++) {
        if (tries > 500) throw new Error("the Cluster does not come up")
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  })
  return [one, two] as const
})
