/**
 * What a Cassandra node is started with: `cassandra.yaml`, the log's configuration and the JVM's arguments. Sized for
 * a developer's machine: 512 MB of heap serve a node, a ring of three fits beside the rest. No logins: it listens on loopback.
 */
import { join } from "node:path"
import { pathToFileURL } from "node:url"

export interface CassandraNodeConfig {
  readonly clusterName: string
  readonly folder: string
  readonly host: string
  readonly cqlPort: number
  /** Between nodes; the same on all of them. */
  readonly storagePort: number
  /** For nodetool, on loopback. */
  readonly jmxPort: number
  readonly seeds: ReadonlyArray<string>
  /** A fixed token lets a fresh ring start all its nodes at once. */
  readonly token: bigint
  readonly heap: string
  /** Compiled quickly rather than well: ready after two thirds of the time, slower when it is warm. */
  readonly brief: boolean
  /** Nobody gets in without a role's login; the first one is Cassandra's own, `cassandra` by `cassandra`. */
  readonly logins?: boolean
  /** For clients that speak it; others are let in as they are. */
  readonly tls?: CassandraTls
}

export interface CassandraTls {
  /** A file with the key and the certificate, and one with the authorities whose certificates clients have to show. */
  readonly certificateAndKeyFile: string
  readonly authorityFile: string
}

/** Node `index` of `count` has an even share of the ring. */
export const tokenOf = (index: number, count: number): bigint =>
  -(2n ** 63n) + (2n ** 64n / BigInt(count)) * BigInt(index) + 1n

