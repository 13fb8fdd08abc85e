/**
 * The settings of a node that is one of a cluster: where NATS, Cassandra and Redis are, with which credentials, and what
 * the cluster is made with. Rows of the table in NodeConfig; a node without `cluster` reads none of them.
 */
import { shardsMax } from "@parley/storage/jetstream/LogStreams"
import type { Redacted } from "effect"
import { isRunner, isWorkerOnly } from "./NodeIdentity.ts"
import { count, flag, isGiven, list, oneOf, secret, text } from "./Setting.ts"

const hostAndPort = /^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/
const natsAddress = /^((nats|tls):\/\/)?(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/

export const clusterSettings = {
  cluster: text(
    "",
    "Name of the cluster that this node is one of, at most 32 of a-z, 0-9 and -. Empty: one machine, all in --data."
  ),
  roles: list(
    "What this process does, in a cluster: edge (connections and HTTP), runner (channels, sessions, presence; it is an edge as well), worker (what is written behind them, and members' notices). A runner with worker works on its own shards, one without leaves them to processes that are workers only. Empty: all three.",
    /^(edge|runner|worker)$/,
    "edge, runner or worker"
  ),
  balanceByLoad: flag(
    true,
    "The cluster moves shards by itself so that runners have about as much to do, a few a minute. Off at one runner: none are moved."
  ),
  zone: text("", "Where this node is; clients are sent to an edge of their own zone first."),
  edgeUrl: text(
    "",
    "Address at which clients reach this node's edge, such as https://a.chat.example.com; empty: its host and port."
  ),

  sharePort: flag(
    false,
    "Several nodes of this machine listen on --port, each with a name and a directory of its own, and all of them with this; the kernel shares connections out among them (SO_REUSEPORT)."
  ),

  nats: list("Addresses of the NATS servers.", natsAddress, "host:port, nats://host:port or tls://host:port"),
  natsInOrder: flag(
    false,
    "Connects to the first of these that answers, instead of any: name the nearest first, and another one on each host. What passes between two servers costs both."
  ),
  natsUser: text("", "User at NATS."),
  natsPassword: secret("Password at NATS."),
  natsNkeySeed: text("", "File with the seed of an nkey, instead of user and password; read at each connecting."),
  natsCa: text("", "File with the authorities (PEM) that NATS's certificates are checked with."),
  natsCert: text("", "File with this node's certificate (PEM) for NATS."),
  natsKey: text("", "File with the key (PEM) of that certificate."),
  natsSystemUser: text(
    "",
    "User of NATS's system account: with it the node reads whether every server syncs each message."
  ),
  natsSystemPassword: secret("Password of that user."),
  natsSystemNkeySeed: text("", "File with the seed of that user's nkey, instead of its name and password."),
  logReplicas: oneOf("3", ["1", "3", "5"], "Copies of the log that a new cluster is made with. 1 needs --unsafe-log."),
  logStreams: count(4, "streams", 1, 64, "Streams that the shards of a new cluster are spread over; fixed then (†2)."),

  cassandra: list("Some of Cassandra's nodes.", hostAndPort, "host:port"),
  cassandraDatacenter: text("datacenter1", "Cassandra's datacenter that this node is in."),
  cassandraKeyspace: text("parley", "Keyspace of the cluster; made when it is not there."),
  cassandraReplication: list(
    "Copies by datacenter of a keyspace that is made, such as dc1:3; empty: 3 in the node's own datacenter.",
    /^[A-Za-z0-9_-]+:[1-9]$/,
    "datacenter:copies"
  ),
  cassandraUser: text("", "User at Cassandra."),
  cassandraPassword: secret("Password at Cassandra."),
  cassandraCa: text("", "File with the authorities (PEM) for Cassandra; empty: no TLS."),
  cassandraCert: text("", "File with this node's certificate (PEM), where Cassandra asks clients for one."),
  cassandraKey: text("", "File with the key (PEM) of that certificate."),
  cassandraSyncMs: count(
    10_000,
    "ms",
    0,
    600_000,
    "Cassandra's commitlog_sync_period: the log keeps what Cassandra has not synced. 0: it syncs before it answers."
  ),

  redis: list(
    "Addresses of Redis: one, those of a Cluster, or of Sentinels with --redis-sentinel.",
    /^rediss?:\/\/[^@/\s]+$/,
    "redis://host:port or rediss://host:port, without a password"
  ),
  redisSentinel: text("", "Name of the master that the addresses, Sentinels then, know."),
  redisCluster: flag(false, "The addresses are nodes of a Redis Cluster."),
  redisUser: text("", "User at Redis (ACL)."),
  redisPassword: secret("Password at Redis."),
  redisSentinelUser: text("", "User at the Sentinels (ACL), which have logins of their own."),
  redisSentinelPassword: secret("Password at the Sentinels."),
  redisCa: text("", "File with the authorities (PEM) for rediss://."),
  redisCert: text("", "File with this node's certificate (PEM), where Redis asks clients for one."),
  redisKey: text("", "File with the key (PEM) of that certificate.")
} as const

interface ClusterValues {
  readonly cluster: string
  readonly shards: number
  readonly roles: ReadonlyArray<string>
  readonly sharePort: boolean
  readonly nats: ReadonlyArray<string>
  readonly natsUser: string
  readonly natsPassword: Redacted.Redacted
  readonly natsNkeySeed: string
  readonly natsCert: string
  readonly natsKey: string
  readonly natsSystemUser: string
  readonly natsSystemPassword: Redacted.Redacted
  readonly natsSystemNkeySeed: string
  readonly logReplicas: string
  readonly cassandra: ReadonlyArray<string>
  readonly cassandraUser: string
  readonly cassandraPassword: Redacted.Redacted
  readonly cassandraCa: string
  readonly cassandraCert: string
  readonly cassandraKey: string
  readonly redis: ReadonlyArray<string>
  readonly redisSentinel: string
  readonly redisUser: string
  readonly redisPassword: Redacted.Redacted
  readonly redisSentinelUser: string
  readonly redisSentinelPassword: Redacted.Redacted
  readonly redisCert: string
  readonly redisKey: string
  readonly unsafeLog: boolean
}

const clusterName = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/

type Complaint = readonly [name: keyof typeof clusterSettings, why: string]

/** What a single setting can't see: the first setting that is wrong, and why. */
export const checkClusterSettings = (values: ClusterValues): Complaint | undefined => {
  if (values.cluster === "") {
    return values.sharePort
      ? [
          "sharePort",
          "only nodes of one cluster may share a port: servers without --cluster know nothing of each other"
        ]
      : undefined
  }
  if (values.shards > shardsMax)
    return ["cluster", `a cluster has at most ${shardsMax} shards, --shards says ${values.shards}`]
  if (!clusterName.test(values.cluster)) return ["cluster", "1 to 32 of a-z, 0-9 and -, not at its ends"]
  if (values.nats.length === 0) return ["nats", "a cluster needs NATS: give at least one address"]
  if (values.cassandra.length === 0) {
    return ["cassandra", "a cluster needs Cassandra: give at least one address"]
  }
  const ofRoles = isRunner(values) ? checkOfRunner(values) : isWorkerOnly(values) ? checkOfWorker(values) : undefined
  return ofRoles ?? checkLogins(values) ?? checkCertificates(values)
}

/** An edge has no log and no Redis. */
const checkOfRunner = (values: ClusterValues): Complaint | undefined => {
  if (values.redis.length === 0) return ["redis", "a cluster needs Redis: give its address"]
  if (values.logReplicas === "1" && !values.unsafeLog) {
    return ["logReplicas", "one copy is lost with its disk; if that is what you want, add --unsafe-log"]
  }
  if (values.natsSystemUser === "" && values.natsSystemNkeySeed === "" && !values.unsafeLog) {
    return [
      "natsSystemUser",
      "without it (or --nats-system-nkey-seed) nobody can tell whether NATS syncs each message before it is acknowledged; if that is what you want, add --unsafe-log"
    ]
  }
  return undefined
}

/** It appends nothing to the log: those that do look whether it is safe. */
const checkOfWorker = (values: ClusterValues): Complaint | undefined => {
  if (values.roles.includes("edge")) {
    return [
      "roles",
      "a worker without shards serves no clients: give it a process of its own, or the role runner as well"
    ]
  }
  return values.redis.length === 0 ? ["redis", "a worker needs Redis: give its address"] : undefined
}

const checkLogins = (values: ClusterValues): Complaint | undefined => {
  if (values.natsUser !== "" && values.natsNkeySeed !== "") {
    return ["natsNkeySeed", "an nkey is instead of --nats-user: give one of them"]
  }
  if (values.natsSystemUser !== "" && values.natsSystemNkeySeed !== "") {
    return ["natsSystemNkeySeed", "an nkey is instead of --nats-system-user: give one of them"]
  }
  const sentinelLogin = values.redisSentinelUser !== "" || isGiven(values.redisSentinelPassword)
  if (sentinelLogin && values.redisSentinel === "") {
    return ["redisSentinel", "a login at Sentinels is given, and no name of a master that they know"]
  }
  // Redis's default user has a password and no name; nobody else has.
  for (const [user, password] of [
    ["natsUser", "natsPassword"],
    ["natsSystemUser", "natsSystemPassword"],
    ["cassandraUser", "cassandraPassword"]
  ] as const) {
    if (values[user] !== "" && !isGiven(values[password])) return [password, "its user is given, and no password"]
    if (values[user] === "" && isGiven(values[password])) return [user, "its password is given, and no name"]
  }
  if (values.redisUser !== "" && !isGiven(values.redisPassword))
    return ["redisPassword", "its user is given, and no password"]
  return undefined
}

const checkCertificates = (values: ClusterValues): Complaint | undefined => {
  for (const [cert, key] of [
    ["natsCert", "natsKey"],
    ["cassandraCert", "cassandraKey"],
    ["redisCert", "redisKey"]
  ] as const) {
    if (values[cert] !== "" && values[key] === "") return [key, "a certificate is given without its key"]
    if (values[cert] === "" && values[key] !== "") return [cert, "a key is given without its certificate"]
  }
  if (values.cassandraCert !== "" && values.cassandraCa === "") {
    return ["cassandraCa", "a certificate is given, and TLS needs the authorities to check Cassandra's with"]
  }
  if (values.redisCert !== "" && values.redis.some((address) => !address.startsWith("rediss:"))) {
    return ["redis", "a certificate is given, and TLS needs rediss:// addresses"]
  }
  return undefined
}
