/**
 * What a send costs as things grow: CPU of all the server's threads a send, from the first one until everything behind
 * the log has caught up, with 1,000, 10,000 and 1,000,000 channels that exist, sends uniform over 10,000 of them (all of
 * them touched before), then uniform over all, cold ones included, after so many seconds of the same that the code for
 * them is compiled, as fast as they go and at one rate on both servers, and once more when each has had a message; and from 10 to 100,000 members with 100 connections online
 * either way, every delivery checked. Channels, members and sessions are seeded offline, the channels' messages in
 * a shuffled order: written in the order of their keys, every page of history would be full, and the first message to
 * each would split it, which no store that was in use looks like. That each has what was seeded is read through the
 * server by the syncs and the acks.
 */
import { limitsFire } from "./LimitsFire.ts"
import { type Client, clientId, connectMany } from "./load/Clients.ts"
import { sync } from "./load/Channels.ts"
import { OneChannel } from "./load/OneChannel.ts"
import { ackedSeq } from "./load/Order.ts"
import { type Load, runSends, type SendOne } from "./load/Sends.ts"
import { report, round, say } from "./Report.ts"
import { pinGenerator, type RunningServer, startParley, untilQuiet, watchCpu } from "./Servers.ts"
import { seededData, type Seeds } from "./seed/KeptSeeds.ts"
import type { SeedOptions } from "./seed/Seed.ts"
import type { SeedChannel } from "./seed/SeedChannel.ts"
import { shuffled } from "./seed/Shuffled.ts"
import { sized } from "./Sizes.ts"

const counts = [sized(1_000, 200), sized(10_000, 1_000), sized(1_000_000, 10_000)]
const used = sized(10_000, 1_000)
const writers = sized(1_000, 100)
const crowds = [10, sized(100_000, 5_000)]
const online = 100
const seededMessages = 1
const warmMs = sized(3_000, 1_000)
const measureMs = sized(8_000, 3_000)
/** Before a load over all: what V8 compiles for cold channels is no cost of a send, and would be 10 us of each. */
const compileMs = sized(6_000, 1_000)
/** A unit is measured for so long. */
const unitMs = sized(5_000, 1_000)
const inFlight = 128
/**
 * As fast as they go, fewer sends share a commit, a round of the consumers and a turn of the loop where each costs more,
 * which makes them dearer still; at one rate, which either server keeps up with, only the channels differ: so large a part
 * of what the load over all came to. The target is held against that; the other is beside it.
 */
const sameRatePart = 0.8
const closed: Load = { _tag: "closed", inFlight }
const ratioMax = 1.2

const crowdChannel = "group:crowd"
const idOf = (channel: number): string => `group:s${channel}`

const seededChannel = (channel: number): SeedChannel => {
  const members = [`w${channel % writers}`, `o${channel % 100_000}`]
  return { id: idOf(channel), members, messages: seededMessages, senders: 1 }
}

const manyChannels = (channels: number): SeedOptions => ({
  channels: (function* () {
    for (let channel = 0; channel < channels; channel++) yield seededChannel(channel)
  })(),
  messagesOf: (function* () {
    for (const channel of shuffled(channels)) yield seededChannel(channel)
  })(),
  session: (user) => user.startsWith("w")
})

const crowd = (count: number): SeedOptions => {
  const members = Array.from({ length: count }, (_, index) => `m${index}`)
  const here = Math.min(count, online)
  const users = new Set(members.slice(0, here))
  return {
    channels: [{ id: crowdChannel, members, messages: 10, senders: here }],
    session: (user) => users.has(user)
  }
}

export const seeds: Seeds = Object.fromEntries([
  ...counts.map((count) => [`scale-${count}-channels`, () => manyChannels(count)] as const),
  ...crowds.map((count) => [`scale-${count}-members`, () => crowd(count)] as const)
])

/** Sends to channels `0 … size - 1`, uniform; counts those that go to a channel that had one before. */
class Uniform {
  readonly #clients: ReadonlyArray<Client>
  readonly #seqs: Int32Array
  size = 0
  sent = 0
  warm = 0

  constructor(clients: ReadonlyArray<Client>, channels: number) {
    this.#clients = clients
    this.#seqs = new Int32Array(channels)
  }

