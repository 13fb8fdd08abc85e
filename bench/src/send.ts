/**
 * Durable sends: 500 channels of 5 connected members over 1,000 sockets, 256 sends in flight, each delivered to the
 * other four, each on stable storage before its ack. Beside it a server that only parses, and answers and delivers with
 * `ws.send`, storing nothing. Then half of the value, paced, for the ack's latency, and the disk's own fdatasync.
 */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { type Client, clientId, connectClient, createChannels, inParallel, syncAll, type Target } from "./load/Clients.ts"
import { percentile, report, round } from "./Report.ts"
import { pinGenerator, type RunningServer, startBaseline, startParley } from "./Servers.ts"

const channelCount = 500
const membersEach = 5
const socketCount = 1_000
const inFlight = 256
const warmMs = 2_000
const measureMs = 5_000
const text = "a message of the usual length, which is not long at all, sent by a person"

const channels = Array.from({ length: channelCount }, (_, index) => ({
  id: `group:c${index}`,
  members: Array.from({ length: membersEach }, (_, member) => (index * 2 + member * 211) % socketCount)
}))

interface Load {
  readonly clients: ReadonlyArray<Client>
  delivered: number
}

const setUp = async (target: Target): Promise<Load> => {
  const of = Array.from({ length: socketCount }, () => new Array<string>())
  for (const { id, members } of channels) for (const member of members) of[member]?.push(id)
  const clients = await inParallel(of, 64, (mine, index) => connectClient(target, `u${index}`, mine))
  if (!target.baseline) {
    await createChannels(clients, channels)
    await syncAll(clients, (index) => of[index]?.length ?? 0)
  }
  const load: Load = { clients, delivered: 0 }
  for (const client of clients) {
    client.onPush = (frame) => {
      if (frame.startsWith('{"ev":"event"')) load.delivered++
    }
  }
  return load
}

interface Outcome {
  readonly acked: number
  readonly perSecond: number
  readonly deliveredPerAck: number
  readonly cpuMicrosPerSend: number
  readonly generatorCpu: number
  readonly latencies: Array<number>
}

/** `rate` 0: as many as fit into the window; otherwise paced. */
const run = async (server: RunningServer, load: Load, rate: number): Promise<Outcome> => {
  const latencies: Array<number> = []
  let acked = 0
  let open = 0
  let turn = 0
  let stopped = false
  const sendOne = () => {
    const { id, members } = channels[turn % channelCount] ?? { id: "", members: [] }
    const sender = load.clients[members[Math.floor(turn / channelCount) % membersEach] ?? 0]
    turn++
    open++
    const at = performance.now()
    sender?.ask("send", `"cid":"${clientId()}","channel":"${id}","text":"${text}"`, (frame) => {
      open--
      if (!frame.includes('"ok"')) throw new Error(frame)
      acked++
      latencies.push(performance.now() - at)
      if (rate === 0 && !stopped) sendOne()
    })
  }
  if (rate === 0) for (let i = 0; i < inFlight; i++) sendOne()
  const begun = performance.now()
  let due = 0
  const pacer = rate === 0 ? undefined : setInterval(() => {
    for (const target = ((performance.now() - begun) * rate) / 1_000; due < target && open < 20_000; due++) sendOne()
  }, 1)
  await new Promise((resolve) => setTimeout(resolve, warmMs))
  const from = { acked, delivered: load.delivered, cpu: server.cpuSeconds(), own: process.cpuUsage(), at: performance.now() }
  latencies.length = 0
  await new Promise((resolve) => setTimeout(resolve, measureMs))
  const seconds = (performance.now() - from.at) / 1_000
  const done = acked - from.acked
  const cpu = server.cpuSeconds() - from.cpu
  const own = process.cpuUsage(from.own)
  const delivered = load.delivered - from.delivered
  stopped = true
  clearInterval(pacer)
  for (let wait = 0; open > 0 && wait < 200; wait++) await new Promise((resolve) => setTimeout(resolve, 50))
  return {
    acked: done,
    perSecond: done / seconds,
    deliveredPerAck: delivered / done,
    cpuMicrosPerSend: (cpu * 1e6) / done,
    generatorCpu: (own.user + own.system) / 1e6 / seconds,
    latencies: latencies.slice().sort((a, b) => a - b)
  }
}

const diskSync = (directory: string) => {
  const file = join(directory, "fdatasync.probe")
  const fd = openSync(file, "w")
  const times: Array<number> = []
  for (let i = 0; i < 200; i++) {
    writeSync(fd, Buffer.alloc(4_096, i))
    const at = performance.now()
    fdatasyncSync(fd)
    times.push(performance.now() - at)
  }
  closeSync(fd)
  rmSync(file)
  times.sort((a, b) => a - b)
  return { p50_ms: round(percentile(times, 0.5), 2), p99_ms: round(percentile(times, 0.99), 2) }
}

export const bench = async (): Promise<void> => {
  pinGenerator()
  const baseline = await startBaseline("plain")
  const plainLoad = await setUp({ port: baseline.port, baseline: true })
  const plain = await run(baseline, plainLoad, 0)
  for (const client of plainLoad.clients) client.onClosed = () => {}
  await baseline.stop("SIGKILL")
  const server = await startParley()
  try {
    const load = await setUp({ port: server.port, baseline: false })
    for (const client of load.clients) client.onClosed = () => {}
    const full = await run(server, load, 0)
    const paced = process.env["BENCH_ONCE"] === "1" ? full : await run(server, load, full.perSecond / 2)
    const p99 = percentile(paced.latencies, 0.99)
    const ratio = full.perSecond / plain.perSecond
    report({
      bench: "send",
      value: Math.round(full.perSecond),
      unit: "acked sends/s",
      baseline: Math.round(plain.perSecond),
      ratio: round(ratio, 2),
      target: "value >= 15000, ratio >= 1, p99 of the ack <= 25 ms at half of the value",
      pass: full.perSecond >= 15_000 && ratio >= 1 && p99 <= 25,
      delivered_per_ack: round(full.deliveredPerAck, 2),
      cpu_us_per_send: round(full.cpuMicrosPerSend),
      baseline_cpu_us_per_send: round(plain.cpuMicrosPerSend),
      full_ack_p50_ms: round(percentile(full.latencies, 0.5)),
      full_ack_p99_ms: round(percentile(full.latencies, 0.99)),
      paced_per_second: Math.round(paced.perSecond),
      paced_ack_p50_ms: round(percentile(paced.latencies, 0.5)),
      paced_ack_p99_ms: round(p99),
      generator_cpu: round(full.generatorCpu, 2),
      fdatasync: diskSync(server.data)
    })
  } finally {
    await server.stop("SIGTERM")
  }
}
