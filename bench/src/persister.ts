/**
 * What is written behind: Cassandra stands still (SIGSTOP) while events pile up in 500 channels, and goes on. Measured: how many
 * events a second the persister then writes, all tables, first with nobody sending, then with sends that go on, beside what
 * the driver can write of rows of that size. Rows an event are counted in Cassandra. From the first one written to the last,
 * so the driver's wait for a server that was away is not in it; it is stated.
 *
 * `npm run bench -- persister [EVENTS]`: so many events behind (200,000); 1,000,000 is the backlog.
 */
import { BenchCluster } from "./cluster/BenchCluster.ts"
import { Pile } from "./cluster/Pile.ts"
import { Rows } from "./cluster/Rows.ts"
import { pause, report, round, say } from "./Report.ts"
import { sized } from "./Sizes.ts"

const channels = sized(500, 100)
const eventsDefault = sized(200_000, 10_000)
const warmEvents = sized(50_000, 5_000)
const livePerSecond = sized(1_000, 200)
const perSecondMin = 10_000
const liveRatioMin = 3
const lookMs = 100
const drainMsMax = 300_000
/** What the store lacks in the usual course of things is below this many shares of records. */
const usualMax = 2_000

interface Drain {
  readonly events: number
  readonly live_per_second: number
  readonly seconds: number
  readonly per_second: number
  /** From Cassandra's going on to the first event that it took. */
  readonly wait_seconds: number
  readonly rss_mb_before: number
  readonly rss_mb_most: number
  readonly cpu_us_an_event: Readonly<Record<string, number>>
}

/** Waits until what the store lacks is back to the usual; Cassandra goes on now. */
const drain = async (bench: BenchCluster, pile: Pile, events: number, live: number): Promise<Drain> => {
  const { services } = bench.cluster
  const rss = () => round(bench.rssBytes().reduce((sum, bytes) => sum + bytes, 0) / 1e6, 0)
  const unstored = () => bench.metric("parley_unstored")
  const before = rss()
  const most = await unstored()
  const at = performance.now()
  services.resume("cassandra-1")
  let first = 0
  let rssMost = before
  let cpu = bench.cpuByThread()
  let acked = pile.acked
  for (;;) {
    await pause(lookMs)
    const left = await unstored()
    const now = performance.now()
    rssMost = Math.max(rssMost, rss())
    if (first === 0 && left < most * 0.98) {
      first = now
      cpu = bench.cpuByThread()
      acked = pile.acked
    }
    if (process.env["BENCH_TRACE"] === "1") say(`${round((now - at) / 1_000)} s: ${left} of ${most} not stored`)
    if (first > 0 && left <= (live === 0 ? 0 : usualMax)) break
    if (now - at > drainMsMax) throw new Error(`${left} of ${most} are not stored after ${drainMsMax} ms`)
  }
  const seconds = (performance.now() - first) / 1_000
  const written = events + pile.acked - acked
  const used = bench.cpuByThread()
  const outcome = {
    events: written,
    live_per_second: live,
    seconds: round(seconds, 2),
    per_second: Math.round(written / seconds),
    wait_seconds: round((first - at) / 1_000, 2),
    rss_mb_before: before,
    rss_mb_most: rssMost,
    cpu_us_an_event: Object.fromEntries(
      Object.entries(used).map(([name, total]) => [name, round(((total - (cpu[name] ?? 0)) * 1e6) / written)])
    )
  }
  say(JSON.stringify(outcome))
  return outcome
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
  await drain(bench, pile, warmEvents, 0)
  const rows = await Rows.open(services.state)
  const raw = await rows.rawPerSecond()
  await pileUp(events)
  const alone = await drain(bench, pile, events, 0)
  pile.takeLatencies()
  await pileUp(events)
  pile.takeLatencies()
  pile.start(livePerSecond)
  await pause(1_000)
  const live = await drain(bench, pile, events + livePerSecond, livePerSecond)
  const acks = pile.takeLatencies()
  pile.close()
  const rowsAnEvent = await rows.perEvent(pile.channels)
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
    acks_meanwhile: acks,
    refused: pile.refused
  })
}
