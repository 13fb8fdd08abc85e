/**
 * Connections to NATS: one for leases and log, others (calls, links, the system account) by whoever needs them, so that
 * a burst of delivery delays no lease. A connection that was made once is made again for ever, at jittered intervals;
 * what fails meanwhile is the caller's to see. Secrets are never part of an error or of the log.
 */
import { readFileSync } from "node:fs"
import { isIP } from "node:net"
import { checkServerIdentity, type PeerCertificate } from "node:tls"
import { connect, type NatsConnection, nkeyAuthenticator, type NodeConnectionOptions } from "@nats-io/transport-node"
import { Context, Effect, Layer, Redacted, Schedule, Schema, type Scope } from "effect"

/** Nobody answers at any of the addresses, or they don't let this client in. */
export class NatsUnavailable extends Schema.TaggedError<NatsUnavailable>()("NatsUnavailable", {
  servers: Schema.Array(Schema.String),
  cause: Schema.Defect()
}) {
  override get message() {
    const cause = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `no connection to NATS at ${this.servers.join(", ")}: ${cause}. Check the addresses, that the servers run, and the credentials`
  }
}

export interface NatsOptions {
  /** `host:port`, `nats://host:port` or `tls://host:port`. A password does not belong here: it would be shown. */
  readonly servers: ReadonlyArray<string>
  /** The first one that answers, in the order given, instead of any. */
  readonly inOrder?: boolean
  /** What the servers' own monitoring calls this connection. */
  readonly name: string
  readonly user?: string
  readonly password?: Redacted.Redacted<string>
  readonly token?: Redacted.Redacted<string>
  /** A file with the seed of an nkey ("SU…"), read at each connecting. */
  readonly nkeySeedFile?: string
  readonly tls?: NatsTls
  /** Where answers come to, if this user may not subscribe to `_INBOX.>`. */
  readonly inboxPrefix?: string
  /** For how long the first connection is tried for. */
  readonly firstConnectMs?: number
}

/** Files in PEM; without `caFile` the system's authorities are trusted. */
export interface NatsTls {
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
}

export const firstConnectMsDefault = 10_000
/** One attempt at one server. */
const dialMsMax = 3_000
/** Between two attempts at the same server; the jitter keeps a cluster's nodes apart when NATS comes back. */
const reconnectMs = 250
const reconnectJitterMs = 500
/** A server that answers none of two pings is gone: noticed within 15 s where the network swallows everything. */
const pingMs = 5_000
const pingsUnansweredMax = 2
/** What is still on its way gets so long when the connection is closed. */
const drainMsMax = 1_000

const connectionOptions = (options: NatsOptions): NodeConnectionOptions => {
  const { nkeySeedFile } = options
  return {
    servers: [...options.servers],
    noRandomize: options.inOrder ?? false,
    name: options.name,
    timeout: dialMsMax,
    maxReconnectAttempts: -1,
    reconnectTimeWait: reconnectMs,
    reconnectJitter: reconnectJitterMs,
    reconnectJitterTLS: reconnectJitterMs,
    pingInterval: pingMs,
    maxPingOut: pingsUnansweredMax,
    // Credentials may be changed while this runs: a refusal is not the end.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options.password === undefined ? {} : { pass: Redacted.value(options.password) }),
    ...(options.token === undefined ? {} : { token: Redacted.value(options.token) }),
    ...(nkeySeedFile === undefined ? {} : { authenticator: nkeyAuthenticator(() => seedOf(nkeySeedFile)) }),
    ...(options.tls === undefined ? {} : { tls: { ...options.tls, ...identityOf(options.servers) } }),
    ...(options.inboxPrefix === undefined ? {} : { inboxPrefix: options.inboxPrefix })
  }
}

/**
 * The client checks a certificate for the server's name, but for "localhost" where the server is named by its IP address.
 * Then the certificate has to name one of the addresses that this node was given.
 */
const identityOf = (servers: ReadonlyArray<string>) => {
  const hosts = servers.map((server) => /^(?:\w+:\/\/)?\[?([^\]]*?)\]?:\d+$/.exec(server)?.[1] ?? server)
  const addresses = hosts.filter((host) => isIP(host) !== 0)
  return {
    checkServerIdentity: (name: string, certificate: PeerCertificate): Error | undefined => {
      const asked = name === "localhost" && !hosts.includes(name) ? addresses : [name]
      const errors = asked.map((host) => checkServerIdentity(host, certificate))
      return errors.includes(undefined) ? undefined : (errors[0] ?? new Error("the server was not named by an address"))
    }
  }
}

const seedOf = (file: string): Uint8Array => Buffer.from(readFileSync(file, "utf8").trim())

const close = (connection: NatsConnection): Effect.Effect<void> =>
  Effect.promise(() => connection.drain().catch(() => {})).pipe(
    Effect.timeoutOption(drainMsMax),
    Effect.andThen(Effect.promise(() => connection.close()))
  )

/** What becomes of the connection, for the operator. Ends when it is closed. */
const report = (connection: NatsConnection, name: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const say = (effect: Effect.Effect<void>, fields: Record<string, string>): void =>
      void runFork(effect.pipe(Effect.annotateLogs({ connection: name, ...fields })))
    yield* Effect.promise(async () => {
      for await (const status of connection.status()) {
        if (status.type === "disconnect") {
          say(Effect.logWarning("The connection to NATS is lost"), { server: status.server })
        } else if (status.type === "reconnect") {
          say(Effect.logInfo("The connection to NATS is made again"), { server: status.server })
        } else if (status.type === "error") {
          say(Effect.logError("NATS refused something"), { what: status.error.message })
        }
      }
    })
  })

/** A connection of the caller's own, closed with its scope. Fails when the first one can't be made in time. */
export const connectNats = (options: NatsOptions): Effect.Effect<NatsConnection, NatsUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const dial = Effect.tryPromise({
      try: () => connect(connectionOptions(options)),
      catch: (cause) => new NatsUnavailable({ servers: options.servers, cause })
    }).pipe(
      Effect.retry(
        Schedule.max([
          Schedule.jittered(Schedule.spaced(reconnectMs)),
          Schedule.during(options.firstConnectMs ?? firstConnectMsDefault)
        ])
      )
    )
    const connection = yield* Effect.acquireRelease(dial, close)
    yield* Effect.forkScoped(report(connection, options.name))
    return connection
  })

/** The connection that the log, the leases and the cluster's own records share. */
export class Nats extends Context.Service<Nats, { readonly log: NatsConnection; readonly options: NatsOptions }>()(
  "@parley/storage/jetstream/Nats"
) {
  static readonly layer = (options: NatsOptions): Layer.Layer<Nats, NatsUnavailable> =>
    Layer.effect(
      Nats,
      Effect.map(connectNats(options), (log) => Nats.of({ log, options }))
    )
}
