/**
 * How the driver is set up, and what its errors mean to Parley. Statements are prepared, LOCAL_QUORUM both ways, and
 * idempotent: a write carries its timestamp, so one that timed out and did apply is simply written again.
 */
import { auth, Client, errors, policies, types } from "cassandra-driver"
import { Redacted } from "effect"
import type { ConnectionOptions } from "node:tls"
import { StoreRefused, StoreUnavailable } from "../StoreError.ts"

export interface CassandraOptions {
  /** `host` or `host:port`; any few of the cluster's nodes, the driver finds the others. */
  readonly contactPoints: ReadonlyArray<string>
  /** Of nodes that are named without one. */
  readonly port?: number
  readonly localDatacenter: string
  readonly keyspace: string
  /** Copies by datacenter, for a keyspace that is not there yet. One that is there keeps what it has. */
  readonly replication: Readonly<Record<string, number>>
  readonly credentials?: { readonly username: string; readonly password: Redacted.Redacted }
  /** Present: connections are encrypted, with these options of Node's TLS (ca, cert, key, servername …). */
  readonly tls?: ConnectionOptions
  /** Requests at a node at once, and requests that may wait for their turn; more are refused, retryable. */
  readonly readsInFlightMax?: number
  readonly writesInFlightMax?: number
  readonly waitingMax?: number
  /** One request is given up after this. */
  readonly requestMsMax?: number
  /** Whether to start without Cassandra: what needs it is answered StoreUnavailable until it is there. */
  readonly startWithout?: boolean
}

const portDefault = 9042
const connectMsMax = 5_000
const requestMsDefault = 5_000
/** Rows of one answer; more is never asked for. */
export const answerRowsMax = 5_000

export const makeClient = (options: CassandraOptions, keyspace: string | undefined): Client =>
  new Client({
    contactPoints: options.contactPoints.map((it) => it),
    localDataCenter: options.localDatacenter,
    ...(keyspace === undefined ? {} : { keyspace }),
    ...(options.credentials === undefined
      ? {}
      : {
          authProvider: new auth.PlainTextAuthProvider(
            options.credentials.username,
            Redacted.value(options.credentials.password)
          )
        }),
    // The driver would take any certificate, whoever signed it, unless it is told otherwise.
    ...(options.tls === undefined ? {} : { sslOptions: { rejectUnauthorized: true, ...options.tls } }),
    protocolOptions: { port: options.port ?? portDefault },
    encoding: { useBigIntAsLong: true },
    socketOptions: { connectTimeout: connectMsMax, readTimeout: options.requestMsMax ?? requestMsDefault },
    queryOptions: {
      consistency: types.consistencies.localQuorum,
      serialConsistency: types.consistencies.localSerial,
      prepare: true,
      isIdempotent: true,
      autoPage: false,
      fetchSize: answerRowsMax
    },
    policies: {
      loadBalancing: new policies.loadBalancing.TokenAwarePolicy(
        new policies.loadBalancing.DCAwareRoundRobinPolicy(options.localDatacenter)
      ),
      reconnection: new policies.reconnection.ExponentialReconnectionPolicy(250, 10_000)
    }
  })

export const unavailable = (cause: unknown): StoreUnavailable => new StoreUnavailable({ store: "cassandra", cause })

export const refused = (what: string): StoreRefused => new StoreRefused({ store: "cassandra", what })

/** A missing table is the operator's to mend, not the event's fault. */
const missing = /unconfigured|does not exist|non.?existent/i
export const isMissing = (message: string): boolean => missing.test(message)

/** Whether a statement on a schema that others may be making can be well when it is sent once more. */
export const isPassing = (error: unknown): boolean =>
  error instanceof errors.OperationTimedOutError ||
  (error instanceof errors.ResponseError && (passing.has(error.code) || missing.test(error.message)))

const { overloaded, readTimeout, serverError, truncateError, unavailableException, writeTimeout } =
  types.responseErrorCodes
const passing = new Set<number>([
  overloaded,
  readTimeout,
  serverError,
  truncateError,
  unavailableException,
  writeTimeout
])

/** What the driver throws for a value that its column can't have; any other TypeError is a fault of a program. */
const isEncoding = (error: unknown): error is Error =>
  error instanceof RangeError ||
  error instanceof SyntaxError ||
  (error instanceof TypeError && /not a valid|expected/i.test(error.message))

/** Whether no repetition can help: the driver or the server does not take the values. */
const isRefusal = (error: unknown): error is Error =>
  isEncoding(error) ||
  (error instanceof errors.ResponseError &&
    error.code === types.responseErrorCodes.invalid &&
    !missing.test(error.message))

export const readError = (error: unknown): StoreUnavailable => unavailable(error)

export const writeError = (error: unknown): StoreUnavailable | StoreRefused =>
  isRefusal(error) ? refused(error.message) : unavailable(error)
