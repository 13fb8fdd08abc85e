/**
 * Durable sends: 500 channels of 5 connected members over 1,000 sockets, 256 sends in flight, each delivered to the
 * other four (checked: in order, without a hole), each on stable storage before its ack. Beside it a server that only
 * parses, and answers and delivers with `ws.send`, storing nothing. Then half of the value, paced, for the ack's
 * latency, beside the disk's own fdatasync.
 */
import { diskSync } from "./Disk.ts"
import { limitsFire } from "./LimitsFire.ts"
import { type Load, type Outcome, runSends } from "./load/Sends.ts"
import { SmallChannels } from "./load/SmallChannels.ts"
import { percentile, report, round } from "./Report.ts"
import { pinGenerator, type RunningServer, startBaseline, startParley } from "./Servers.ts"
import { sized } from "./Sizes.ts"

const shape = {
  channels: sized(500, 200),
  membersEach: 5,
  sockets: sized(1_000, 400),
  text: "a message of the usual length, which is not long at all, sent by a person"
}
const inFlight = sized(256, 128)
const warmMs = sized(3_000, 1_500)
const measureMs = sized(8_000, 4_000)
const ackP99MsMax = 25
const valueMin = 15_000

/** One load after the other; all deliveries of each are there before the next begins. */
const series =
  (server: RunningServer, channels: SmallChannels) =>
  async (load: Load): Promise<Outcome> => {
    const { send } = channels
    const outcome = await runSends({ server, load, warmMs, measureMs, send, count: () => channels.delivered })
    await channels.settled()
    return outcome
  }

const runBaseline = async (): Promise<Outcome> => {
  const server = await startBaseline("plain")
  const channels = await SmallChannels.open({ port: server.port, baseline: true }, shape)
  const outcome = await series(server, channels)({ _tag: "closed", inFlight })
  channels.close()
  await server.stop("SIGKILL")
  return outcome
}

const runParley = async () => {
  const server = await startParley()
  try {
    const channels = await SmallChannels.open({ port: server.port, baseline: false }, shape)
    const run = series(server, channels)
    const full = await run({ _tag: "closed", inFlight })
    const paced = await run({ _tag: "paced", perSecond: full.perSecond / 2 })
    channels.close()
    return { full, paced, disk: diskSync(server.data) }
  } finally {
    await server.stop("SIGTERM")
  }
}

export const bench = async (): Promise<void> => {
  pinGenerator()
  const plain = await runBaseline()
  const { disk, full, paced } = await runParley()
  const limits = await limitsFire("sends")
  const p99 = percentile(paced.latencies, 0.99)
  const ratio = full.perSecond / plain.perSecond
  report({
    bench: "send",
    value: Math.round(full.perSecond),
    unit: "acked sends/s",
    baseline: Math.round(plain.perSecond),
    ratio: round(ratio, 2),
    target: `value >= ${valueMin}, ratio >= 1, p99 of the ack <= ${ackP99MsMax} ms at half of the value`,
    pass: full.perSecond >= valueMin && ratio >= 1 && p99 <= ackP99MsMax && limits.fired,
    delivered_per_ack: round(full.counted / full.acked, 2),
    cpu_us_per_send: round(full.cpuMicrosPerSend),
    cpu_us_per_send_by_thread: full.threadMicrosPerSend,
    baseline_cpu_us_per_send: round(plain.cpuMicrosPerSend),
    full_ack_p50_ms: round(percentile(full.latencies, 0.5)),
    full_ack_p99_ms: round(percentile(full.latencies, 0.99)),
    paced_per_second: Math.round(paced.perSecond),
    paced_ack_p50_ms: round(percentile(paced.latencies, 0.5)),
    paced_ack_p99_ms: round(p99),
    paced_cpu_us_per_send: round(paced.cpuMicrosPerSend),
    fdatasync: disk,
    generator_cpu: round(full.generatorShare, 2),
    baseline_generator_cpu: round(plain.generatorShare, 2),
    limits
  })
}
