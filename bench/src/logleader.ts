/**
 * `kill -9` of each NATS server in turn, so of the leader of every stream once, under writers in a channel of each shard.
 * Measured: the longest time without an ack of a channel. Beside it the same of an undisturbed time. At the end every channel
 * has exactly what was acknowledged.
 */
import { BenchCluster, channelsByShard } from "./cluster/BenchCluster.ts"
import { ChannelLoops } from "./cluster/ChannelLoops.ts"
import { type Summary, summary } from "./cluster/Gaps.ts"
import { Roamer } from "./cluster/Roamer.ts"
import { inParallel } from "./load/Clients.ts"
import { pause, report, round, say, until } from "./Report.ts"
import { sized } from "./Sizes.ts"

const writers = 16
const loopPauseMs = 100
const quietMs = sized(10_000, 3_000)
const backMsMax = 10_000
const waitMsMax = 60_000
const servers = ["nats-1", "nats-2", "nats-3"]

export const bench = async (): Promise<void> => {
  await using bench = await BenchCluster.start({ nodes: 2 })
  const roamers = await inParallel(
    Array.from({ length: writers }, (_, index) => index),
    writers,
    (index) => Roamer.open(`l${index}`, () => (index % 2 === 0 ? bench.ports : bench.ports.toReversed()))
  )
  const ids = channelsByShard("l", 1)
  const all = ids.map((_, index) => index)
  const loops = new ChannelLoops(
    ids.flatMap((id, index) => {
      const writer = roamers[index % writers]
      return writer === undefined ? [] : [{ id, writer }]
    }),
    loopPauseMs
  )
  await loops.create()
  loops.start()
  await pause(quietMs / 2)
  loops.gaps.begin(performance.now())
  await pause(quietMs)
  const quiet = summary(loops.gaps.gaps(all, performance.now()))
  const killed: Array<Summary & { readonly server: string }> = []
  for (const server of servers) {
    loops.gaps.begin(performance.now())
    await bench.cluster.services.killNode(server)
    // From the second ack on, a channel's gap is whole: the first one may have been on its way.
    await pause(quietMs)
    const from = performance.now()
    if (!(await until(() => Math.max(...loops.gaps.since(all, performance.now())) < quietMs / 2, waitMsMax))) {
      throw new Error(`${server} was killed, and not all channels had acks again after ${waitMsMax} ms`)
    }
    const gaps = { server, ...summary(loops.gaps.gaps(all, performance.now())) }
    say(JSON.stringify({ ...gaps, waited_ms: round(performance.now() - from) }))
    killed.push(gaps)
    await bench.cluster.services.startNode(server)
    await pause(quietMs)
  }
  await loops.stop()
  await loops.verify()
  for (const roamer of roamers) roamer.close()
  const worst = Math.max(...killed.map(({ max_ms }) => max_ms))
  report({
    bench: "log-leader",
    value: worst,
    unit: "ms without an ack, the longest of a channel",
    baseline: quiet.max_ms,
    ratio: round(worst / quiet.max_ms),
    target: `value <= ${backMsMax} ms, none lost`,
    pass: worst <= backMsMax,
    killed,
    undisturbed_gaps: quiet,
    acked: loops.acked,
    refused_and_retried: roamers.reduce((sum, { refused }) => sum + refused, 0)
  })
}
