/**
 * Fan-out: one channel with 1,000 connected sockets, messages of 200 bytes, 32 in flight; then one in flight, and a
 * paced 30,000 deliveries/s. Beside it the ceiling (coalesced frames on `ws`, nothing stored) and plain `ws.send`. Every
 * delivery is checked to be the next one of its socket.
 */
import { limitsFire } from "./LimitsFire.ts"
import { OneChannel } from "./load/OneChannel.ts"
import { type Load, type Outcome, runSends } from "./load/Sends.ts"
import { ascending, percentile, report, round } from "./Report.ts"
import { pinGenerator, type RunningServer, startBaseline, startParley } from "./Servers.ts"
import { sized } from "./Sizes.ts"

export const fanoutShape = { id: "group:fan", sockets: sized(1_000, 250), senders: 19, textBytes: 200 }
const manyInFlight = 32
const warmMs = sized(3_000, 1_000)
const measureMs = sized(6_000, 3_000)
const pacedDeliveries = 30_000
const ratioMin = 0.6
const pacedRatioMax = 1.5

export const deliveriesPerSecond = (outcome: Outcome): number => (outcome.counted / outcome.acked) * outcome.perSecond

export const runFanout = async (server: RunningServer, channel: OneChannel, load: Load) => {
  const { send } = channel
  channel.takeLatencies()
  const outcome = await runSends({ server, load, warmMs, measureMs, send, count: () => channel.delivered })
  await channel.settled()
  return { outcome, perSecond: deliveriesPerSecond(outcome), p99: percentile(ascending(channel.takeLatencies()), 0.99) }
}

export const manyLoad: Load = { _tag: "closed", inFlight: manyInFlight }

const series = async (server: RunningServer, baseline: boolean) => {
  const channel = await OneChannel.open({ port: server.port, baseline }, fanoutShape)
  const many = await runFanout(server, channel, manyLoad)
  const one = await runFanout(server, channel, { _tag: "closed", inFlight: 1 })
  const paced = await runFanout(server, channel, {
    _tag: "paced",
    perSecond: pacedDeliveries / (fanoutShape.sockets - 1)
  })
  channel.close()
  return { many, one, paced }
}

const runBaseline = async (mode: "plain" | "coalesced") => {
  const server = await startBaseline(mode)
  const result = await series(server, true)
  await server.stop("SIGKILL")
  return result
}

export const bench = async (): Promise<void> => {
  pinGenerator()
  const ceiling = await runBaseline("coalesced")
  const plain = await runBaseline("plain")
  const server = await startParley()
  try {
    const ours = await series(server, false)
    const limits = await limitsFire("sends")
    const ratio = ours.many.perSecond / ceiling.many.perSecond
    report({
      bench: "fanout",
      value: Math.round(ours.many.perSecond),
      unit: "deliveries/s",
      baseline: Math.round(ceiling.many.perSecond),
      ratio: round(ratio, 2),
      target: `ratio >= ${ratioMin}; one in flight >= plain ws.send; paced ${pacedDeliveries}/s p99 <= ${pacedRatioMax} x plain`,
      pass:
        ratio >= ratioMin &&
        ours.one.perSecond >= plain.one.perSecond &&
        ours.paced.p99 <= pacedRatioMax * plain.paced.p99 &&
        limits.fired,
      delivered_per_ack: round(ours.many.outcome.counted / ours.many.outcome.acked),
      plain_many: Math.round(plain.many.perSecond),
      one_in_flight: Math.round(ours.one.perSecond),
      plain_one_in_flight: Math.round(plain.one.perSecond),
      paced_p99_ms: round(ours.paced.p99),
      plain_paced_p99_ms: round(plain.paced.p99),
      cpu_us_per_delivery: round((ours.many.outcome.serverShare * 1e6) / ours.many.perSecond, 2),
      ceiling_cpu_us_per_delivery: round((ceiling.many.outcome.serverShare * 1e6) / ceiling.many.perSecond, 2),
      one_cpu_us_per_delivery: round((ours.one.outcome.serverShare * 1e6) / ours.one.perSecond, 2),
      plain_one_cpu_us_per_delivery: round((plain.one.outcome.serverShare * 1e6) / plain.one.perSecond, 2),
      generator_cpu: round(ours.many.outcome.generatorShare, 2),
      ceiling_generator_cpu: round(ceiling.many.outcome.generatorShare, 2),
      limits
    })
  } finally {
    await server.stop("SIGTERM")
  }
}
