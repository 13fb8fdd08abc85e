/**
 * A data directory into a cluster that is empty: stores, then log, then a comparison of both sides; only then nodes of the
 * cluster may start. Nothing in the directory is changed but for a file that says where it went. It may be cut off anywhere
 * and run again. What a client was promised holds across it: same seqs and generations, client ids known, cursors kept.
 */
import { randomUUID } from "node:crypto"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Context, Effect, Layer, type Scope } from "effect"
import { Cassandra } from "@parley/storage/cassandra/Cassandra"
import { usedTables } from "@parley/storage/cassandra/KeyspaceUse"
import { JetStreamSetup } from "@parley/storage/jetstream/JetStreamSetup"
import { shardsMax } from "@parley/storage/jetstream/LogStreams"
import { OwnMigration, readMark, writeMark } from "@parley/storage/jetstream/MigrationMark"
import { DataDirectoryLock } from "@parley/storage/sqlite/DataDirectoryLock"
import { SqliteEventLog } from "@parley/storage/sqlite/SqliteEventLog"
import { layer as layerSqliteStores } from "@parley/storage/sqlite/SqliteStores"
import { StoreExport } from "@parley/storage/sqlite/StoreExport"
import { StoreSync } from "@parley/storage/StoreSync"
import { layerClusterStorage } from "../ClusterStorage.ts"
import { logFile, storeFile } from "../EmbeddedFiles.ts"
import { NodeConfig, type NodeSettings } from "../NodeConfig.ts"
import { madeWithShards } from "../ShardCount.ts"
import { compareStores } from "./CompareStores.ts"
import { copyLog } from "./CopyLog.ts"
import { copyStores } from "./CopyStores.ts"
import { MigrationRefused } from "./MigrateError.ts"
import { readMove, writeMove } from "./MovedDirectory.ts"
import { patiently } from "./Paged.ts"
import { stores, type Stores } from "./Stores.ts"

const refuse = (why: string) => new MigrationRefused({ why })

/** The report's name in the data directory: a line a channel, with its hash on both sides. */
export const reportFile = "migration.txt"

export const migrate = Effect.fnUntraced(function* (settings: NodeSettings, say: (line: string) => void) {
  const { cluster, data } = settings
  if (!existsSync(join(data, logFile)) || !existsSync(join(data, storeFile))) {
    return yield* refuse(`${data} is not the data directory of a server that was alone: name it with --data`)
  }
  yield* DataDirectoryLock.acquire(data)
  const made = yield* madeWithShards(data)
  if (made !== undefined && made > shardsMax) {
    return yield* refuse(
      `${data} was made with ${made} shards and a cluster has at most ${shardsMax}: which shard a channel is in can't be changed, so this one can't be moved`
    )
  }
  if (made !== undefined && made !== settings.shards) {
    return yield* refuse(
      `${data} was made with ${made} shards and the cluster would have ${settings.shards}: give --shards ${made}, here and to all nodes (which shard a channel is in depends on it)`
    )
  }
  const begun = yield* readMove(data)
  if (begun !== undefined && begun.cluster !== cluster) {
    return yield* refuse(`${data} was moved to the cluster ${begun.cluster}, or in part: name that one with --cluster`)
  }
  const id = begun?.id ?? randomUUID()
  const from = yield* Effect.provideContext(stores, yield* Layer.build(layerSource(settings)))
  const target = yield* Layer.build(layerClusterStorage.pipe(Layer.provide(Layer.succeed(NodeConfig, settings)))).pipe(
    Effect.provideService(OwnMigration, id)
  )
  const to = yield* Effect.provideContext(stores, target)
  const { manager, streams } = Context.get(target, JetStreamSetup)
  const mark = yield* readMark(manager, streams)
  if (mark !== undefined && mark.id !== id) {
    return yield* refuse(`another data directory was moved to the cluster ${cluster}: choose a cluster that is empty`)
  }
  if (mark === undefined) {
    yield* checkEmpty(to, Context.get(target, Cassandra), settings.cassandraKeyspace)
    // The directory first: a mark that is there has its directory.
    writeMove(data, { id, cluster })
    yield* writeMark(manager, streams, { id, state: "copying" })
  }
  if (mark?.state === "done") return yield* refuse(`${data} was moved to the cluster ${cluster} before, all of it`)

  const source = yield* opened(join(data, storeFile))
  const copied = yield* copyStores(source, from, to, say)
  say(`stores copied: ${copied.channels} channels, ${copied.events} events; now the log`)
  const records = yield* copyLog(from.log, to.log)
  say(`log copied: ${records} records; now both sides are compared`)
  const compared = yield* compareStores(source, from, to, Date.now())
  // What the consumers' positions in the log say is stored, must be so when Cassandra loses power now.
  yield* Context.get(target, StoreSync).sync
  const report = compared.channels.map(({ channel, events, sha256 }) => `${channel} ${events} ${sha256}\n`).join("")
  writeFileSync(join(data, reportFile), report, { mode: 0o600 })
  yield* writeMark(manager, streams, { id, state: "done" })
  return { ...copied, records, ids: compared.ids, report: join(data, reportFile) }
})

/** As a server that is alone opens it, without one. */
const layerSource = ({ data, logHardBytes, logSoftBytes }: NodeSettings) =>
  layerSqliteStores({ file: join(data, storeFile) }).pipe(
    Layer.provideMerge(
      SqliteEventLog.layer({
        file: join(data, logFile),
        softBytes: logSoftBytes,
        hardBytes: logHardBytes,
        commitWindowMs: 0,
        synchronous: "FULL"
      })
    )
  )

const opened = (file: string): Effect.Effect<StoreExport, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new StoreExport(file)),
    (source) => Effect.sync(() => source[Symbol.dispose]())
  )

/** Nothing that anybody wrote is there; what it is, where there is some. */
const checkEmpty = Effect.fnUntraced(function* (to: Stores, cassandra: Cassandra["Service"], keyspace: string) {
  const used = yield* patiently(usedTables(cassandra, keyspace))
  const found = [
    ...((yield* to.log.shards).length > 0 ? ["its log has records (a node of it was started)"] : []),
    ...(used.length > 0 ? [`its keyspace ${keyspace} has rows in ${used.join(", ")}`] : [])
  ]
  if (found.length > 0) {
    return yield* refuse(
      `the cluster is not empty: ${found.join("; ")}. Choose another --cluster and --cassandra-keyspace`
    )
  }
})
