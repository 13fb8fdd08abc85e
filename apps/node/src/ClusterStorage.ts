/**
 * Where a node of a cluster keeps what is durable: the log on JetStream, history and directory in Cassandra, cursors and
 * inboxes in Redis in front of it. Redis and Cassandra may be away, at the start too: what needs them waits or is refused
 * until they are back (WRITE-BEHIND-SAFE). Without NATS a node does not start.
 */
import { readFileSync } from "node:fs"
import { Effect, Layer, Redacted } from "effect"
import { layerCassandra as layerCassandraMessageStore } from "@parley/storage/cassandra/CassandraMessageStore"
import { layerCassandra as layerCassandraStoreSync } from "@parley/storage/cassandra/CassandraStoreSync"
import { Cassandra } from "@parley/storage/cassandra/Cassandra"
import { layerCassandra as layerCassandraCursorStore } from "@parley/storage/cassandra/CassandraCursorStore"
import { layerCassandra as layerCassandraDirectory } from "@parley/storage/cassandra/CassandraDirectory"
import { layerCassandra as layerCassandraParkedEvents } from "@parley/storage/cassandra/CassandraParkedEvents"
import { layerComposed } from "@parley/storage/ChannelStore"
import { JetStreamEventLog } from "@parley/storage/jetstream/JetStreamEventLog"
import { Nats, type NatsOptions } from "@parley/storage/jetstream/Nats"
import { Redis } from "@parley/storage/redis/Redis"
import { layerRedis as layerRedisCursorStore } from "@parley/storage/redis/RedisCursorStore"
import { layerRedis as layerRedisInbox } from "@parley/storage/redis/RedisInbox"
import { ConfigInvalid, NodeConfig, type NodeSettings } from "./NodeConfig.ts"

/** In front of every name at NATS and Redis, so that clusters may share them. */
export const clusterPrefix = (settings: NodeSettings): string => `parley-${settings.cluster}`

/** `purpose` shows in NATS's own lists of connections. */
export const natsOptions = (settings: NodeSettings, purpose: string): NatsOptions => ({
  servers: settings.nats,
  name: `parley ${settings.name === "" ? settings.cluster : settings.name} ${purpose}`,
  ...(settings.natsUser === "" ? {} : { user: settings.natsUser, password: Redacted.make(settings.natsPassword) }),
  ...(settings.natsNkeySeed === "" ? {} : { nkeySeedFile: settings.natsNkeySeed }),
  ...natsTls(settings)
})

const natsTls = ({ natsCa, natsCert, natsKey }: NodeSettings): Pick<NatsOptions, "tls"> =>
  natsCa === "" && natsCert === ""
    ? {}
    : {
        tls: {
          ...(natsCa === "" ? {} : { caFile: natsCa }),
          ...(natsCert === "" ? {} : { certFile: natsCert, keyFile: natsKey })
        }
      }

const systemOptions = (settings: NodeSettings): NatsOptions | undefined =>
  settings.natsSystemUser === ""
    ? undefined
    : {
        ...natsOptions(settings, "check"),
        user: settings.natsSystemUser,
        password: Redacted.make(settings.natsSystemPassword)
      }

/** A file that a setting names, as text. */
const fileOf = (setting: string, path: string): Effect.Effect<string, ConfigInvalid> =>
  Effect.try({
    try: () => readFileSync(path, "utf8"),
    catch: (cause) => new ConfigInvalid({ setting, value: path, why: `it can't be read: ${String(cause)}` })
  })

const layerLog = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    const system = systemOptions(settings)
    return JetStreamEventLog.layerSetup({
      prefix: clusterPrefix(settings),
      shards: settings.shards,
      streams: settings.logStreams,
      softBytes: settings.logSoftBytes,
      hardBytes: settings.logHardBytes,
      replicas: Number(settings.logReplicas),
      unsafe: settings.unsafeLog,
      ...(system === undefined ? {} : { system })
    }).pipe(Layer.provideMerge(Nats.layer(natsOptions(settings, "log"))))
  })
)

const layerCassandra = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    const { cassandraCa, cassandraDatacenter, cassandraUser } = settings
    const copies = settings.cassandraReplication.map((item) => item.split(":"))
    const tls = cassandraCa === "" ? {} : { tls: { ca: [yield* fileOf("--cassandra-ca", cassandraCa)] } }
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
      ...(cassandraUser === ""
        ? {}
        : { credentials: { username: cassandraUser, password: Redacted.make(settings.cassandraPassword) } })
    })
  })
)

const layerRedis = Layer.unwrap(
  Effect.gen(function* () {
    const settings = yield* NodeConfig
    const { redisCa, redisPassword, redisSentinel, redisUser } = settings
    return Redis.layer({
      addresses: settings.redis.map((address) => Redacted.make(address)),
      keyPrefix: `${clusterPrefix(settings)}:`,
      cluster: settings.redisCluster,
      ...(redisSentinel === "" ? {} : { sentinelMaster: redisSentinel }),
      ...(redisUser === "" ? {} : { username: redisUser }),
      ...(redisPassword === "" ? {} : { password: Redacted.make(redisPassword) }),
      ...(redisCa === "" ? {} : { tlsCa: yield* fileOf("--redis-ca", redisCa) })
    })
  })
)

const layerStoreSync = Layer.unwrap(
  Effect.map(NodeConfig, ({ cassandraSyncMs }) => layerCassandraStoreSync({ syncPeriodMs: cassandraSyncMs }))
)

/** Log and stores of the cluster; the same services as those of one machine. */
export const layerClusterStorage = layerComposed.pipe(
  Layer.provideMerge(
    Layer.mergeAll(
      layerCassandraMessageStore,
      layerCassandraDirectory,
      layerCassandraParkedEvents,
      layerRedisCursorStore.pipe(Layer.provide(layerCassandraCursorStore)),
      layerRedisInbox(),
      layerStoreSync
    )
  ),
  Layer.provideMerge(Layer.mergeAll(layerCassandra, layerRedis)),
  Layer.provideMerge(layerLog)
)
