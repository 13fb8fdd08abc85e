/**
 * One busy channel. 200 members connected, 64 sends in flight from 20 of them, every delivery checked to be the next one
 * of its socket; beside it bench `fanout`'s load on the same kind of server. Then 5 members, for acked sends a second.
 */
import { fanoutShape, manyLoad, runFanout } from "./fanout.ts"
import { limitsFire } from "./LimitsFire.ts"
import { OneChannel, type OneChannelShape } from "./load/OneChannel.ts"
import type { Load } from "./load/Sends.ts"
import { percentile, report, round } from "./Report.ts"
import { pinGenerator, startParley } from "./Servers.ts"
import { sized } from "./Sizes.ts"

const crowd = { id: "group:hot", sockets: sized(200, 60), senders: 20, textBytes: 200 }
const few = { id: "group:few", sockets: 5, senders: 5, textBytes: 80 }
const inFlight: Load = { _tag: "closed", inFlight: 64 }
const ratioMin = 0.5
const ackedMin = 15_000

const run = async (shape: OneChannelShape, load: Load) => {
  const server = await startParley()
  try {
    const channel = await OneChannel.open({ port: server.port, baseline: false }, shape)
    const result = await runFanout(server, channel, load)
    channel.close()
    return result
  } finally {
    await server.stop("SIGTERM")
  }
}

export const bench = async (): Promise<void> => {
  pinGenerator()
  const wide = await run(fanoutShape, manyLoad)
  const hot = await run(crowd, inFlight)
  const small = await run(few, inFlight)
  const limits = await limitsFire("sends")
  const ratio = hot.perSecond / wide.perSecond
  report({
    bench: "hotchannel",
    value: Math.round(small.outcome.perSecond),
    unit: "acked sends/s in a channel of 5 members",
    baseline: Math.round(wide.perSecond),
    ratio: round(ratio, 2),
    target: `200 members: ratio >= ${ratioMin} of fanout's deliveries/s, all in order; 5 members: value >= ${ackedMin}`,
    pass: ratio >= ratioMin && small.outcome.perSecond >= ackedMin && limits.fired,
    hot_deliveries_per_second: Math.round(hot.perSecond),
    hot_acked_per_second: Math.round(hot.outcome.perSecond),
    hot_delivered_per_ack: round(hot.outcome.counted / hot.outcome.acked),
    hot_cpu_us_per_delivery: round((hot.outcome.serverShare * 1e6) / hot.perSecond, 2),
    hot_ack_p99_ms: round(percentile(hot.outcome.latencies, 0.99)),
    few_ack_p99_ms: round(percentile(small.outcome.latencies, 0.99)),
    few_cpu_us_per_send: round(small.outcome.cpuMicrosPerSend),
    few_cpu_us_per_send_by_thread: small.outcome.threadMicrosPerSend,
    generator_cpu: round(hot.outcome.generatorShare, 2),
    few_generator_cpu: round(small.outcome.generatorShare, 2),
    fanout_generator_cpu: round(wide.outcome.generatorShare, 2),
    limits
  })
}
