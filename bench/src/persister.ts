/**
 * What is written behind: Cassandra stands still (SIGSTOP) while events pile up in 500 channels, and goes on. Measured: how many
 * events a second the persister then writes, all tables, first with nobody sending, then with sends that go on, beside what
 * the driver can write of rows of that size. Rows an event are counted in Cassandra. The time is from Cassandra's going on until
 * the store lacks nothing (with sends: no more than before), so the persister's wait for a server that was away is in it.
 *
 * `npm run bench -- persister [EVENTS]`: so many events behind (100,000); 1,000,000 is the backlog.
 */
import { BenchCluster } from "./cluster/BenchCluster.ts"
import { Pile } from "./cluster/Pile.ts"
import { Rows } from "./cluster/Rows.ts"
import { pause, report, round, say } from "./Report.ts"
import { sized } from "./Sizes.ts"

const channels = sized(500, 100)
const eventsDefault = sized(100_000, 10_000)
const warmEvents = sized(30_000, 5_000)
const livePerSecond = sized(1_000, 200)
const perSecondMin = 10_000
const liveRatioMin = 3
const lookMs = 100
/** The longest that may take: so many events a second are no drain any more. */
const drainPerSecondMin = 1_000
const drainMsMin = 300_000
const drainMsMax = (events: number): number => Math.max(drainMsMin, (events * 1_000) / drainPerSecondMin)
/** How long is looked at what the store lacks in the usual course of sends that go on. */
const usualMs = sized(12_000, 2_000)

interface Drain {
  readonly events: number
  readonly live_per_second: number
  readonly seconds: number
  readonly per_second: number
  readonly rss_mb_before: number
  readonly rss_mb_most: number
  readonly cpu_us_an_event: Readonly<Record<string, number>>
}

const unstored = (bench: BenchCluster): Promise<number> => bench.metric("parley_unstored")

/** The most that the store lacks of sends that go on while nothing is behind. */
const usual = async (bench: BenchCluster): Promise<number> => {
  let most = 0
  for (const end = performance.now() + usualMs; performance.now() < end; await pause(lookMs)) {
    most = Math.max(most, await unstored(bench))
  }
  return most
}

/** Cassandra goes on now; waits until the store lacks no more than `left`. */
const drain = async (bench: BenchCluster, pile: Pile, events: number, live: number, left: number): Promise<Drain> => {
  const rss = () => round(bench.rssBytes().reduce((sum, bytes) => sum + bytes, 0) / 1e6, 0)
  const before = rss()
  const cpu = bench.cpuByThread()
  const acked = pile.acked
  const most = await unstored(bench)
  if (most <= left) throw new Error(`the store lacks ${most} and usually up to ${left}: nothing is behind`)
  const at = performance.now()
  bench.cluster.services.resume("cassandra-1")
  let rssMost = before
  for (let lacks = most; lacks > left; lacks = await unstored(bench)) {
    await pause(lookMs)
    rssMost = Math.max(rssMost, rss())
    if (performance.now() - at > drainMsMax(events))
      throw new Error(`${lacks} of ${most} are not stored after ${drainMsMax(events)} ms`)
  }
  const seconds = (performance.now() - at) / 1_000
  const written = events + pile.acked - acked
  const used = bench.cpuByThread()
  const outcome = {
    events: written,
    live_per_second: live,
    seconds: round(seconds, 2),
    per_second: Math.round(written / seconds),
    rss_mb_before: before,
    rss_mb_most: rssMost,
    cpu_us_an_event: Object.fromEntries(
      Object.entries(used).map(([name, total]) => [name, round(((total - (cpu[name] ?? 0)) * 1e6) / written)])
    )
  }
  say(JSON.stringify(outcome))
  return outcome
}

const untilStored = async (bench: BenchCluster): Promise<boolean> => {
  for (const end = performance.now() + drainMsMin; performance.now() < end; await pause(lookMs)) {
    if ((await unstored(bench)) === 0) return true
  }
  return false
}

export const bench = async ([given = String(eventsDefault)]: ReadonlyArray<string>): Promise<void> => {
  const events = Number(given)
  if (!Number.isInteger(events) || events < 1) throw new Error(`persister [EVENTS]: "${given}" is not a number`)
  await using bench = await BenchCluster.start({ nodes: 1 })
  const { services } = bench.cluster
  const pile = await Pile.open(bench, "p", channels)
  const pileUp = async (count: number) => {
    services.pause("cassandra-1")
    const from = performance.now()
    await pile.add(count)
    say(`${count} events are behind, at ${Math.round((count * 1_000) / (performance.now() - from))}/s`)
  }
  // Code that is not compiled yet, of the node and of Cassandra, is three to five times slower.
  await pileUp(warmEvents)
  await drain(bench, pile, warmEvents, 0, 0)
  const rows = await Rows.open(services.state)
  const raw = await rows.rawPerSecond()
  await pileUp(events)
  const alone = await drain(bench, pile, events, 0, 0)
  pile.start(livePerSecond)
  await pause(usualMs)
  const left = await usual(bench)
  const before = pile.acked
  await pileUp(events)
  pile.takeLatencies()
  const live = await drain(bench, pile, pile.acked - before, livePerSecond, left)
  const acks = pile.takeLatencies()
  pile.stop()
  if (!(await untilStored(bench))) throw new Error("after the sends have ended, the store still lacks something")
  const rowsAnEvent = await rows.perEvent(pile.channels, pile.heads)
  pile.close()
  await rows.close()
  const ratio = live.per_second / livePerSecond
  const rawEvents = raw / rowsAnEvent.all
  report({
    bench: "persister",
    value: alone.per_second,
    unit: "events/s into one Cassandra node, all tables",
    baseline: Math.round(rawEvents),
    ratio: round(alone.per_second / rawEvents, 2),
    target: `value >= ${perSecondMin}; with sends going on >= ${liveRatioMin} x their rate`,
    pass: alone.per_second >= perSecondMin && ratio >= liveRatioMin,
    baseline_is: "rows that the driver writes in batches of 50, a second, over rows an event",
    raw_rows_per_second: Math.round(raw),
    rows_an_event: rowsAnEvent,
    drained_alone: alone,
    drained_with_sends: live,
    live_ratio: round(ratio),
    usually_unstored: left,
    acks_meanwhile: acks,
    refused: pile.refused
  })
}
