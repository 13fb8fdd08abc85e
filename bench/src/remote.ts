/**
 * Durable sends through another node: two nodes, 256 shards, a log of three replicas that sync each message. The load is
 * that of bench `send`, 500 channels of 5 over 1,000 sockets, and every channel's shard is at the node that none of its
 * members is connected to: each send and each delivery crosses NATS. Beside it the embedded server with the same load, as
 * fast as it can and at the same rate. CPU is that of both Parley nodes; that of the services is in `cpu_us_by_process`.
 *
 * `remote [IN_FLIGHT]`: so many sends wait for their acks at full speed, on both sides. A shard has one record in flight and
 * a record has what waited for it: with 2,048 over 256 shards some eight sends.
 */
import { BenchCluster, channelsByShard, shardOfChannel } from "./cluster/BenchCluster.ts"
import { connectClient, inParallel } from "./load/Clients.ts"
import { type Load, type Outcome, runSends } from "./load/Sends.ts"
import { SmallChannels } from "./load/SmallChannels.ts"
import { percentile, report, round } from "./Report.ts"
import { type CpuSource, startParley } from "./Servers.ts"
import { sized } from "./Sizes.ts"

const nodes = 2
const channelsEach = sized(2, 1)
const sockets = sized(1_000, 200)
const membersEach = 5
const text = "a message of the usual length, which is not long at all, sent by a person"
const inFlightDefault = sized(2_048, 128)
/** Several rounds of the persister, which gathers for seconds: what it puts off has to be in what is measured. */
const warmMs = sized(20_000, 2_000)
/** Of the first load: by then Cassandra has compiled what it needs. */
const warmFirstMs = sized(90_000, 2_000)
const measureMs = sized(40_000, 3_000)
const perSecondMin = 10_000
const cpuRatioMax = 2
const p99MsMax = 50

const run = async (server: CpuSource, channels: SmallChannels, load: Load, warm = warmMs): Promise<Outcome> => {
  const { send } = channels
  const outcome = await runSends({ server, load, warmMs: warm, measureMs, send, count: () => channels.delivered })
  await channels.settled()
  return outcome
}

/** For how long the persister of any node has had something to do, in s: what is not written by then is work put off. */
const persisterLag = async ({ cluster }: BenchCluster): Promise<number> => {
  const lags = cluster.nodes.map(async ({ url }) => {
    const text = await (await fetch(`${url}/metrics`)).text()
    return Number(/^parley_consumer_lag_seconds\{consumer="persister"\} (\S+)/m.exec(text)?.[1] ?? 0)
  })
  return Math.max(...(await Promise.all(lags)))
}

const remote = async (inFlight: number) => {
  await using bench = await BenchCluster.start({ nodes, warms: true })
  const owners = await bench.untilOwned(nodes)
  const pool = sockets / nodes
  const clients = await inParallel(
    Array.from({ length: sockets }, (_, index) => index),
    32,
    (index) => connectClient({ port: bench.portOf(Math.floor(index / pool)), baseline: false }, `u${index}`, [])
  )
  const wanted = channelsByShard("r", channelsEach).map((id, index) => {
    const other = (owners[shardOfChannel(id)] ?? 0) === 0 ? 1 : 0
    return {
      id,
      members: Array.from({ length: membersEach }, (_, member) => other * pool + ((index * 2 + member * 211) % pool))
    }
  })
  const channels = await SmallChannels.over(clients, wanted, text, true)
  const full = await run(bench, channels, { _tag: "closed", inFlight }, warmFirstMs)
  const lags = [await persisterLag(bench)]
  const half = await run(bench, channels, { _tag: "paced", perSecond: full.perSecond / 2 })
  lags.push(await persisterLag(bench))
  const eighth = await run(bench, channels, { _tag: "paced", perSecond: full.perSecond / 8 })
  lags.push(await persisterLag(bench))
  channels.close()
  return { full, half, eighth, lags, channels: wanted.length }
}

const embedded = async (count: number, inFlight: number, perSecond: number) => {
  const server = await startParley()
  try {
    const target = { port: server.port, baseline: false }
    const channels = await SmallChannels.open(target, { channels: count, membersEach, sockets, text })
    const full = await run(server, channels, { _tag: "closed", inFlight })
    const half = await run(server, channels, { _tag: "paced", perSecond })
    channels.close()
    return { full, half }
  } finally {
    await server.stop("SIGTERM")
  }
}

export const bench = async ([given = String(inFlightDefault)]: ReadonlyArray<string>): Promise<void> => {
  const inFlight = Number(given)
  if (!Number.isInteger(inFlight) || inFlight < 1) throw new Error(`remote [IN_FLIGHT]: "${given}" is not a number`)
  const far = await remote(inFlight)
  const near = await embedded(far.channels, inFlight, far.half.perSecond)
  const ratio = far.full.cpuMicrosPerSend / near.full.cpuMicrosPerSend
  const p99 = percentile(far.half.latencies, 0.99)
  report({
    bench: "remote",
    value: Math.round(far.full.perSecond),
    unit: "acked sends/s through another node",
    baseline: Math.round(near.full.perSecond),
    ratio: round(ratio, 2),
    target: `value >= ${perSecondMin}, ratio (CPU a send of all Parley processes) <= ${cpuRatioMax}, p99 <= ${p99MsMax} ms at half`,
    pass: far.full.perSecond >= perSecondMin && ratio <= cpuRatioMax && p99 <= p99MsMax,
    in_flight: inFlight,
    cpu_us_per_send: round(far.full.cpuMicrosPerSend),
    embedded_cpu_us_per_send: round(near.full.cpuMicrosPerSend),
    ratio_at_one_rate: round(far.half.cpuMicrosPerSend / near.half.cpuMicrosPerSend, 2),
    cpu_us_by_process: far.full.threadMicrosPerSend,
    delivered_per_ack: round(far.full.counted / far.full.acked, 2),
    full_ack_p50_ms: round(percentile(far.full.latencies, 0.5)),
    full_ack_p99_ms: round(percentile(far.full.latencies, 0.99)),
    half_per_second: Math.round(far.half.perSecond),
    half_ack_p50_ms: round(percentile(far.half.latencies, 0.5)),
    half_ack_p99_ms: round(p99),
    eighth_per_second: Math.round(far.eighth.perSecond),
    eighth_ack_p50_ms: round(percentile(far.eighth.latencies, 0.5)),
    eighth_ack_p99_ms: round(percentile(far.eighth.latencies, 0.99)),
    persister_lag_s: far.lags.map((lag) => round(lag)),
    half_cpu_us_by_process: far.half.threadMicrosPerSend,
    half_cpu_us_per_send: round(far.half.cpuMicrosPerSend),
    embedded_half_cpu_us_per_send: round(near.half.cpuMicrosPerSend),
    generator_cpu: round(far.full.generatorShare, 2)
  })
}