  /** Each channel once, so that none is cold afterwards. */
  async touchAll(): Promise<void> {
    let next = 0
    const worker = async () => {
      while (next < this.size) await new Promise<void>((done) => this.#sendTo(next++, done))
    }
    await Promise.all(Array.from({ length: inFlight }, worker))
  }

  readonly send: SendOne = (_turn, acked) => this.#sendTo(Math.floor(Math.random() * this.size), acked)

  #sendTo(channel: number, acked: () => void): void {
    this.sent++
    const before = this.#seqs[channel] ?? 0
    if (before > 0) this.warm++
    const client = this.#clients[channel % writers]
    client?.ask("send", `"cid":"${clientId()}","channel":"${idOf(channel)}","text":"one of very many"`, (frame) => {
      const seq = ackedSeq(frame)
      // The created event and what was seeded come first, then one after the other.
      if (seq <= Math.max(before, seededMessages + 1)) throw new Error(`${idOf(channel)} gave ${seq} after ${before}`)
      this.#seqs[channel] = Math.max(this.#seqs[channel] ?? 0, seq)
      acked()
    })
  }
}

interface Point extends Cost {
  readonly channels: number
  readonly over: number
  readonly load: Load["_tag"]
  readonly warmHitRate: number
  /** What a send over the fewest channels cost just before and after it, on a server of its own. */
  readonly unitMicros: number
  readonly ratio: number
}

interface Cost {
  readonly micros: number
  readonly byThread: Readonly<Record<string, number>>
  readonly perSecond: number
  readonly generator: number
}

/** CPU a send of a load; what is written behind the last ones is in it. */
const costOf = async (server: RunningServer, uniform: Uniform, load: Load, ms = measureMs): Promise<Cost> => {
  const sentBefore = uniform.sent
  const cpu = watchCpu(server)
  const { generatorShare, perSecond } = await runSends({
    server,
    load,
    warmMs,
    measureMs: ms,
    send: uniform.send
  })
  await untilQuiet(server)
  const { serverSeconds, threads } = cpu()
  const sent = uniform.sent - sentBefore
  const micros = (seconds: number): number => round((seconds * 1e6) / sent)
  const byThread = Object.entries(threads).map(([name, seconds]) => [name, micros(seconds)] as const)
  return {
    micros: micros(serverSeconds),
    byThread: Object.fromEntries(byThread.filter(([, used]) => used >= 0.5)),
    perSecond: Math.round(perSecond),
    generator: round(generatorShare, 2)
  }
}

interface Open {
  readonly channels: number
  readonly server: RunningServer
  readonly uniform: Uniform
  readonly close: () => Promise<void>
}

/** A server with so many channels, of which the first ones have all had a message. */
const open = async (channels: number): Promise<Open> => {
  const { data } = await seededData(`scale-${channels}-channels`, () => manyChannels(channels))
  const server = await startParley({ data })
  const clients = await connectMany({ port: server.port, baseline: false }, writers, "w")
  await expectChannels(clients, channels)
  const uniform = new Uniform(clients, channels)
  uniform.size = Math.min(used, channels)
  await uniform.touchAll()
  await costOf(server, uniform, closed, unitMs)
  const close = () => {
    for (const client of clients) client.close()
    return server.stop("SIGKILL")
  }
  return { channels, server, uniform, close }
}

/** A machine that others use is faster and slower from minute to minute: each figure has its unit before and after it. */
const pointOf = async ({ channels, server, uniform }: Open, unit: Open, load: Load = closed): Promise<Point> => {
  const unitCost = () => costOf(unit.server, unit.uniform, load, unitMs)
  const before = await unitCost()
  const { sent, warm } = uniform
  const cost = await costOf(server, uniform, load)
  const warmHitRate = (uniform.warm - warm) / (uniform.sent - sent)
  const after = await unitCost()
  const unitMicros = (before.micros + after.micros) / 2
  const point = {
    channels,
    over: uniform.size,
    load: load._tag,
    ...cost,
    warmHitRate: round(warmHitRate, 3),
    unitMicros: round(unitMicros),
    ratio: round(cost.micros / unitMicros, 2)
  }
  say(
    `${channels} channels, over ${uniform.size}, ${load._tag}: ${cost.micros} us a send (${cost.perSecond}/s), ${point.ratio} times ` +
      `${point.unitMicros} us over ${unit.channels}, at a warm hit rate of ${point.warmHitRate}`
  )
  return point
}

