/**
 * Where Redis is and how to talk to it: one server, a Cluster, or Sentinels that know the master. Addresses are URLs,
 * `redis://[user[:password]@]host[:port][/db]`, `rediss://` for TLS; the first one that has them gives user and password
 * for all. Bounds of a connection have their names here.
 */
import { Redacted, Result, Schema } from "effect"
import type { ClusterOptions, RedisOptions as ClientOptions } from "ioredis"

export interface RedisOptions {
  /** The server; some nodes of the Cluster; or the Sentinels. */
  readonly addresses: ReadonlyArray<Redacted.Redacted>
  readonly cluster?: boolean
  /** The master's name at the Sentinels, which the addresses are; what they carry of user and password is the Sentinels'. */
  readonly sentinelMaster?: string
  /** Of the server itself, where they are not in its address. */
  readonly username?: string
  readonly password?: Redacted.Redacted
  /** Of the Sentinels, where they are not in their address. */
  readonly sentinelUsername?: string
  readonly sentinelPassword?: Redacted.Redacted
  /** PEM of who signed the server's certificate, where the system does not know him. */
  readonly tlsCa?: string
  /** PEM of the client's own certificate and its key, where the server asks for one. */
  readonly tlsCert?: string
  readonly tlsKey?: string
  /** In front of every key: several clusters may share one Redis. */
  readonly keyPrefix?: string
}

/** One command, from sending to its answer. */
export const commandTimeoutMs = 1_000
/** Something was sent and nothing came for so long: the connection is given up. */
export const socketTimeoutMs = 2_000
/** Commands wait for a connection that was lost a moment ago, so many of them and so long; then they fail at once. */
export const blipMs = 500
export const waitingMax = 1_000
/** Commands on the way at once; more are refused. */
export const inFlightMax = 5_000
/** The longest pause between two tries to connect. */
export const reconnectMsMax = 2_000
const connectTimeoutMs = 2_000

export class RedisOptionsInvalid extends Schema.TaggedError<RedisOptionsInvalid>()("RedisOptionsInvalid", {
  what: Schema.String
}) {
  override get message() {
    return `Redis can't be used as configured: ${this.what}`
  }
}

/** Without what decides over the types of the client's answers. */
type ServerOptions = Omit<ClientOptions, "replyMapping">
type NodeOptions = Omit<NonNullable<ClusterOptions["redisOptions"]>, "replyMapping">

/** What the client is made of. */
export type RedisTarget =
  | { readonly _tag: "Server"; readonly options: ServerOptions }
  | {
      readonly _tag: "Cluster"
      readonly nodes: ReadonlyArray<{ readonly host: string; readonly port: number }>
      readonly options: Omit<ClusterOptions, "redisOptions"> & { readonly redisOptions: NodeOptions }
    }

/** Full jitter: nodes that lost the same server do not come back to it at the same instant. */
export const reconnectDelayMs = (times: number): number =>
  10 + Math.floor(Math.random() * Math.min(reconnectMsMax, 50 * 2 ** Math.min(times, 10)))

interface Address {
  readonly host: string
  readonly port: number
  readonly tls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  readonly db: number
}

const invalid = (what: string) => Result.fail(new RedisOptionsInvalid({ what }))

/** Says nothing of the address itself, which may carry a password. */
const parseAddress = (text: string, at: number): Result.Result<Address, RedisOptionsInvalid> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== "redis:" && url.protocol !== "rediss:") || url.hostname === "") {
    return invalid(`address ${at + 1} is no redis://host:port or rediss://host:port`)
  }
  const db = url.pathname.replace("/", "")
  if (!/^\d*$/u.test(db)) return invalid(`address ${at + 1} ends in something else than the number of a database`)
  return Result.succeed({
    host: url.hostname.replace(/^\[|\]$/gu, ""),
    port: url.port === "" ? 6_379 : Number(url.port),
    tls: url.protocol === "rediss:",
    username: url.username === "" ? undefined : decodeURIComponent(url.username),
    password: url.password === "" ? undefined : decodeURIComponent(url.password),
    db: Number(db)
  })
}

const tlsOf = ({ tlsCa, tlsCert, tlsKey }: RedisOptions) => ({
  ...(tlsCa === undefined ? {} : { ca: tlsCa }),
  ...(tlsCert === undefined ? {} : { cert: tlsCert }),
  ...(tlsKey === undefined ? {} : { key: tlsKey })
})

export const redisTarget = (options: RedisOptions): Result.Result<RedisTarget, RedisOptionsInvalid> =>
  Result.flatMap(Result.all(options.addresses.map((it, at) => parseAddress(Redacted.value(it), at))), (addresses) => {
    const [first] = addresses
    if (first === undefined) return invalid("no address is given")
    if (addresses.some(({ tls }) => tls !== first.tls)) return invalid("some addresses are rediss:// and some are not")
    const { cluster = false, keyPrefix = "parley:", sentinelMaster } = options
    if (cluster && sentinelMaster !== undefined) return invalid("either a Cluster or Sentinels, not both")
    if (!cluster && sentinelMaster === undefined && addresses.length > 1) {
      return invalid("several addresses are a Cluster's or Sentinels': say which")
    }
    if (cluster && addresses.some(({ db }) => db !== 0)) return invalid("a Cluster has no databases but 0")
    const inAddress = addresses.find(({ password }) => password !== undefined)
    const own = sentinelMaster === undefined ? inAddress : undefined
    const username = options.username ?? own?.username
    const password = options.password === undefined ? own?.password : Redacted.value(options.password)
    const tls = first.tls ? { tls: tlsOf(options) } : {}
    const ofServer = {
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...tls,
      keyPrefix,
      connectionName: "parley",
      commandTimeout: commandTimeoutMs,
      socketTimeout: socketTimeoutMs,
      connectTimeout: connectTimeoutMs,
      // What was on the way when a connection broke fails then: the caller knows what to do without it.
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      // A replica that was the master a moment ago: connecting again finds the new one.
      reconnectOnError: (error: Error) => error.message.startsWith("READONLY")
    } satisfies ServerOptions
    const nodes = addresses.map(({ host, port }) => ({ host, port }))
    if (cluster) {
      return Result.succeed<RedisTarget>({
        _tag: "Cluster",
        nodes,
        options: {
          redisOptions: ofServer,
          enableOfflineQueue: false,
          clusterRetryStrategy: reconnectDelayMs,
          clusterNodeRetryStrategy: reconnectDelayMs
        }
      })
    }
    const alone = { ...ofServer, db: first.db, enableOfflineQueue: false, retryStrategy: reconnectDelayMs }
    if (sentinelMaster === undefined) {
      return Result.succeed<RedisTarget>({ _tag: "Server", options: { ...alone, host: first.host, port: first.port } })
    }
    const sentinelUsername = options.sentinelUsername ?? inAddress?.username
    const sentinelPassword =
      options.sentinelPassword === undefined ? inAddress?.password : Redacted.value(options.sentinelPassword)
    const target: ServerOptions = {
      ...alone,
      sentinels: nodes,
      name: sentinelMaster,
      failoverDetector: true,
      sentinelRetryStrategy: reconnectDelayMs,
      ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
      ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
      ...(first.tls && tls.tls !== undefined ? { sentinelTLS: tls.tls, enableTLSForSentinelMode: true } : {})
    }
    return Result.succeed<RedisTarget>({ _tag: "Server", options: target })
  })
