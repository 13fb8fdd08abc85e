/**
 * The client against the real server, over a line that cuts, delays, stalls and swallows answers, and a server that is
 * killed and started again: what it shows in the end is what a fresh device shows, and what it promised is in history,
 * once. `PARLEY_TEST_SEED` repeats a run's choices.
 */
import { setTimeout as delay } from "node:timers/promises"
import { ChatClient } from "@parley/client/ChatClient"
import { fileStorage } from "@parley/client/FileStorage"
import { describe, expect, it } from "vitest"
import { converged, shownFresh, type Shown } from "./client/Convergence.ts"
import { hurriedEnvironment } from "./client/HurriedEnvironment.ts"
import { type Promised, Team } from "./client/Team.ts"
import { Folder } from "./harness/Folder.ts"
import { Random } from "./harness/Random.ts"
import { Server } from "./harness/Server.ts"
import { type LineMode, TcpProxy } from "./proxy/TcpProxy.ts"
import { until, waitMsMax } from "./terminal/Waiting.ts"
import { developmentToken } from "./wire/Tokens.ts"

const faults = 24
const kills = 2
/** Longer than the hurried clients take a silent peer for alive. */
const faultMsMax = 1_200
const delayMsMax = 15

const weights = { cut: 5, stall: 3, deaf: 4, refuse: 2, none: 3 } as const

/** One fault of the line after the other, with the server killed in between. */
const trouble = async (proxy: TcpProxy, random: Random, killed: () => Promise<void>): Promise<Set<string>> => {
  const seen = new Set<string>()
  for (let fault = 1; fault <= faults; fault++) {
    const kind = random.weighted(weights)
    seen.add(kind)
    if (kind === "cut") proxy.cut()
    proxy.mode = kind === "cut" || kind === "none" ? "pass" : (kind satisfies LineMode)
    await delay(random.between(20, kind === "cut" ? 300 : faultMsMax / 2))
    if (fault % Math.floor(faults / (kills + 1)) === 0 && fault < faults) await killed()
    proxy.mode = "pass"
    await delay(random.between(100, 500))
  }
  return seen
}

/** Each promise that was kept is in history once, in the order in which its device made it; no other message is. */
const expectKept = (sends: ReadonlyArray<Promised>, truth: Shown): void => {
  const found = new Map<string, Array<{ readonly channel: string; readonly seq: number | null }>>()
  for (const [channel, { messages }] of truth.channels) {
    for (const { key, seq } of messages) found.set(key, [...(found.get(key) ?? []), { channel, seq }])
  }
  const last = new Map<string, number>()
  for (const { channel, cid, device, failed, seq } of sends) {
    if (seq === undefined) {
      expect({ cid, failed, times: found.get(cid)?.length ?? 0 }).toEqual({ cid, failed: expect.any(String), times: 0 })
      continue
    }
    expect(found.get(cid)).toEqual([{ channel, seq }])
    const lane = `${device} ${channel}`
    expect(seq).toBeGreaterThan(last.get(lane) ?? 0)
    last.set(lane, seq)
  }
  const made = new Set(sends.map(({ cid }) => cid))
  expect([...found.keys()].filter((key) => !made.has(key))).toEqual([])
}

/** Everybody reads everything, and everybody else gets to know. */
const expectReceipts = async ({ devices }: Team, proxy: TcpProxy): Promise<void> => {
  // What was pushed and lost is in the next head.
  proxy.cut()
  const snapshots = (client: ChatClient) =>
    client.channels.snapshot().channels.map(({ channel }) => client.channel(channel).snapshot())
  const positions = () => devices.map(({ client }) => snapshots(client).map(({ position }) => position))
  await until("everybody is back", () => devices.every(({ client }) => client.status.state === "online"))
  for (const { client } of devices) for (const { channel } of snapshots(client)) client.channel(channel).read()
  const missing = () =>
    devices.flatMap(({ client, name, user }) =>
      snapshots(client).flatMap(({ channel, position, receipts }) =>
        devices
          .filter((other) => other.user !== user && other.client.channel(channel).snapshot().status === "member")
          .filter((other) => receipts?.find((receipt) => receipt.user === other.user)?.read !== position)
          .map((other) => `${name} does not know that ${other.name} has read ${position} of ${channel}`)
      )
    )
  await until(
    "everybody knows what everybody has read",
    () => missing().length === 0,
    () => JSON.stringify([missing(), positions()])
  )
}