/** The points of one number of channels: over those that are used, then over all, at the same rate, once each had one. */
const pointsAt = async (channels: number, unit: Open): Promise<ReadonlyArray<Point>> => {
  const opened = await open(channels)
  const { server, uniform } = opened
  try {
    const points = [await pointOf(opened, unit)]
    if (channels <= used) return points
    uniform.size = channels
    await costOf(server, uniform, closed, compileMs)
    const cold = await pointOf(opened, unit)
    points.push(cold)
    points.push(await pointOf(opened, unit, { _tag: "paced", perSecond: Math.round(cold.perSecond * sameRatePart) }))
    await uniform.touchAll()
    await untilQuiet(server)
    points.push(await pointOf(opened, unit))
    return points
  } finally {
    await opened.close()
  }
}

/** The first writers are in as many channels as were seeded for them. */
const expectChannels = async (clients: ReadonlyArray<Client>, channels: number): Promise<void> => {
  const expected = Math.ceil(channels / writers)
  const first = clients[0]
  const found = first === undefined ? 0 : (await sync(first, [], { generation: 0, seq: 0 })).channels.length
  if (found !== expected) throw new Error(`w0 is in ${found} channels instead of ${expected}`)
}

/** CPU a send, and a delivery, in a channel of so many members of whom 100 connections are online. */
const atMembers = async (count: number) => {
  const { data } = await seededData(`scale-${count}-members`, () => crowd(count))
  const here = Math.min(count, online)
  const shape = { id: crowdChannel, sockets: online, senders: 20, textBytes: 80 }
  const server = await startParley({ data })
  try {
    const devices = Array.from({ length: online }, (_, index) => `m${index % here}`)
    const channel = await OneChannel.join({ port: server.port, baseline: false }, shape, devices)
    const { send } = channel
    const outcome = await runSends({
      server,
      load: { _tag: "closed", inFlight: 32 },
      warmMs,
      measureMs,
      send,
      count: () => channel.delivered
    })
    await channel.settled()
    channel.close()
    return {
      members: count,
      micros: round(outcome.cpuMicrosPerSend),
      deliveredPerAck: round(outcome.counted / outcome.acked)
    }
  } finally {
    await server.stop("SIGKILL")
  }
}

export const bench = async (): Promise<void> => {
  pinGenerator()
  const points: Array<Point> = []
  const unit = await open(counts[0] ?? 0)
  try {
    for (const count of counts.slice(1)) points.push(...(await pointsAt(count, unit)))
  } finally {
    await unit.close()
  }
  const crowdPoints: Array<Awaited<ReturnType<typeof atMembers>>> = []
  for (const count of crowds) crowdPoints.push(await atMembers(count))
  const limits = await limitsFire("sends")
  const [warm, cold, sameRate, touched] = points.filter(({ channels }) => channels === counts.at(-1))
  const ratios = [warm?.ratio ?? 0, sameRate?.ratio ?? 0]
  const membersRatio = (crowdPoints[1]?.micros ?? 0) / (crowdPoints[0]?.micros ?? 1)
  report({
    bench: "scale",
    value: warm?.micros ?? 0,
    unit: "us of CPU a send, with the most channels",
    baseline: warm?.unitMicros ?? 0,
    ratio: ratios[0] ?? 0,
    target: `each ratio <= ${ratioMax}: over ${used} channels, over all of them at one rate, and by members`,
    pass: Math.max(...ratios, membersRatio) <= ratioMax && limits.fired,
    ratio_over_all: sameRate?.ratio ?? 0,
    ratio_over_all_as_fast_as_it_goes: cold?.ratio ?? 0,
    ratio_over_all_touched: touched?.ratio ?? 0,
    ratio_by_members: round(membersRatio, 2),
    channels: points,
    members: crowdPoints,
    seeded: "offline, through SqliteStores; the log was empty until the first start",
    generator_cpu: Math.max(...points.map(({ generator }) => generator)),
    limits
  })
}
