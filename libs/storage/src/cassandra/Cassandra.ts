/**
 * Cassandra as the stores use it: reads of a partition and batches of partitions, each with a bound on how many are
 * in flight and on how many wait, and tried again a few times after a timeout. The keyspace is made and migrated by the
 * first process that comes. Cassandra may be away, at the start too: callers then get StoreUnavailable, and the
 * connection is made as soon as it answers (WRITE-BEHIND-SAFE). Not here: transactions, and writes without a timestamp.
 */
import { type Client, policies, types } from "cassandra-driver"
import { Clock, Context, Effect, Layer, Schedule, Semaphore } from "effect"
import type { StoreRefused, StoreUnavailable } from "../StoreError.ts"
import { type CassandraOptions, isMissing, makeClient, readError, unavailable, writeError } from "./CassandraClient.ts"
import type { Select, Value, Write } from "./Cql.ts"
import { migrate, type SchemaNewer } from "./Migrations.ts"
import type { PartitionBatch } from "./PartitionBatches.ts"
import { replicaSets, ringOf } from "./ReplicaSets.ts"
import { makeSharedBatches } from "./SharedBatches.ts"

export type Row = types.Row

const readsInFlightDefault = 256
const writesInFlightDefault = 64
const waitingDefault = 8_192
/** A request is sent so often, before its caller is told that the store can't be used now. */
const attemptsMax = 3
const retryMs = 50
/** A connection that could not be made is not tried again before this. */
const reconnectMs = 1_000
/** A node that says nothing of itself for so long does not answer. */
const startsMsMax = 2_000
/** Looks for a schema that somebody else is making, one each `reconnectMs`. */
const schemaTriesMax = 30

/** By the node's address. */
export type NodeStarts = ReadonlyMap<string, number | undefined>