/** Until a fresh device of ana's sees it, past the line. */
const untilSaid = async (server: Server, text: string, random: Random): Promise<void> => {
  for (const end = Date.now() + waitMsMax; Date.now() < end;) {
    const { channels } = await shownFresh(server.url ?? "", "ana", random)
    for (const { messages } of channels.values()) if (messages.some((message) => message.text === text)) return
  }
  throw new Error(`nobody said ${text}`)
}

describe("the client and the server", () => {
  it(
    "NO-GAP-SYNC, EXACTLY-ONCE-EFFECT: whatever the line and the server went through, devices end as fresh ones",
    { timeout: 90_000 },
    async () => {
      await using folder = await Folder.make()
      const random = Random.fromEnvironment()
      let server = await Server.start({ data: folder.in("data") })
      await using proxy = await TcpProxy.start(
        () => server.url,
        () => random.between(0, delayMsMax)
      )
      const team = new Team(proxy.url, random)
      try {
        await team.prepare()
        team.begin()
        const seen = await trouble(proxy, random, async () => {
          await server.kill()
          server = await Server.start({ data: folder.in("data") })
        })
        await team.rest()
        const fresh = await converged(team.devices, server.url ?? "", random, 15_000)
        await expectReceipts(team, proxy)
        expectKept(team.sends, fresh.get("ana") ?? { list: [], channels: new Map() })
        expect(team.sends.filter(({ seq }) => seq !== undefined).length).toBeGreaterThan(100)
        expect(seen.size).toBeGreaterThan(2)
        expect(proxy.cuts).toBeGreaterThan(10)
      } catch (error) {
        throw new Error(`seed ${random.seed}\n${server.output.slice(-2_000)}`, { cause: error })
      } finally {
        await team.close()
        await server.kill()
      }
    }
  )

  it("keeps what is unsent over its own end, with the server away meanwhile", { timeout: 60_000 }, async () => {
    await using folder = await Folder.make()
    const random = new Random(1)
    let server = await Server.start({ data: folder.in("data") })
    await using proxy = await TcpProxy.start(() => server.url)
    const problems: Array<string> = []
    const open = async () => {
      const client = new ChatClient({
        url: proxy.url,
        token: () => developmentToken(proxy.url, "ana"),
        storage: fileStorage(folder.in("client")),
        environment: hurriedEnvironment(random, 8),
        onProblem: (what) => void problems.push(what)
      })
      await client.start()
      return client
    }
    const room = (client: ChatClient) => client.channel("group:room")
    const states = (client: ChatClient) =>
      room(client)
        .snapshot()
        .messages.map(({ state, text }) => `${text} ${state}`)
    let client = await open()
    try {
      await client.ready()
      await client.create("group:room", { name: "Room" }).done
      // Sent, but the answer is lost: it is in, and the client does not know.
      proxy.mode = "deaf"
      room(client).send("unanswered")
      await untilSaid(server, "unanswered", random)
      room(client).send("behind it")
      await client.close()
      await server.kill()
      const device = client.device
      client = await open()
      expect(client.device).toBe(device)
      expect(states(client)).toEqual(["unanswered sending", "behind it sending"])
      room(client).send("without a server")
      await client.close()
      client = await open()
      expect(states(client).at(-1)).toBe("without a server sending")
      server = await Server.start({ data: folder.in("data") })
      proxy.mode = "pass"
      await client.ready()
      await client.idle()
      const { channels } = await shownFresh(server.url ?? "", "ana", random)
      const texts = channels.get("group:room")?.messages.map(({ text }) => text)
      expect(texts).toEqual(["unanswered", "behind it", "without a server"])
      expect(problems).toEqual([])
    } finally {
      await client.close()
      await server.kill()
    }
  })
})
