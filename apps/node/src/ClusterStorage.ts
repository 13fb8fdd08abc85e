/**
 * Where a node of a cluster keeps what is durable: the log on JetStream, history and directory in Cassandra, cursors and
 * inboxes in Redis in front of it. Redis and Cassandra may be away, at the start too: what needs them waits or is refused
 * until they are back (WRITE-BEHIND-SAFE). Without NATS a node does not start.
 */
import { readFileSync } from "node:fs"
import { Effect, Layer, Redacted } from "effect"
import { layerCassandra as layerCassandraLogPlaces } from "@parley/storage/cassandra/CassandraLogPlaces"
import { layerCassandra as layerCassandraMessageStore } from "@parley/storage/cassandra/CassandraMessageStore"
import { layerCassandra as layerCassandraStoreSync } from "@parley/storage/cassandra/CassandraStoreSync"
import { Cassandra } from "@parley/storage/cassandra/Cassandra"
import { layerCassandra as layerCassandraCursorStore } from "@parley/storage/cassandra/CassandraCursorStore"
import { layerCassandra as layerCassandraDirectory } from "@parley/storage/cassandra/CassandraDirectory"
import { layerCassandra as layerCassandraParkedEvents } from "@parley/storage/cassandra/CassandraParkedEvents"
import { layerComposed } from "@parley/storage/ChannelStore"
import { JetStreamEventLog } from "@parley/storage/jetstream/JetStreamEventLog"
import { Nats } from "@parley/storage/jetstream/Nats"
import { Redis } from "@parley/storage/redis/Redis"
import { layerRedis as layerRedisCursorStore } from "@parley/storage/redis/RedisCursorStore"
import { layerRedis as layerRedisInbox } from "@parley/storage/redis/RedisInbox"
import { natsOptions, natsSystemOptions } from "./ClusterConnections.ts"
import { ConfigInvalid, NodeConfig } from "./NodeConfig.ts"
import { clusterPrefix, isWorkerOnly } from "./NodeIdentity.ts"
import { isGiven } from "./Setting.ts"

/** A file that a setting names, as text. */
const fileOf = (setting: string, path: string): Effect.Effect<string, ConfigInvalid> =>
  Effect.try({
    try: () => readFileSync(path, "utf8"),
    catch: (cause) => new ConfigInvalid({ setting, value: path, why: `it can't be read: ${String(cause)}` })
  })

const layerJetStream = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    // A worker appends nothing: who does looks whether the log is safe.
    const joins = isWorkerOnly(settings)
    const system = natsSystemOptions(settings)
    return JetStreamEventLog.layerSetup({
      prefix: clusterPrefix(settings),
      shards: settings.shards,
      streams: settings.logStreams,
      softBytes: settings.logSoftBytes,
      hardBytes: settings.logHardBytes,
      replicas: Number(settings.logReplicas),
      unsafe: settings.unsafeLog,
      joins,
      ...(system === undefined ? {} : { system })
    })
  })
)

/** Leases and log share the connection; an edge has only the leases there. */
export const layerNats = Layer.unwrap(Effect.map(NodeConfig, (settings) => Nats.layer(natsOptions(settings, "log"))))

/** The log, made where it is not there yet, or waited for by a worker. */
export const layerLog = layerJetStream.pipe(Layer.provideMerge(layerNats))

const layerCassandra = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    const { cassandraCa, cassandraCert, cassandraDatacenter, cassandraKey, cassandraPassword, cassandraUser } = settings
    const copies = settings.cassandraReplication.map((item) => item.split(":"))
    const own =
      cassandraCert === ""
        ? {}
        : {
            cert: yield* fileOf("--cassandra-cert", cassandraCert),
            key: yield* fileOf("--cassandra-key", cassandraKey)
          }
    const tls = cassandraCa === "" ? {} : { tls: { ca: [yield* fileOf("--cassandra-ca", cassandraCa)], ...own } }
    return Cassandra.layer({
      contactPoints: settings.cassandra,
      localDatacenter: cassandraDatacenter,
      keyspace: settings.cassandraKeyspace,
      replication:
        copies.length === 0
          ? { [cassandraDatacenter]: 3 }
          : Object.fromEntries(copies.map(([datacenter = "", count]) => [datacenter, Number(count)])),
      startWithout: true,
      ...tls,
      ...(cassandraUser === "" ? {} : { credentials: { username: cassandraUser, password: cassandraPassword } })
    })
  })
)

const layerRedis = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    const { redisCa, redisCert, redisKey, redisSentinel, redisSentinelUser, redisUser } = settings
    const own =
      redisCert === ""
        ? {}
        : { tlsCert: yield* fileOf("--redis-cert", redisCert), tlsKey: yield* fileOf("--redis-key", redisKey) }
    return Redis.layer({
      addresses: settings.redis.map((address) => Redacted.make(address)),
      keyPrefix: `${clusterPrefix(settings)}:`,
      cluster: settings.redisCluster,
      ...(redisSentinel === "" ? {} : { sentinelMaster: redisSentinel }),
      ...(redisUser === "" ? {} : { username: redisUser }),
      ...(isGiven(settings.redisPassword) ? { password: settings.redisPassword } : {}),
      ...(redisSentinelUser === "" ? {} : { sentinelUsername: redisSentinelUser }),
      ...(isGiven(settings.redisSentinelPassword) ? { sentinelPassword: settings.redisSentinelPassword } : {}),
      ...own,
      ...(redisCa === "" ? {} : { tlsCa: yield* fileOf("--redis-ca", redisCa) })
    })
  })
)

const layerLogPlaces = Layer.unwrap(
  Effect.map(NodeConfig, (settings) => layerCassandraLogPlaces(clusterPrefix(settings)))
)

const layerStoreSync = Layer.unwrap(
  Effect.map(NodeConfig, ({ cassandraSyncMs }) => layerCassandraStoreSync({ syncPeriodMs: cassandraSyncMs }))
)

/** What the log's consumers write to. */
const layerConsumed = Layer.mergeAll(
  layerCassandraMessageStore,
  layerCassandraDirectory,
  layerCassandraParkedEvents,
  layerRedisInbox(),
  layerStoreSync
)

/** Log and stores of a node that runs shards; the same services as those of one machine. */
export const layerClusterStorage = layerComposed.pipe(
  Layer.provideMerge(
    Layer.mergeAll(layerConsumed, layerRedisCursorStore.pipe(Layer.provide(layerCassandraCursorStore)), layerLogPlaces)
  ),
  Layer.provideMerge(Layer.mergeAll(layerCassandra, layerRedis)),
  Layer.provideMerge(layerLog)
)

/** Of a worker: no cursors, and not how far logs have come, which is the owners' to say (†24). */
export const layerWorkerStorage = layerComposed.pipe(
  Layer.provideMerge(layerConsumed),
  Layer.provideMerge(Layer.mergeAll(layerCassandra, layerRedis)),
  Layer.provideMerge(layerLog)
)

/** What an edge has of it: who is who. It never sees the log or Redis; everything else the owners answer. */
export const layerEdgeStorage = layerCassandraDirectory.pipe(
  Layer.provideMerge(layerCassandra),
  Layer.provideMerge(layerNats)
)
