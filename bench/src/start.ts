/**
 * From the start of the process to "ready", with 1,000,000 messages in 100,000 channels: after a clean stop, and after
 * kill -9 under load, when the log's tail is not in the store. Beside it the start of a bare `ws` server. After each
 * start what was acknowledged is read back.
 */
import { limitsFire } from "./LimitsFire.ts"
import { type Client, clientId, connectClient } from "./load/Clients.ts"
import { ackedSeq } from "./load/Order.ts"
import { pause, report, round } from "./Report.ts"
import { newDataDirectory, pinGenerator, type RunningServer, startBaseline, startParley } from "./Servers.ts"
import { seed } from "./seed/Seed.ts"
import { sized } from "./Sizes.ts"

const channels = sized(100_000, 2_000)
const messagesEach = 10
const writers = 100
const loadMs = sized(10_000, 2_000)
const inFlight = 128
const cleanMsMax = 2_000
const killedMsMax = 5_000

const idOf = (index: number): string => `group:c${index}`
const writerOf = (index: number): number => index % writers

/** Sends to channels all over, for a while; what was acknowledged is kept by channel. */
const write = async (server: RunningServer, heads: Map<number, number>): Promise<() => void> => {
  const clients = await Promise.all(
    Array.from({ length: writers }, (_, index) =>
      connectClient({ port: server.port, baseline: false }, `w${index}`, [])
    )
  )
  let stopped = false
  for (const client of clients) client.onClosed = () => {}
  const sendOne = () => {
    if (stopped) return
    const index = Math.floor(Math.random() * channels)
    clients[writerOf(index)]?.ask(
      "send",
      `"cid":"${clientId()}","channel":"${idOf(index)}","text":"before the stop"`,
      (frame) => {
        const seq = ackedSeq(frame)
        heads.set(index, Math.max(heads.get(index) ?? 0, seq))
        sendOne()
      }
    )
  }
  for (let i = 0; i < inFlight; i++) sendOne()
  await pause(loadMs)
  return () => {
    stopped = true
    for (const client of clients) client.close()
  }
}

/** Every channel that was written has its last acknowledged message as its newest. */
const readBack = async (server: RunningServer, heads: ReadonlyMap<number, number>): Promise<void> => {
  const clients = new Map<number, Client>()
  for (const [index, head] of [...heads].slice(-200)) {
    const writer = writerOf(index)
    const client =
      clients.get(writer) ?? (await connectClient({ port: server.port, baseline: false }, `w${writer}`, []))
    clients.set(writer, client)
    const frame = await client.request("history", `"channel":"${idOf(index)}","limit":1`)
    const newest = Number(/"events":\[\{"seq":(\d+)/.exec(frame)?.[1])
    if (newest < head) throw new Error(`${idOf(index)} ends at ${newest}, and ${head} was acknowledged`)
  }
  for (const client of clients.values()) client.close()
}

export const bench = async (): Promise<void> => {
  pinGenerator()
  const plain = await startBaseline("plain")
  await plain.stop("SIGKILL")
  const data = newDataDirectory()
  const seeded = await seed(data, {
    channels: (function* () {
      for (let index = 0; index < channels; index++) {
        yield {
          id: idOf(index),
          members: [`w${writerOf(index)}`, `o${index % 1_000}`],
          messages: messagesEach,
          senders: 2
        }
      }
    })(),
    session: (user) => user.startsWith("w")
  })
  const heads = new Map<number, number>()
  const first = await startParley({ data, keep: true })
  const quiet = await write(first, heads)
  quiet()
  await first.stop("SIGTERM")
  const clean = await startParley({ data, keep: true })
  await readBack(clean, heads)
  await write(clean, heads)
  await clean.stop("SIGKILL")
  const killed = await startParley({ data, keep: true })
  await readBack(killed, heads)
  await killed.stop("SIGTERM")
  const limits = await limitsFire("connections")
  report({
    bench: "start",
    value: Math.round(clean.startMs),
    unit: "ms to ready after a clean stop",
    baseline: Math.round(plain.startMs),
    ratio: round(clean.startMs / plain.startMs),
    target: `<= ${cleanMsMax} ms after a clean stop, <= ${killedMsMax} ms after kill -9`,
    pass: clean.startMs <= cleanMsMax && killed.startMs <= killedMsMax && limits.fired,
    after_kill_ms: Math.round(killed.startMs),
    first_start_ms: Math.round(first.startMs),
    seeded,
    channels_written: heads.size,
    generator_cpu: 0,
    limits
  })
}
