/**
 * What a message costs as nodes are added: the load of bench `remote`, 512 channels of 5 members over 1,000 sockets that are
 * spread over all nodes, on one node and on three: at one rate, so that three have a third of it each, and at one rate a
 * node, as nodes are added when there is more to do. On one nothing crosses NATS but the log; on three two thirds of the
 * calls do, and most deliveries. CPU is that of all Parley processes.
 */
import { BenchCluster, channelsByShard } from "./cluster/BenchCluster.ts"
import { connectClient, inParallel } from "./load/Clients.ts"
import { runSends } from "./load/Sends.ts"
import { SmallChannels } from "./load/SmallChannels.ts"
import { percentile, report, round, say } from "./Report.ts"
import { sized } from "./Sizes.ts"

const channelsEach = sized(2, 1)
const sockets = sized(1_000, 200)
const membersEach = 5
const text = "a message of the usual length, which is not long at all, sent by a person"
const warmMs = sized(10_000, 2_000)
const measureMs = sized(15_000, 3_000)
const perSecondDefault = sized(500, 100)
const ratioMax = 1.15

const measure = async (nodes: number, perSecond: number) => {
  await using bench = await BenchCluster.start({ nodes })
  await bench.untilOwned(nodes)
  const clients = await inParallel(
    Array.from({ length: sockets }, (_, index) => index),
    32,
    (index) => connectClient({ port: bench.portOf(index % nodes), baseline: false }, `u${index}`, [])
  )
  const wanted = channelsByShard("g", channelsEach).map((id, index) => ({
    id,
    members: Array.from({ length: membersEach }, (_, member) => (index * 2 + member * 211) % sockets)
  }))
  const channels = await SmallChannels.over(clients, wanted, text, true)
  const { send } = channels
  const load = { _tag: "paced", perSecond } as const
  const outcome = await runSends({ server: bench, load, warmMs, measureMs, send, count: () => channels.delivered })
  await channels.settled()
  channels.close()
  const cost = {
    nodes,
    per_second: Math.round(outcome.perSecond),
    cpu_us_per_send: round(outcome.cpuMicrosPerSend),
    cpu_us_by_process: outcome.threadMicrosPerSend,
    ack_p50_ms: round(percentile(outcome.latencies, 0.5)),
    ack_p99_ms: round(percentile(outcome.latencies, 0.99)),
    rss_mb: bench.rssBytes().map((bytes) => Math.round(bytes / 1_048_576))
  }
  say(JSON.stringify(cost))
  return cost
}

export const bench = async ([rate = String(perSecondDefault)]: ReadonlyArray<string>): Promise<void> => {
  const perSecond = Number(rate)
  if (!Number.isInteger(perSecond) || perSecond < 1) throw new Error(`growth [SENDS_PER_SECOND]: "${rate}" is not one`)
  const one = await measure(1, perSecond)
  const three = await measure(3, perSecond)
  const grown = await measure(3, perSecond * 3)
  const ratio = three.cpu_us_per_send / one.cpu_us_per_send
  const ratioGrown = grown.cpu_us_per_send / one.cpu_us_per_send
  report({
    bench: "growth",
    value: three.cpu_us_per_send,
    unit: "us of CPU of all Parley processes a send, on three nodes",
    baseline: one.cpu_us_per_send,
    ratio: round(ratio, 2),
    ratio_at_one_rate_a_node: round(ratioGrown, 2),
    target: `ratio to one node <= ${ratioMax}, at one rate and at one rate a node`,
    pass: ratio <= ratioMax && ratioGrown <= ratioMax,
    one,
    three,
    three_at_one_rate_a_node: grown
  })
}