export class Cassandra extends Context.Service<
  Cassandra,
  {
    /** The rows of one read, at most `answerRowsMax`: the statement has its own LIMIT where there may be more. */
    read(statement: Select, values: ReadonlyArray<Value>): Effect.Effect<ReadonlyArray<Row>, StoreUnavailable>
    /** Rows of one partition, in one request: all of them, or none that anybody is told of. */
    write(writes: ReadonlyArray<Write>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /**
     * Batches of partitions, in as few requests as there may be, which they share with whatever else is written now
     * (SharedBatches): all of them, or the first failure, and any of them may be done then.
     */
    writeAll(batches: ReadonlyArray<PartitionBatch>): Effect.Effect<void, StoreUnavailable | StoreRefused>
    /**
     * When each node of the datacenter last started, as it says itself: its gossip generation, which a start raises;
     * undefined: it does not answer. Who asks may compare.
     */
    readonly starts: Effect.Effect<NodeStarts, StoreUnavailable>
  }
>()("@parley/storage/cassandra/Cassandra") {
  static readonly layer = (options: CassandraOptions): Layer.Layer<Cassandra, StoreUnavailable | SchemaNewer> =>
    Layer.effect(Cassandra, make(options))
}

const make = Effect.fnUntraced(function* (options: CassandraOptions) {
  const open = yield* connection(options)
  const first = open.pipe(
    // Nodes that start at once: another one is making the schema, and not all of it is seen here yet.
    Effect.retry({ while: isSchemaUnderWay, times: schemaTriesMax, schedule: Schedule.spaced(reconnectMs) }),
    Effect.asVoid,
    Effect.catchTag("StoreUnavailable", (error) =>
      options.startWithout === true
        ? Effect.logWarning(
            "Cassandra does not answer: starting without it, what needs it is refused until it does",
            error
          )
        : Effect.fail(error)
    )
  )
  yield* first
  const client = Effect.catchTag(open, "SchemaNewer", (error) => Effect.fail(unavailable(error)))

  const writesInFlightMax = options.writesInFlightMax ?? writesInFlightDefault
  const waitingMax = options.waitingMax ?? waitingDefault
  const reads = yield* gate(options.readsInFlightMax ?? readsInFlightDefault, waitingMax)
  const writes = yield* gate(writesInFlightMax, waitingMax)

  const write: Cassandra["Service"]["write"] = (batch) => {
    const [only] = batch
    if (only === undefined) return Effect.void
    const attempt = Effect.flatMap(client, (it) =>
      Effect.tryPromise({
        try: () => (batch.length === 1 ? it.execute(only.query, [...only.params]) : it.batch(queries(batch), unlogged)),
        catch: writeError
      })
    )
    return Effect.asVoid(writes(Effect.retry(attempt, { ...again, while: isUnavailable })))
  }
  const shared = yield* makeSharedBatches({ send: write, requestsAtOnceMax: writesInFlightMax })

  return Cassandra.of({
    write,
    writeAll: (batches) =>
      Effect.flatMap(Effect.retry(client, again), (it) =>
        shared.write(batches, replicaSets(ringOf(it, options.keyspace, options.localDatacenter)))
      ),
    starts: Effect.flatMap(client, (it) => Effect.promise(() => startsOf(it, options.localDatacenter))),
    read: (statement, values) => {
      const attempt = Effect.flatMap(client, (it) =>
        Effect.tryPromise({ try: () => it.execute(statement.cql, [...values]), catch: readError })
      )
      return Effect.map(reads(Effect.retry(attempt, again)), ({ rows }) => rows)
    }
  })
})

const startsOf = async (client: Client, datacenter: string): Promise<NodeStarts> => {
  const hosts = client.hosts.values().filter((host) => host.datacenter === datacenter)
  const starts = hosts.map(async (host) => {
    const asked = { host, prepare: false, consistency: types.consistencies.one, readTimeout: startsMsMax, retry: never }
    const answer = await client
      .execute("SELECT gossip_generation FROM system.local WHERE key = 'local'", [], asked)
      .catch(() => undefined)
    // A column of type int is a number; a node that is starting has none yet.
    const generation: unknown = answer?.first()?.["gossip_generation"]
    return [host.address, typeof generation === "number" ? generation : undefined] as const
  })
  return new Map(await Promise.all(starts))
}
const never = new policies.retry.FallthroughRetryPolicy()

const unlogged = { prepare: true, logged: false, isIdempotent: true } as const
// Reason for `as`: the driver makes its own of them and changes none; each row of the write-behind would be copied.
const queries = (batch: ReadonlyArray<Write>) => batch as Array<Write>
const isSchemaUnderWay = (error: StoreUnavailable | SchemaNewer): boolean =>
  error._tag === "StoreUnavailable" && error.cause instanceof Error && isMissing(error.cause.message)
const isUnavailable = (error: StoreUnavailable | StoreRefused): boolean => error._tag === "StoreUnavailable"
const again = { times: attemptsMax - 1, schedule: Schedule.jittered(Schedule.exponential(retryMs)) }

/** The client, made and kept at the first use that succeeds; whoever asks meanwhile waits for the same attempt. */
const connection = Effect.fnUntraced(function* (options: CassandraOptions) {
  let client: Client | undefined
  /** On the monotonic clock: a wall clock that was set back would put the next try off by as much. */
  let failed: { readonly at: bigint; readonly error: StoreUnavailable | SchemaNewer } | undefined
  const one = yield* Semaphore.make(1)
  yield* Effect.addFinalizer(() => shutdown(client))
  const connect = Effect.gen(function* () {
    if (client !== undefined) return client
    const now = yield* Clock.monotonicTimeNanos
    if (failed !== undefined && Number(now - failed.at) < reconnectMs * 1e6) return yield* failed.error
    yield* migrate(options)
    const made = makeClient(options, options.keyspace)
    yield* Effect.tryPromise({ try: () => made.connect(), catch: unavailable }).pipe(
      Effect.onError(() => shutdown(made))
    )
    client = made
    return made
  }).pipe(
    Effect.tapError((error) =>
      Effect.map(Clock.monotonicTimeNanos, (at) => {
        failed = failed?.error === error ? failed : { at, error }
      })
    ),
    one.withPermits(1)
  )
  return Effect.suspend(() => (client === undefined ? connect : Effect.succeed(client)))
})

const shutdown = (client: Client | undefined): Effect.Effect<void> =>
  client === undefined ? Effect.void : Effect.ignore(Effect.tryPromise(() => client.shutdown()))

/** At most `inFlightMax` at once; who would be one too many to wait is told so at once. */
const gate = Effect.fnUntraced(function* (inFlightMax: number, waitingMax: number) {
  const permits = yield* Semaphore.make(inFlightMax)
  const pendingMax = inFlightMax + waitingMax
  let pending = 0
  return <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | StoreUnavailable> =>
    Effect.suspend((): Effect.Effect<A, E | StoreUnavailable> => {
      if (pending >= pendingMax) return Effect.fail(unavailable(new Error(`${pending} requests wait already`)))
      pending++
      return Effect.ensuring(
        permits.withPermits(1)(effect),
        Effect.sync(() => pending--)
      )
    })
})
