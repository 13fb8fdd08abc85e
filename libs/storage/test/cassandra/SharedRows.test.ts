/** Rows of many partitions in one request to the real Cassandra: all are there, and what it refuses is one caller's. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer } from "effect"
import { randomUUID } from "node:crypto"
import { Cassandra } from "../../src/cassandra/Cassandra.ts"
import { layerCassandra as channelsLayer } from "../../src/cassandra/CassandraChannelStore.ts"
import { makeClient } from "../../src/cassandra/CassandraClient.ts"
import { layerCassandra as directoryLayer } from "../../src/cassandra/CassandraDirectory.ts"
import { layerCassandra as messagesLayer } from "../../src/cassandra/CassandraMessageStore.ts"
import { mentionsIn } from "../../src/cassandra/CassandraMentions.ts"
import { layerCassandra as parkedLayer } from "../../src/cassandra/CassandraParkedEvents.ts"
import { routingKey, select, Upsert, type Write } from "../../src/cassandra/Cql.ts"
import { PartitionBatches } from "../../src/cassandra/PartitionBatches.ts"
import { ChannelStore } from "../../src/ChannelStore.ts"
import { Directory } from "../../src/Directory.ts"
import { Inbox } from "../../src/Inbox.ts"
import { MessageStore } from "../../src/MessageStore.ts"
import { ParkedEvents } from "../../src/ParkedEvents.ts"
import { StoreRefused } from "../../src/StoreError.ts"
import { freshChannel, History } from "../History.ts"
import { keyspaceOfFile } from "./FileKeyspace.ts"

const keyspace = keyspaceOfFile()
const cassandraLayer = Layer.fresh(Layer.unwrap(Effect.map(keyspace, Cassandra.layer)))

const put = new Upsert({ table: "channels", key: ["channel"], set: ["top"] })
const get = select("SELECT top FROM channels WHERE channel = ?")

const batchesOf = (channels: ReadonlyArray<string>, top: bigint) => {
  const batches = new PartitionBatches(10)
  for (const channel of channels) batches.add(channel, put.at(top, top, channel))
  return batches.batches
}

describe("Requests with rows of many partitions", () => {
  it.live("rows of many callers at once are all there, the later values of each", () =>
    Effect.gen(function* () {
      const cassandra = yield* Cassandra
      const channels = Array.from({ length: 60 }, freshChannel)
      const callers = Array.from({ length: 20 }, (_, at) => channels.slice(at * 3, at * 3 + 6))
      const writes = callers.map((own, at) => cassandra.writeAll(batchesOf(own, BigInt(at + 1))))
      yield* Effect.all(writes, { concurrency: "unbounded" })
      for (const [at, channel] of channels.entries()) {
        const [row] = yield* cassandra.read(get, [channel])
        const last = callers.findLastIndex((own) => own.includes(channel)) + 1
        assert.strictEqual(row?.get("top"), BigInt(last), `channel ${at}`)
      }
    }).pipe(Effect.provide(cassandraLayer))
  )

  it.live(
    "†26 what Cassandra or the driver refuses is refused to its caller only, whose other rows are there too",
    () =>
      Effect.gen(function* () {
        const cassandra = yield* Cassandra
        const [before, with1, with2, after] = [freshChannel(), freshChannel(), freshChannel(), freshChannel()]
        const noBigint = put.at(1n, "many", freshChannel())
        const callers = [
          batchesOf([before], 1n),
          // Cassandra has no empty keys.
          batchesOf([with1, ""], 1n),
          [{ writes: [noBigint], bytes: 1 }, ...batchesOf([with2], 1n)],
          batchesOf([after], 1n)
        ]
        const exits = yield* Effect.forEach(callers, (own) => Effect.exit(cassandra.writeAll(own)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, false, false, true])
        for (const own of [1, 2]) {
          assert.instanceOf(yield* Effect.flip(exits[own] ?? Exit.void), StoreRefused)
        }
        for (const channel of [before, with1, with2, after]) {
          assert.strictEqual((yield* cassandra.read(get, [channel]))[0]?.get("top"), 1n)
        }
      }).pipe(Effect.provide(cassandraLayer))
  )

  it.live("a write's partition key is what Cassandra hashes, in every table of the write-behind", () =>
    Effect.gen(function* () {
      const options = yield* keyspace
      const written = new Map<string, Write>()
      const own: Array<Write> = []
      const cassandra = yield* Cassandra
      const recording = Cassandra.of({
        ...cassandra,
        writeAll: (batches) => {
          for (const write of batches.flatMap(({ writes }) => writes)) {
            own.push(write)
            written.set(write.query, { ...write, params: [...write.params] })
          }
          return cassandra.writeAll(batches)
        }
      })
      const stores = yield* Layer.build(
        Layer.fresh(Layer.provideMerge(channelsLayer, Layer.mergeAll(messagesLayer, directoryLayer, parkedLayer))).pipe(
          Layer.provide([Layer.succeed(Cassandra, recording), Layer.mock(Inbox, {})])
        )
      )
      const history = new History()
      const { channel } = history
      const events = [history.message(1, "a"), history.edit(2, 1, "b"), history.message(3, "c"), history.delete(4, 3)]
      yield* Context.get(stores, MessageStore).write(events)
      const step = { named: [], taken: [], members: [], rows: [] }
      yield* Context.get(stores, ChannelStore).write({ ...step, events: [history.message(5, "d")] })
      const directory = Context.get(stores, Directory)
      const [name, user] = ["n", "ann"]
      const times = { generation: 1, seq: 4, n: 2, createdAt: 1, idBound: 1 }
      yield* directory.writeChannels([{ ...times, channel, name, topic: "", fanout: "write", members: 1 }])
      yield* directory.writeMembers([{ channel, user, role: "owner", from: 1, to: null, seq: 1 }])
      yield* directory.writeSessions([{ user, generation: 1, userSeq: 1, state: new Uint8Array(3) }])
      yield* mentionsIn(recording).addMentions([{ user, channel, seq: 1, at: 1 }])
      const parked = { topic: "channel", id: channel, generation: 1, seq: 1, shard: 1, kind: "message" } as const
      const event = { consumer: randomUUID(), ...parked, why: "", parkedAt: 1, event: new Uint8Array(2) }
      yield* Context.get(stores, ParkedEvents).put([event])
      assert.isTrue(
        own.every(({ params }) => params.length === 0),
        "what is written is let go of"
      )

      const client = yield* Effect.acquireRelease(
        Effect.sync(() => makeClient(options, options.keyspace)),
        (it) => Effect.promise(() => it.shutdown())
      )
      yield* Effect.promise(() => client.connect())
      const tables = new Set<string>()
      for (const write of written.values()) {
        const [, table = ""] = /^UPDATE (\w+) /.exec(write.query) ?? []
        tables.add(table)
        const { partitionKeys } = yield* Effect.promise(() => client.metadata.getTable(options.keyspace, table))
        const keys = partitionKeys.map((it) => it.name)
        const values = write.params.slice(write.partition.from, write.partition.to)
        const where = `FROM ${table} WHERE ${keys.map((key) => `${key} = ?`).join(" AND ")} LIMIT 1`
        const { rows } = yield* Effect.promise(() =>
          client.execute(`SELECT token(${keys.join(", ")}) AS hashed ${where}`, [...values])
        )
        const token = client.metadata.newToken(routingKey(write))
        assert.strictEqual(String(token.getValue()), String(rows[0]?.get("hashed")), write.query)
      }
      const ofHistory = "messages channel_events message_edits message_ids block_changes"
      const ofDirectory = "channels channel_ids members_by_channel member_buckets channels_by_user sessions"
      const others = "mentions_by_user parked_events parked_entities parked_consumers"
      assert.sameMembers([...tables], [ofHistory, ofDirectory, others].join(" ").split(" "))
    }).pipe(Effect.provide(cassandraLayer))
  )
})
