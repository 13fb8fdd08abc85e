/**
 * One hot channel whose owner is another node than its 20 members': acked sends a second by group commit, in a log of three
 * replicas that sync each message. Beside it, to the same NATS servers and with the same sync, appends one by one.
 */
import { connect } from "@nats-io/transport-node"
import { BenchCluster, shardOfChannel } from "./cluster/BenchCluster.ts"
import { OneChannel } from "./load/OneChannel.ts"
import { runSends } from "./load/Sends.ts"
import { percentile, report, round } from "./Report.ts"
import { sized } from "./Sizes.ts"

const shape = { id: "group:hot", sockets: 20, senders: 20, textBytes: 80, acksLate: true }
const inFlight = 256
const warmMs = sized(5_000, 1_500)
const measureMs = sized(10_000, 3_000)
const perSecondMin = 3_000
const requestMsMax = 5_000
const recordBytes = 300

/** Appends to a stream of three replicas, each after the answer to the one before. */
const oneByOne = async ({ cluster }: BenchCluster): Promise<number> => {
  const { natsPassword, natsServers = [], natsUser } = cluster.services.state
  const nats = await connect({
    servers: [...natsServers],
    ...(natsUser === undefined ? {} : { user: natsUser, pass: natsPassword ?? "" })
  })
  const ask = async (subject: string, payload: string | Uint8Array) => {
    const answer = (await nats.request(subject, payload, { timeout: requestMsMax })).string()
    if (answer.includes('"error"')) throw new Error(`${subject} was answered ${answer}`)
  }
  const config = { name: "bench-raw", subjects: ["bench.raw"], num_replicas: 3, storage: "file", discard: "new" }
  await ask("$JS.API.STREAM.CREATE.bench-raw", JSON.stringify({ ...config, retention: "limits" }))
  const from = performance.now()
  let appends = 0
  for (const bytes = new Uint8Array(recordBytes); performance.now() - from < measureMs / 2; appends++) {
    await ask("bench.raw", bytes)
  }
  const perSecond = (appends * 1_000) / (performance.now() - from)
  await ask("$JS.API.STREAM.DELETE.bench-raw", "")
  await nats.close()
  return perSecond
}

export const bench = async (): Promise<void> => {
  await using bench = await BenchCluster.start({ nodes: 2 })
  const owner = (await bench.owners())[shardOfChannel(shape.id)]
  const port = bench.portOf(owner === 0 ? 1 : 0)
  const raw = await oneByOne(bench)
  const channel = await OneChannel.open({ port, baseline: false }, shape)
  const { send } = channel
  const outcome = await runSends({
    server: bench,
    load: { _tag: "closed", inFlight },
    warmMs,
    measureMs,
    send,
    count: () => channel.delivered
  })
  await channel.settled()
  channel.close()
  report({
    bench: "remote-hot",
    value: Math.round(outcome.perSecond),
    unit: "acked sends/s in one channel of another node",
    baseline: Math.round(raw),
    ratio: round(outcome.perSecond / raw),
    target: `value >= ${perSecondMin}`,
    pass: outcome.perSecond >= perSecondMin,
    ack_p50_ms: round(percentile(outcome.latencies, 0.5)),
    ack_p99_ms: round(percentile(outcome.latencies, 0.99)),
    delivered_per_ack: round(outcome.counted / outcome.acked, 2),
    cpu_us_per_send: round(outcome.cpuMicrosPerSend),
    cpu_us_by_process: outcome.threadMicrosPerSend,
    generator_cpu: round(outcome.generatorShare, 2)
  })
}
