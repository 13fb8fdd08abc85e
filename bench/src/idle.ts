/**
 * What an authenticated idle connection costs: resident memory at 10,000 distinct users with 10 channels each, less
 * that at none, after a garbage collection, and the CPU of all of them.
 */
import { connectClient, createChannels, inParallel, syncAll } from "./load/Clients.ts"
import { report, round } from "./Report.ts"
import { pinGenerator, startParley } from "./Servers.ts"

const users = 10_000
const channelsEach = 10
const membersEach = 100

export const bench = async (): Promise<void> => {
  pinGenerator()
  const server = await startParley()
  try {
    const collect = async () => {
      process.kill(server.pid, "SIGUSR2")
      await new Promise((resolve) => setTimeout(resolve, 3_000))
    }
    const target = { port: server.port, baseline: false }
    // Warm code and caches first: what is measured is connections.
    const warm = await inParallel(
      Array.from({ length: 200 }, (_, index) => index),
      32,
      (index) => connectClient(target, `warm${index}`, [], "127.0.0.9")
    )
    for (const client of warm) {
      client.onClosed = () => {}
      client.socket.close()
    }
    await collect()
    const before = server.rssBytes()
    const clients = await inParallel(
      Array.from({ length: users }, (_, index) => index),
      64,
      (index) => connectClient(target, `u${index}`, [], `127.0.0.${2 + (index % 5)}`)
    )
    const channelCount = (users * channelsEach) / membersEach
    const channels = Array.from({ length: channelCount }, (_, index) => ({
      id: `group:i${index}`,
      members: Array.from({ length: membersEach }, (_, member) => (index * membersEach + member * 7) % users)
    }))
    await createChannels(clients, channels)
    const of = new Array<number>(users).fill(0)
    for (const { members } of channels) for (const member of new Set(members)) of[member] = (of[member] ?? 0) + 1
    await syncAll(clients, (index) => of[index] ?? 0)
    const pinger = setInterval(() => {
      for (const client of clients) client.ask("ping", "", () => {})
    }, 12_000)
    await collect()
    await collect()
    const after = server.rssBytes()
    const cpu = server.cpuSeconds()
    const at = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 24_000))
    const share = (server.cpuSeconds() - cpu) / ((performance.now() - at) / 1_000)
    clearInterval(pinger)
    for (const client of clients) client.onClosed = () => {}
    const each = (after - before) / users
    report({
      bench: "idle",
      value: round(each / 1_000, 2),
      unit: "kB RSS a connection",
      baseline: 6.7,
      ratio: round(each / 6_700, 2),
      target: "value <= 10 kB; under 2 % of a core for all",
      pass: each <= 10_000 && share < 0.02,
      cpu_share: round(share, 4),
      rss_mb_before: round(before / 1e6),
      rss_mb_after: round(after / 1e6)
    })
  } finally {
    await server.stop("SIGKILL")
  }
}
