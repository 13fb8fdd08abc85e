/** A redis-server of a test's own, which it may flush, kill and start again: the one that tests share must not be. */
import { Effect } from "effect"
import { Redis as Client } from "ioredis"
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

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
  readonly #extra: ReadonlyArray<string>
  #process: ChildProcess | undefined

  constructor(port: number, extra: ReadonlyArray<string>) {
    this.port = port
    this.#extra = extra
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  async start(): Promise<void> {
    const args = ["--port", `${this.port}`, "--bind", "127.0.0.1", "--dir", this.#directory, "--save", ""]
    const child = spawn("redis-server", [...args, ...this.#extra], { stdio: "ignore" })
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
    this.#process?.kill(signal)
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

export const redisServer = (...extra: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = new RedisServer(await freePort(), extra)
      await server.start()
      return server
    }),
    (server) => Effect.promise(() => server.kill().then(() => server.remove()))
  )