export const cassandraYaml = (node: CassandraNodeConfig): string => {
  const settings = {
    cluster_name: node.clusterName,
    num_tokens: 1,
    initial_token: String(node.token),
    auto_bootstrap: false,
    partitioner: "org.apache.cassandra.dht.Murmur3Partitioner",
    seed_provider: [
      {
        class_name: "org.apache.cassandra.locator.SimpleSeedProvider",
        parameters: [{ seeds: node.seeds.map((host) => `${host}:${node.storagePort}`).join(",") }]
      }
    ],
    listen_address: node.host,
    rpc_address: node.host,
    storage_port: node.storagePort,
    native_transport_port: node.cqlPort,
    start_native_transport: true,
    endpoint_snitch: "SimpleSnitch",
    authenticator: node.logins === true ? "PasswordAuthenticator" : "AllowAllAuthenticator",
    authorizer: node.logins === true ? "CassandraAuthorizer" : "AllowAllAuthorizer",
    ...(node.tls === undefined ? {} : { client_encryption_options: encryption(node.tls) }),
    data_file_directories: [join(node.folder, "data")],
    commitlog_directory: join(node.folder, "commitlog"),
    saved_caches_directory: join(node.folder, "saved_caches"),
    hints_directory: join(node.folder, "hints"),
    cdc_raw_directory: join(node.folder, "cdc_raw"),
    // Synced before it is answered: one node that is killed loses nothing that the log has let go of.
    commitlog_sync: "group",
    commitlog_sync_group_window: "5ms",
    ...smallMachine,
    read_request_timeout: "5000ms",
    range_request_timeout: "10000ms",
    write_request_timeout: "5000ms",
    cas_contention_timeout: "3000ms",
    request_timeout: "10000ms",
    batch_size_warn_threshold: "64KiB",
    batch_size_fail_threshold: "640KiB",
    hinted_handoff_enabled: true,
    max_hint_window: "3h",
    hints_flush_period: "1000ms",
    auto_snapshot: false,
    snapshot_before_compaction: false,
    storage_compatibility_mode: "NONE",
    sstable: { selected_format: "bti" },
    memtable: { configurations: { default: { class_name: "TrieMemtable" } } }
  }
  // YAML reads JSON.
  return Object.entries(settings)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`)
    .join("")
}

const encryption = ({ authorityFile, certificateAndKeyFile }: CassandraTls) => ({
  enabled: true,
  optional: true,
  require_client_auth: true,
  ssl_context_factory: { class_name: "org.apache.cassandra.security.PEMBasedSslContextFactory" },
  keystore: certificateAndKeyFile,
  truststore: authorityFile
})

const smallMachine = {
  commitlog_segment_size: "8MiB",
  commitlog_total_space: "128MiB",
  disk_optimization_strategy: "ssd",
  memtable_allocation_type: "heap_buffers",
  memtable_heap_space: "96MiB",
  memtable_offheap_space: "32MiB",
  memtable_flush_writers: 1,
  file_cache_size: "32MiB",
  networking_cache_size: "16MiB",
  key_cache_size: "8MiB",
  counter_cache_size: "2MiB",
  concurrent_reads: 16,
  concurrent_writes: 16,
  concurrent_counter_writes: 8,
  concurrent_compactors: 1,
  compaction_throughput: "32MiB/s"
}

export const logbackXml = `<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
`

/** Which of the JVM's own modules Cassandra reaches into, as its own start script has it. */
const opens = [
  ..."lang lang.module lang.reflect io nio net util util.concurrent util.concurrent.atomic"
    .split(" ")
    .map((name) => `java.base/java.${name}`),
  "java.base/sun.nio.ch",
  ..."loader ref reflect math module util.jar".split(" ").map((name) => `java.base/jdk.internal.${name}`),
  "jdk.management/com.sun.management.internal",
  "jdk.compiler/com.sun.tools.javac.file"
]
const exported = [
  "java.base/jdk.internal.misc",
  "java.base/jdk.internal.ref",
  "java.base/sun.nio.ch",
  "java.base/java.lang.ref",
  "java.management.rmi/com.sun.jmx.remote.internal.rmi",
  "java.rmi/sun.rmi.registry",
  "java.rmi/sun.rmi.server",
  "java.rmi/sun.rmi.transport.tcp",
  "java.sql/java.sql",
  "jdk.unsupported/sun.misc"
]

/** Of `java`, with the class path that holds Cassandra's jars. */
export const javaArguments = (
  node: CassandraNodeConfig,
  classPath: string,
  agent: string | undefined
): Array<string> => [
  ...opens.map((name) => `--add-opens=${name}=ALL-UNNAMED`),
  ...exported.map((name) => `--add-exports=${name}=ALL-UNNAMED`),
  // Measures objects in memtables exactly; without it Cassandra estimates.
  ...(agent === undefined ? [] : [`-javaagent:${agent}`]),
  `-Xms${node.heap}`,
  `-Xmx${node.heap}`,
  "-Xss256k",
  ...(node.brief ? ["-XX:TieredStopAtLevel=1"] : []),
  "-XX:+UseSerialGC",
  "-XX:MaxDirectMemorySize=128m",
  "-XX:ReservedCodeCacheSize=96m",
  "-XX:+ExitOnOutOfMemoryError",
  "-Djdk.attach.allowAttachSelf=true",
  "-Dio.netty.tryReflectionSetAccessible=true",
  "-Djava.net.preferIPv4Stack=true",
  "-Djava.awt.headless=true",
  `-Djava.io.tmpdir=${join(node.folder, "tmp")}`,
  `-Dcassandra.config=${pathToFileURL(join(node.folder, "conf", "cassandra.yaml"))}`,
  `-Dlogback.configurationFile=${pathToFileURL(join(node.folder, "conf", "logback.xml"))}`,
  `-Dcassandra.storagedir=${node.folder}`,
  `-Dcassandra.jmx.local.port=${node.jmxPort}`,
  // Nodes of one machine see each other at once; the default waits for 30 s.
  "-Dcassandra.ring_delay_ms=1000",
  "-Dcassandra.skip_wait_for_gossip_to_settle=0",
  "-Dcassandra.superuser_setup_delay_ms=0",
  "-Dcassandra-foreground=yes",
  "-cp",
  classPath,
  "org.apache.cassandra.service.CassandraDaemon"
]
