/** What the persister left in Cassandra, counted there; and what the driver can do at best, in a keyspace of its own. */
import { makeClient } from "@parley/storage/cassandra/CassandraClient"
import type { State } from "../../../infra/services/State.ts"
import { inParallel } from "../load/Clients.ts"
import { round } from "../Report.ts"
import { sized } from "../Sizes.ts"

/** Channels that are counted. */
const sample = 20
const batchRows = 50
const inFlight = 64
const rawRows = sized(200_000, 20_000)
const minuteMs = 60_000

export class Rows {
  readonly #client: ReturnType<typeof makeClient>
  readonly #from = Math.floor(Date.now() / minuteMs) - 10

  private constructor(client: ReturnType<typeof makeClient>) {
    this.#client = client
  }

  static async open(state: State): Promise<Rows> {
    const localDatacenter = state.cassandraDatacenter ?? "datacenter1"
    const client = makeClient(
      {
        contactPoints: state.cassandraContactPoints ?? [],
        localDatacenter,
        keyspace: "parley",
        replication: { [localDatacenter]: 1 }
      },
      "parley"
    )
    await client.connect()
    return new Rows(client)
  }

  async #count(cql: string, values: ReadonlyArray<unknown>): Promise<number> {
    const { rows } = await this.#client.execute(`SELECT count(*) AS rows FROM ${cql}`, [...values])
    return Number(rows[0]?.["rows"] ?? 0)
  }

  /** Reads of the cluster's partitions since the node started, by table, as Cassandra counts them: whoever asked. */
  async reads(): Promise<ReadonlyMap<string, number>> {
    const { rows } = await this.#client.execute(
      "SELECT keyspace_name, table_name, count FROM system_views.local_read_latency"
    )
    const counts = new Map<string, number>()
    for (const row of rows) {
      if (row["keyspace_name"] === "parley") counts.set(String(row["table_name"]), Number(row["count"] ?? 0))
    }
    return counts
  }

  /** Rows of some channels, by table, over the events that they have; all of those have to be there. */
  async perEvent(channels: ReadonlyArray<string>, acked: ReadonlyArray<number>) {
    const counted = channels.slice(0, sample)
    const expected = acked.slice(0, sample).reduce((all, head) => all + head, 0)
    const now = Math.floor(Date.now() / minuteMs)
    const minutes = Array.from({ length: now - this.#from + 1 }, (_, index) => BigInt(this.#from + index))
    const sum = { messages: 0, channel_events: 0, message_ids: 0, channels: 0 }
    await inParallel(counted, 4, async (channel) => {
      for (const table of ["messages", "channel_events"] as const) {
        const rows = await this.#count(`${table} WHERE channel = ? AND bucket IN (0, 1, 2)`, [channel])
        sum[table] += rows
      }
      const ids = await this.#count(`message_ids WHERE channel = ? AND minute IN ?`, [channel, minutes])
      const heads = await this.#count(`channels WHERE channel = ?`, [channel])
      sum.message_ids += ids
      sum.channels += heads
    })
    const events = sum.messages + sum.channel_events
    if (events !== expected) {
      throw new Error(`the store has ${events} of ${expected} events of ${sample} channels: ${JSON.stringify(sum)}`)
    }
    const all = Object.values(sum).reduce((a, b) => a + b, 0)
    return { ...sum, events, all: round(all / events, 2) }
  }

  /** Rows a second of unlogged batches of one partition each, with as much in flight as the persister may have. */
  async rawPerSecond(): Promise<number> {
    await this.#client.execute(
      "CREATE KEYSPACE IF NOT EXISTS bench WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
      [],
      { prepare: false }
    )
    await this.#client.execute(
      "CREATE TABLE IF NOT EXISTS bench.raw (c text, b int, s bigint, sender text, cid text, body blob, PRIMARY KEY ((c, b), s))",
      [],
      { prepare: false }
    )
    const query = "INSERT INTO bench.raw (c, b, s, sender, cid, body) VALUES (?, ?, ?, ?, ?, ?)"
    const body = Buffer.alloc(180, "b")
    const batches = Array.from({ length: rawRows / batchRows }, (_, index) => index)
    const from = performance.now()
    await inParallel(batches, inFlight, (batch) =>
      this.#client.batch(
        Array.from({ length: batchRows }, (_, row) => ({
          query,
          params: [
            `channel-${batch % 500}`,
            0,
            BigInt(batch * batchRows + row),
            "user-1",
            "019aa000-1234-7000-8000-0123456789ab",
            body
          ]
        })),
        { prepare: true, logged: false }
      )
    )
    return (rawRows * 1_000) / (performance.now() - from)
  }

  close(): Promise<void> {
    return this.#client.shutdown()
  }
}
