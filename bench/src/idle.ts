/**
 * What an authenticated idle connection costs: resident memory at 10,000 distinct users with 10 channels each, synced
 * and live and idle for a minute, less that at none, both after collections that give freed pages back to the machine,
 * and the CPU of all of them while they only ping. Beside it 10,000 connections of a bare `ws` server, measured alike.
 * Users and channels are there before the start, so that neither figure has their making in it.
 */
import { Limits } from "@parley/protocol/Limits"
import { limitsFire } from "./LimitsFire.ts"
import { syncAll } from "./load/Channels.ts"
import { type Client, connectMany, type Target } from "./load/Clients.ts"
import { pause, report, round } from "./Report.ts"
import {
  collectGarbage,
  newDataDirectory,
  pinGenerator,
  type RunningServer,
  startBaseline,
  startParley
} from "./Servers.ts"
import { seed } from "./seed/Seed.ts"
import { sized } from "./Sizes.ts"

const users = sized(10_000, 1_000)
const channelsEach = 10
const membersEach = 100
/** Users that come, sync and go before the first figure, in channels of their own: code and caches have their size then. */
const warmUsers = sized(300, 100)
const warmPrefix = "w"
/** Sessions and channels without a turn are at rest after this: two rounds of `Residents.rest`. */
const restMs = 62_000
const { heartbeatMs } = Limits
const idleMs = 2 * heartbeatMs
const bytesMax = 10_000
const shareMax = 0.02

const channelCount = (users * channelsEach) / membersEach

/** Layer `j` of the channels splits the users anew, so that everybody is in `channelsEach` of them. */
const members = (channel: number): Array<string> => {
  const perLayer = users / membersEach
  const layer = Math.floor(channel / perLayer)
  const place = channel % perLayer
  return Array.from({ length: membersEach }, (_, member) => `u${(place + member * perLayer + layer * member) % users}`)
}

const warmMembers = (channel: number): Array<string> =>
  Array.from({ length: membersEach }, (_, member) => `${warmPrefix}${(channel * channelsEach + member) % warmUsers}`)

const channelsOfUser = (): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (let channel = 0; channel < channelCount; channel++) {
    for (const user of new Set(members(channel))) counts.set(user, (counts.get(user) ?? 0) + 1)
  }
  return counts
}

const warmUp = async (target: Target): Promise<void> => {
  const warm = await connectMany(target, warmUsers, warmPrefix)
  if (!target.baseline) await syncAll(warm, () => 1)
  for (const client of warm) client.close()
  await pause(1_000)
}

const settle = async (server: RunningServer): Promise<number> => {
  for (let i = 0; i < 3; i++) await collectGarbage(server)
  return server.rssBytes()
}

const runBaseline = async (): Promise<number> => {
  const server = await startBaseline("plain")
  const target = { port: server.port, baseline: true }
  await warmUp(target)
  const before = await settle(server)
  const clients = await connectMany(target, users, "u")
  const after = await settle(server)
  for (const client of clients) client.close()
  await server.stop("SIGKILL")
  return (after - before) / users
}

const pingAll = (clients: ReadonlyArray<Client>): NodeJS.Timeout => {
  // Spread over the interval, as clients that came at different times are.
  let next = 0
  const perTick = Math.ceil(clients.length / (heartbeatMs / 100))
  return setInterval(() => {
    for (let i = 0; i < perTick; i++) clients[next++ % clients.length]?.ask("ping", "", () => {})
  }, 100)
}

export const bench = async (): Promise<void> => {
  pinGenerator()
  const data = newDataDirectory()
  const channel = (id: string, users: ReadonlyArray<string>) => ({ id, members: users, messages: 5, senders: 5 })
  const seeded = await seed(data, {
    channels: [
      ...Array.from({ length: channelCount }, (_, index) => channel(`group:i${index}`, [...new Set(members(index))])),
      ...Array.from({ length: warmUsers / channelsEach }, (_, index) => channel(`group:w${index}`, warmMembers(index)))
    ]
  })
  const of = channelsOfUser()
  const server = await startParley({ data })
  try {
    const target = { port: server.port, baseline: false }
    await warmUp(target)
    const warmedAt = performance.now()
    const bare = await runBaseline()
    await pause(warmedAt + restMs - performance.now())
    const before = await settle(server)
    const clients = await connectMany(target, users, "u")
    const synced = await syncAll(clients, (index) => of.get(`u${index}`) ?? 0)
    const pinger = pingAll(clients)
    const atOnce = server.rssBytes()
    await pause(restMs)
    const untouched = server.rssBytes()
    const after = await settle(server)
    const cpu = server.cpuSeconds()
    const at = performance.now()
    await pause(idleMs)
    const share = (server.cpuSeconds() - cpu) / ((performance.now() - at) / 1_000)
    clearInterval(pinger)
    for (const client of clients) client.close()
    const limits = await limitsFire("connections")
    const each = (after - before) / users
    report({
      bench: "idle",
      value: round(each / 1_000, 2),
      unit: "kB RSS a connection",
      baseline: round(bare / 1_000, 2),
      ratio: round(each / bare, 2),
      target: `value <= ${bytesMax / 1_000} kB; under ${shareMax * 100} % of a core for all`,
      pass: each <= bytesMax && share < shareMax && limits.fired,
      users,
      channels_each: round(synced.reduce((sum, channels) => sum + channels.length, 0) / users, 2),
      cpu_share: round(share, 4),
      rss_mb_before: round(before / 1e6),
      rss_mb_after: round(after / 1e6),
      rss_mb_at_once: round(atOnce / 1e6),
      rss_mb_without_collection: round(untouched / 1e6),
      seeded,
      generator_cpu: 0,
      limits
    })
  } finally {
    await server.stop("SIGKILL")
  }
}
