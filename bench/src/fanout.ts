/**
 * Fan-out: one channel with 1,000 connected sockets, messages of 200 bytes, 32 in flight; then one in flight, and a
 * paced 30,000 deliveries/s. Beside it the ceiling (coalesced frames on `ws`, nothing stored) and plain `ws.send`.
 */
import {
  type Client,
  clientId,
  connectClient,
  createChannels,
  inParallel,
  syncAll,
  type Target
} from "./load/Clients.ts"
import { percentile, report, round } from "./Report.ts"
import { pinGenerator, type RunningServer, startBaseline, startParley } from "./Servers.ts"

const sockets = 1_000
const text = "x".repeat(200)
const channel = "group:fan"
const warmMs = 2_000
const measureMs = 6_000
/** Deliveries whose latency is taken: one in so many. */
const sampleEvery = 20

interface Load {
  readonly clients: ReadonlyArray<Client>
  delivered: number
  onDelivery: (index: number) => void
}

const setUp = async (target: Target): Promise<Load> => {
  const clients = await inParallel(
    Array.from({ length: sockets }, (_, index) => index),
    64,
    (index) => connectClient(target, `u${index}`, [channel])
  )
  if (!target.baseline) {
    await createChannels(clients, [{ id: channel, members: clients.map((_, index) => index) }])
    await syncAll(clients, () => 1)
  }
  const load: Load = { clients, delivered: 0, onDelivery: () => {} }
  clients.forEach((client, index) => {
    client.onClosed = () => {}
    client.onPush = (frame) => {
      if (!frame.startsWith('{"ev":"event"')) return
      load.delivered++
      if (index % sampleEvery === 0) load.onDelivery(index)
    }
  })
  return load
}

const measure = async (server: RunningServer, load: Load, inFlight: number, perSecond: number) => {
  let turn = 0
  let open = 0
  let stopped = false
  let acked = 0
  const latencies: Array<number> = []
  const sentAt: Array<number> = []
  const seen = new Array<number>(sockets).fill(0)
  load.onDelivery = (index) => {
    const at = sentAt[seen[index] ?? 0]
    seen[index] = (seen[index] ?? 0) + 1
    if (at !== undefined) latencies.push(performance.now() - at)
  }
  const sendOne = () => {
    // Never one whose latency is sampled: he does not get his own.
    const sender = load.clients[1 + (turn++ % (sampleEvery - 1))]
    open++
    sentAt.push(performance.now())
    sender?.ask("send", `"cid":"${clientId()}","channel":"${channel}","text":"${text}"`, (frame) => {
      if (!frame.includes('"ok"')) throw new Error(frame)
      open--
      acked++
      if (!stopped && perSecond === 0) sendOne()
    })
  }
  if (perSecond === 0) for (let i = 0; i < inFlight; i++) sendOne()
  const begun = performance.now()
  let due = 0
  const pacer =
    perSecond === 0
      ? undefined
      : setInterval(() => {
          for (const target = ((performance.now() - begun) * perSecond) / 1_000; due < target && open < 1_000; due++)
            sendOne()
        }, 1)
  await new Promise((resolve) => setTimeout(resolve, warmMs))
  const from = {
    delivered: load.delivered,
    acked,
    at: performance.now(),
    cpu: server.cpuSeconds(),
    own: process.cpuUsage()
  }
  latencies.length = 0
  await new Promise((resolve) => setTimeout(resolve, measureMs))
  const seconds = (performance.now() - from.at) / 1_000
  const delivered = load.delivered - from.delivered
  const own = process.cpuUsage(from.own)
  const cpu = server.cpuSeconds() - from.cpu
  stopped = true
  clearInterval(pacer)
  for (let wait = 0; open > 0 && wait < 200; wait++) await new Promise((resolve) => setTimeout(resolve, 50))
  await new Promise((resolve) => setTimeout(resolve, 500))
  latencies.sort((a, b) => a - b)
  return {
    perSecond: delivered / seconds,
    perMessage: delivered / Math.max(1, acked - from.acked),
    p99: percentile(latencies, 0.99),
    serverCpu: cpu / seconds,
    generatorCpu: (own.user + own.system) / 1e6 / seconds
  }
}

const series = async (server: RunningServer, target: Target) => {
  const load = await setUp(target)
  const many = await measure(server, load, 32, 0)
  const one = await measure(server, load, 1, 0)
  const paced = await measure(server, load, 0, 30)
  return { many, one, paced }
}

export const bench = async (): Promise<void> => {
  pinGenerator()
  const of = async (mode: "plain" | "coalesced") => {
    const server = await startBaseline(mode)
    const result = await series(server, { port: server.port, baseline: true })
    await server.stop("SIGKILL")
    return result
  }
  const ceiling = await of("coalesced")
  const plain = await of("plain")
  const server = await startParley()
  try {
    const ours = await series(server, { port: server.port, baseline: false })
    const ratio = ours.many.perSecond / ceiling.many.perSecond
    report({
      bench: "fanout",
      value: Math.round(ours.many.perSecond),
      unit: "deliveries/s",
      baseline: Math.round(ceiling.many.perSecond),
      ratio: round(ratio, 2),
      target: "ratio >= 0.6; one in flight >= plain ws.send; paced 30000/s p99 <= 1.5 x plain",
      pass: ratio >= 0.6 && ours.one.perSecond >= plain.one.perSecond && ours.paced.p99 <= 1.5 * plain.paced.p99,
      per_message: round(ours.many.perMessage),
      plain_many: Math.round(plain.many.perSecond),
      one_in_flight: Math.round(ours.one.perSecond),
      plain_one_in_flight: Math.round(plain.one.perSecond),
      paced_p99_ms: round(ours.paced.p99),
      plain_paced_p99_ms: round(plain.paced.p99),
      server_cpu: round(ours.many.serverCpu, 2),
      generator_cpu: round(ours.many.generatorCpu, 2),
      ceiling_generator_cpu: round(ceiling.many.generatorCpu, 2)
    })
  } finally {
    await server.stop("SIGTERM")
  }
}
