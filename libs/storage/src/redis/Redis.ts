/**
 * The connection to Redis. What is there can be lost at any time, so nothing waits long for it: a command fails after
 * `commandTimeoutMs`, and at once while the server is away for longer than a blip. All that Parley asks of it is scripts,
 * called by their hash: each is one round trip and one atomic step. Names of users and channels are arguments, never text
 * of a script.
 */
import { Context, Effect, Layer } from "effect"
import { Cluster, Redis as Client } from "ioredis"
import { createHash } from "node:crypto"
import { StoreUnavailable } from "../StoreError.ts"
import {
  blipMs,
  inFlightMax,
  reconnectDelayMs,
  type RedisOptions,
  type RedisOptionsInvalid,
  redisTarget,
  waitingMax
} from "./RedisOptions.ts"

/** Lua that the server keeps by its hash. */
export interface RedisScript {
  readonly lua: string
  readonly sha: string
}

export const redisScript = (lua: string): RedisScript => ({ lua, sha: createHash("sha1").update(lua).digest("hex") })

export class Redis extends Context.Service<
  Redis,
  {
    /** In a Cluster all keys of one call are of one slot. What the script answers is for the caller to judge. */
    run(
      script: RedisScript,
      keys: ReadonlyArray<string>,
      args: ReadonlyArray<string | number>
    ): Effect.Effect<unknown, StoreUnavailable>
    /** For how long the server has been away, in ms; 0: it is here. */
    readonly awayMs: Effect.Effect<number>
  }
>()("@parley/storage/redis/Redis") {
  /** Does not wait for the server: without it everything goes on, and it is used when it is there. */
  static layer(options: RedisOptions): Layer.Layer<Redis, RedisOptionsInvalid> {
    return Layer.effect(
      Redis,
      Effect.gen(function* () {
        const target = yield* Effect.fromResult(redisTarget(options))
        const log = Effect.runForkWith(yield* Effect.context())
        const connection = yield* Effect.acquireRelease(
          Effect.sync(() => {
            const client =
              target._tag === "Cluster" ? new Cluster([...target.nodes], target.options) : new Client(target.options)
            return new Connection(client, (message, cause) =>
              log(
                cause === undefined
                  ? Effect.logInfo(message)
                  : Effect.logWarning(message).pipe(Effect.annotateLogs({ cause }))
              )
            )
          }),
          (connection) => Effect.sync(() => connection.end())
        )
        return Redis.of({
          run: (script, keys, args) =>
            Effect.tryPromise({
              try: () => connection.run(script, keys, args),
              catch: (cause) => new StoreUnavailable({ store: "redis", cause })
            }),
          awayMs: Effect.sync(() => connection.awayMs)
        })
      })
    )
  }
}

type Log = (message: string, cause?: string) => void

class Connection {
  readonly #client: Client | Cluster
  readonly #log: Log
  #awaySince: number | undefined = performance.now()
  #saidAway = false
  #lastError = "not connected yet"
  #inFlight = 0
  #waiting: Array<() => void> = []
  #ended = false
  /** How often the client gave up since it last was ready. */
  #givenUp = 0
  #connecting: NodeJS.Timeout | undefined

  constructor(client: Client | Cluster, log: Log) {
    this.#client = client
    this.#log = log
    client.on("error", (error: Error) => {
      this.#lastError = error.message
      if (this.#saidAway || this.#awaySince === undefined) return
      this.#saidAway = true
      this.#log("Redis is away: cursors come from Cassandra meanwhile, inboxes are not ordered", error.message)
    })
    client.on("close", () => (this.#awaySince ??= performance.now()))
    client.on("ready", () => {
      if (this.#saidAway) this.#log("Redis is back")
      this.#awaySince = undefined
      this.#saidAway = false
      this.#givenUp = 0
      const waiting = this.#waiting
      this.#waiting = []
      for (const go of waiting) go()
    })
    // ioredis 6.0 gives up, whatever its retry strategy says, where it hears of a failover just while it asks Sentinels for the master.
    client.on("end", () => {
      if (this.#ended) return
      this.#connecting = setTimeout(
        () => void client.connect().catch(() => undefined),
        reconnectDelayMs(++this.#givenUp)
      )
    })
  }

  get awayMs(): number {
    return this.#awaySince === undefined ? 0 : Math.max(1, performance.now() - this.#awaySince)
  }

  end(): void {
    this.#ended = true
    clearTimeout(this.#connecting)
    this.#client.disconnect()
  }

  async run(
    { lua, sha }: RedisScript,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string | number>
  ): Promise<unknown> {
    if (this.#inFlight >= inFlightMax) throw new Error(`${inFlightMax} commands are on the way already`)
    this.#inFlight++
    try {
      if (this.#awaySince !== undefined) await this.#back()
      try {
        return await this.#client.evalsha(sha, keys.length, ...keys, ...args)
      } catch (error) {
        // A server that has just started, or was flushed, does not know the script yet.
        if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error
        return await this.#client.eval(lua, keys.length, ...keys, ...args)
      }
    } finally {
      this.#inFlight--
    }
  }

  /** Waits out a blip. */
  #back(): Promise<void> {
    const left = blipMs - this.awayMs
    const away = () => new Error(`the server is away: ${this.#lastError}`)
    if (left <= 0 || this.#waiting.length >= waitingMax) return Promise.reject(away())
    return new Promise((resolve, reject) => {
      const go = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((it) => it !== go)
        reject(away())
      }, left)
      this.#waiting.push(go)
    })
  }
}
