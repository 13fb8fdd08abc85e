/**
 * Delivery at another node than the owner's: one channel, many sockets that watch it, sends from 20 of them. CPU a delivery
 * of both nodes, beside the same in the same cluster with all sockets at the owner's own node. Also what the NATS servers
 * spend on a send, at two sizes of the channel: it may not grow with its members.
 */
import { BenchCluster, channelsByShard, shardOfChannel } from "./cluster/BenchCluster.ts"
import { OneChannel } from "./load/OneChannel.ts"
import { runSends } from "./load/Sends.ts"
import { report, round, say } from "./Report.ts"
import { sized } from "./Sizes.ts"

const socketsMost = sized(1_000, 400)
const socketsFewer = socketsMost / 2
const inFlight = 32
const warmMs = sized(6_000, 2_000)
const measureMs = sized(8_000, 3_000)
const ratioMax = 1.1

export const bench = async (): Promise<void> => {
  await using bench = await BenchCluster.start({ nodes: 2 })
  const owners = await bench.untilOwned(2)
  const ids = channelsByShard("f", 1)
  let used = 0
  const measure = async (at: "owner" | "other", sockets: number) => {
    const id = ids[used++ * 7] ?? ""
    const owner = owners[shardOfChannel(id)] ?? 0
    const port = bench.portOf(at === "owner" ? owner : 1 - owner)
    const shape = { id, users: `v${used}-`, sockets, senders: 20, textBytes: 200, acksLate: true }
    const channel = await OneChannel.open({ port, baseline: false }, shape)
    const { send } = channel
    const load = { _tag: "closed", inFlight } as const
    const outcome = await runSends({ server: bench, load, warmMs, measureMs, send, count: () => channel.delivered })
    await channel.settled()
    channel.close()
    const cost = {
      at,
      sockets,
      us_a_delivery: round((outcome.cpuMicrosPerSend * outcome.acked) / outcome.counted, 3),
      deliveries_per_second: Math.round(outcome.counted / (measureMs / 1_000)),
      acked_per_second: Math.round(outcome.perSecond),
      cpu_us_per_send_by_process: outcome.threadMicrosPerSend
    }
    say(JSON.stringify(cost))
    return cost
  }
  // The first one is thrown away: what it compiles, the others find.
  await measure("other", socketsFewer)
  const near = await measure("owner", socketsMost)
  const far = await measure("other", socketsMost)
  const fewer = await measure("other", socketsFewer)
  const natsOf = ({ cpu_us_per_send_by_process: by }: typeof far) => by["nats"] ?? 0
  const ratio = far.us_a_delivery / near.us_a_delivery
  report({
    bench: "remote-fanout",
    value: far.us_a_delivery,
    unit: "us of CPU of both nodes a delivery at another node",
    baseline: near.us_a_delivery,
    ratio: round(ratio, 2),
    target: `ratio <= ${ratioMax} to sockets at the owner's node`,
    pass: ratio <= ratioMax,
    near,
    far,
    fewer,
    // One link message a flush and node: what NATS spends on a send does not follow the members.
    nats_us_per_send_most_over_fewer_sockets: round(natsOf(far) / natsOf(fewer), 2)
  })
}
