/**
 * Pages of 50 from any depth of a channel of 1,000,000 messages, while sends go on in it: the p99 of each depth beside
 * that of the newest tenth, taken in turns, so that what disturbs one disturbs all. Every page is checked to be full and
 * to be the one asked for.
 */
import { limitsFire } from "./LimitsFire.ts"
import { type Client, clientId, connectClient, inParallel } from "./load/Clients.ts"
import { sync } from "./load/Channels.ts"
import { ackedSeq } from "./load/Order.ts"
import { pace } from "./load/Sends.ts"
import { ascending, percentile, report, round, say, until } from "./Report.ts"
import { pinGenerator, startParley, watchCpu } from "./Servers.ts"
import { seededData, type Seeds } from "./seed/KeptSeeds.ts"
import type { Seeded } from "./seed/Seed.ts"
import { sized } from "./Sizes.ts"

const messages = sized(1_000_000, 50_000)
const channel = "group:deep"
const members = ["reader", "writer"]
const pageRows = 50
const depths = 10
const pagesEach = sized(1_000, 100)
const pagesInFlight = 4
const sendsPerSecond = 200
const ratioMax = 1.5

export const seeds = {
  history: () => ({ channels: [{ id: channel, members, messages, senders: 2 }] })
} satisfies Seeds

interface HistoryAnswer {
  readonly ok: { readonly events: ReadonlyArray<{ readonly seq: number }>; readonly to: number }
}

/** One page below `before`; resolves with what it took. */
const readPage = async (client: Client, before: number): Promise<number> => {
  const at = performance.now()
  const frame = await client.request("history", `"channel":"${channel}","before":${before},"limit":${pageRows}`)
  const took = performance.now() - at
  // The server's own answer; what is wrong with it is found here.
  const { events } = (JSON.parse(frame) as HistoryAnswer).ok
  const last = events.at(-1)?.seq
  if (events.length !== pageRows || last !== before - 1) {
    throw new Error(`the page before ${before} has ${events.length} rows up to ${last}`)
  }
  return took
}

const measure = async (reader: Client, head: number): Promise<ReadonlyArray<number>> => {
  const times = Array.from({ length: depths }, () => new Array<number>())
  const turns = Array.from({ length: depths * pagesEach }, (_, turn) => turn % depths)
  await inParallel(turns, pagesInFlight, async (depth) => {
    // A place of that tenth of the channel, counted from its end; pages don't reach below the first message.
    const within = Math.random() * (head - 2 * pageRows)
    const before = Math.floor(head - (depth * (head - 2 * pageRows) + within) / depths)
    times[depth]?.push(await readPage(reader, before))
  })
  return times.map((each) => percentile(ascending(each), 0.99))
}

const run = async (seeded: Seeded, data: string) => {
  const server = await startParley({ data })
  try {
    const target = { port: server.port, baseline: false }
    const reader = await connectClient(target, "reader", [])
    const writer = await connectClient(target, "writer", [])
    const head = (await sync(reader, [], { generation: 0, seq: 0 })).channels[0]?.head.seq ?? 0
    if (head < seeded.messages) throw new Error(`the channel's head is ${head} after ${seeded.messages} messages`)
    let open = 0
    let sent = 0
    const pacer = pace(
      sendsPerSecond,
      () => open < 1_000,
      () => {
        open++
        writer.ask("send", `"cid":"${clientId()}","channel":"${channel}","text":"while pages are read"`, (frame) => {
          ackedSeq(frame)
          open--
          sent++
        })
      }
    )
    await measure(reader, head)
    const cpu = watchCpu(server)
    const sentBefore = sent
    const p99s = await measure(reader, head)
    const used = cpu()
    const sends = (sent - sentBefore) / used.seconds
    clearInterval(pacer)
    await until(() => open === 0, 10_000)
    reader.close()
    writer.close()
    return { p99s, sends, generator: used.generator, micros: (used.serverSeconds * 1e6) / (depths * pagesEach) }
  } finally {
    await server.stop("SIGTERM")
  }
}

export const bench = async (): Promise<void> => {
  pinGenerator()
  const { data, seeded } = await seededData("history", seeds.history)
  const { generator, micros, p99s, sends } = await run(seeded, data)
  const limits = await limitsFire("reads")
  const newest = p99s[0] ?? 0
  const worst = Math.max(...p99s)
  say(`p99 of a page by depth, newest tenth first: ${p99s.map((p99) => p99.toFixed(2)).join(" ")} ms`)
  report({
    bench: "history",
    value: round(worst, 2),
    unit: "ms p99 of a page of 50, at the worst depth",
    baseline: round(newest, 2),
    ratio: round(worst / newest, 2),
    target: `ratio <= ${ratioMax} to the newest tenth, while ${sendsPerSecond} sends/s go on`,
    pass: worst / newest <= ratioMax && sends >= 0.9 * sendsPerSecond && limits.fired,
    p99_ms_by_depth: p99s.map((p99) => round(p99, 2)),
    messages,
    sends_per_second: round(sends),
    cpu_us_per_page: round(micros),
    seeded,
    generator_cpu: round(generator, 2),
    limits
  })
}
