/**
 * Bench `log`: fenced appends to the JetStream log, one in flight a shard, over 1, 64 and 256 shards, against real NATS
 * (three servers that it starts, `sync_interval: always`). Beside it in the same run: the same bytes to as
 * many subjects with the NATS client's own `request`, unfenced. The figure is this process's CPU an append.
 */
import { randomBytes } from "node:crypto"
import { mkdtempSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { EventLog, type LogPosition } from "@parley/storage/EventLog"
import { JetStreamEventLog } from "@parley/storage/jetstream/JetStreamEventLog"
import { JetStreamSetup } from "@parley/storage/jetstream/JetStreamSetup"
import { Nats } from "@parley/storage/jetstream/Nats"
import { Effect, Layer, Logger, Redacted } from "effect"
import { startServices } from "../../infra/services/Services.ts"
import { ascending, percentile, report, round, say } from "./Report.ts"
import { small } from "./Sizes.ts"

const shardCounts = [1, 64, 256] as const
const recordBytes = 1_000
const secondsEach = small ? 2 : 5
const requestMsMax = 5_000

interface Run {
  readonly perSecond: number
  readonly cpuMicros: number
  readonly p50: number
  readonly p99: number
  readonly failed: number
}

/** Keeps one append a shard in flight for some seconds; `append` calls back with whether it was stored. */
const run = (shards: number, append: (shard: number, done: (stored: boolean) => void) => void): Promise<Run> =>
  new Promise((resolve) => {
    const latencies: Array<number> = []
    const cpu = process.cpuUsage()
    const startedAt = performance.now()
    const until = startedAt + secondsEach * 1_000
    let failed = 0
    let active = shards
    const end = (): void => {
      const used = process.cpuUsage(cpu)
      const sorted = ascending(latencies)
      resolve({
        perSecond: round((sorted.length / (performance.now() - startedAt)) * 1_000, 0),
        cpuMicros: round((used.user + used.system) / Math.max(1, sorted.length)),
        p50: round(percentile(sorted, 0.5), 2),
        p99: round(percentile(sorted, 0.99), 2),
        failed
      })
    }
    const next = (shard: number): void => {
      const at = performance.now()
      append(shard, (stored) => {
        const now = performance.now()
        if (stored) latencies.push(now - at)
        else failed++
        if (now < until) next(shard)
        else if (--active === 0) end()
      })
    }
    for (let shard = 0; shard < shards; shard++) next(shard)
  })

const measure = Effect.gen(function* () {
  const log = yield* EventLog
  const { log: connection } = yield* Nats
  const { manager, streams } = yield* JetStreamSetup
  const bytes = randomBytes(recordBytes)
  const last = new Map<number, LogPosition>()
  const rows: Array<{ readonly shards: number; readonly fenced: Run; readonly raw: Run }> = []
  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      const buckets = [streams.positionsBucket, streams.clusterBucket].map((bucket) => `KV_${bucket}`)
      for (const name of [...streams.names, ...buckets]) await manager.streams.delete(name)
    })
  )
  for (const shards of shardCounts) {
    const fenced = yield* Effect.promise(() =>
      run(shards, (shard, done) =>
        log.append({
          shard,
          expectedLast: last.get(shard) ?? 0,
          seal: () => bytes,
          reserved: false,
          settle: (outcome) => {
            if (outcome._tag === "Committed") last.set(shard, outcome.position)
            done(outcome._tag === "Committed")
          }
        })
      )
    )
    const raw = yield* Effect.promise(() =>
      run(shards, (shard, done) => {
        connection.request(`${streams.prefix}.log.0.raw-${shard}`, bytes, { timeout: requestMsMax }).then(
          () => done(true),
          () => done(false)
        )
      })
    )
    for (const [name, { cpuMicros, failed, p50, p99, perSecond }] of Object.entries({ fenced, raw })) {
      say(
        `${shards} shards, ${name}: ${perSecond}/s, p50 ${p50} ms, p99 ${p99} ms, ${cpuMicros} µs CPU, ${failed} failed`
      )
    }
    rows.push({ shards, fenced, raw })
  }
  return rows
}).pipe(Effect.scoped)

export const bench = async (): Promise<void> => {
  const data = mkdtempSync(join(tmpdir(), "parley-bench-"))
  await using services = await startServices({ data, nats: { nodes: 3 }, temporary: true, say })
  const { natsPassword = "", natsServers = [], natsUser } = services.state
  const setup = {
    prefix: `bench-${randomBytes(5).toString("hex")}`,
    streams: 1,
    shards: 256,
    softBytes: 900_000_000,
    hardBytes: 1_000_000_000,
    unsafe: true
  }
  const rows = await Effect.runPromise(
    measure.pipe(
      Effect.provide(
        JetStreamEventLog.layerSetup(setup).pipe(
          Layer.provideMerge(
            Nats.layer({
              servers: natsServers,
              name: "bench",
              ...(natsUser === undefined ? {} : { user: natsUser, password: Redacted.make(natsPassword) })
            })
          ),
          Layer.provide(Logger.layer([]))
        )
      )
    )
  )
  const most = rows.at(-1)
  if (most === undefined) return
  const { fenced, raw } = most
  report({
    bench: "log",
    value: fenced.cpuMicros,
    unit: `µs of this process's CPU a fenced append of ${recordBytes} bytes, ${most.shards} shards`,
    baseline: raw.cpuMicros,
    ratio: round(fenced.cpuMicros / raw.cpuMicros, 2),
    target: "ratio <= 1 to the client's own request without a fence",
    pass: fenced.cpuMicros <= raw.cpuMicros && rows.every((row) => row.fenced.failed === 0),
    rows
  })
}
