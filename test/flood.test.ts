/**
 * Too much, and too little, from clients of a real server process: bursts, readers that stop, sockets that never speak.
 * Each is bounded and cut by its own rule, while two others go on chatting. Also: settings that make no sense.
 */
import { connect } from "node:net"
import { closeTable } from "@parley/protocol/CloseCode"
import { socketPath, subprotocol } from "@parley/protocol/Frame"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { Besieged } from "./harness/Besieged.ts"
import { Folder } from "./harness/Folder.ts"
import { Server } from "./harness/Server.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { RawClient, until } from "./wire/RawClient.ts"

/** Hostile ones that need many connections come from addresses of their own. */
const crowdAddress = "127.0.0.9"

let besieged: Besieged
beforeAll(async () => {
  besieged = await Besieged.start()
})
afterEach(() => besieged.unharmed())
afterAll(() => besieged.end())

const handshake = [
  `GET ${socketPath} HTTP/1.1`,
  "Host: x",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  `Sec-WebSocket-Protocol: ${subprotocol}`,
  "\r\n"
].join("\r\n")

/** A masked text frame of 100 bytes: hello would fit. */
const slowHello = Buffer.concat([Buffer.from([0x81, 0x80 | 100, 0, 0, 0, 0]), Buffer.alloc(100, " ")])

/** A TCP connection that sends one byte a second, after what it sends at once. */
const drip = (data: Buffer, localAddress: string, atOnce = ""): { readonly closed: () => boolean } => {
  let closed = false
  const socket = connect({ port: Number(new URL(besieged.url).port), host: "127.0.0.1", localAddress })
  let at = 0
  const timer = setInterval(() => socket.writable && at < data.length && socket.write(data.subarray(at, ++at)), 1_000)
  socket.on("error", () => {})
  socket.on("close", () => {
    closed = true
    clearInterval(timer)
  })
  socket.resume()
  if (atOnce !== "") socket.write(atOnce)
  return { closed: () => closed }
}

describe("too much and too little", () => {
  it("10,000 ops in a burst are refused with a wait, then closed as a flood", async () => {
    const client = await besieged.join("eve")
    for (let i = 0; i < 10_000; i++) client.post("ping")
    expect((await client.whenClosed()).code).toBe(closeTable.flood.code)
    const refusal = client.frames.find((frame) => frame["error"] !== undefined)
    expect(refusal?.["error"]).toMatchObject({ code: "rate_limited", retryable: true })
    expect(client.frames.length).toBeLessThan(1_000)
  })

  it(
    "who stops reading is closed as a slow consumer, and gets everything by its next sync",
    { timeout: 60_000 },
    async () => {
      const channel = "group:flow"
      const writers = await Promise.all(Array.from({ length: 6 }, async () => besieged.join("wes")))
      await writers[0]?.ok("create", { channel, cid: newClientId(), name: "", members: ["sam"] })
      const sam = await besieged.join("sam")
      sam.socket.pause()
      const text = "x".repeat(16_000)
      let sent = 0
      for (let round = 0; round < 150; round++) {
        await Promise.all(writers.map((writer) => writer.ok("send", { channel, cid: newClientId(), text })))
        sent += writers.length
      }
      sam.socket.resume()
      expect((await sam.whenClosed(20_000)).code).toBe(closeTable.slow_consumer.code)
      const held = Math.max(
        1,
        ...sam.frames.filter((frame) => frame["channel"] === channel).map((frame) => frame["to"])
      )
      expect(held).toBeLessThan(sent + 1)
      const again = await RawClient.open(besieged.url)
      await again.ok("hello", { token: await besieged.token("sam"), device: "d" })
      const seqs: Array<number> = []
      for (let at = held, head = Infinity; at < head;) {
        const { channels } = await again.ok("sync", {
          channels: [[channel, 1, at]],
          session: { generation: 1, seq: 0 }
        })
        seqs.push(...channels[0].events.map((event: { seq: number }) => event.seq))
        head = channels[0].head.seq
        at = channels[0].to
      }
      expect(seqs).toEqual(Array.from({ length: sent + 1 - held }, (_, i) => held + 1 + i))
    }
  )

  it(
    "1,000 sockets of one address that never speak are bounded and cut; so is who sends a byte a second, or no hello in 10 s",
    { timeout: 60_000 },
    async () => {
      const silent = await RawClient.open(besieged.url)
      const slowRequest = drip(Buffer.from(handshake), crowdAddress)
      const slowFrame = drip(slowHello, "127.0.0.8", handshake)
      let rawClosed = 0
      const raw = Array.from({ length: 1_000 }, () =>
        connect({ port: Number(new URL(besieged.url).port), host: "127.0.0.1", localAddress: crowdAddress })
          .on("error", () => {})
          .on("close", () => rawClosed++)
          .resume()
      )
      const crowd = Array.from({ length: 1_000 }, () => new RawClient(besieged.url, { localAddress: "127.0.0.7" }))
      await until("the end of 1,000 handshakes", () => crowd.every((client) => client.isSettled), 20_000)
      expect(crowd.filter((client) => client.refusedWith === 429).length).toBeGreaterThan(700)
      await besieged.unharmed()
      const { afterMs, code } = await silent.whenClosed(15_000)
      expect(code).toBe(closeTable.hello_timeout.code)
      expect([afterMs > 9_500, afterMs < 12_000]).toEqual([true, true])
      await until("the end of all silent ones", () => crowd.every((client) => client.closed !== undefined), 15_000)
      expect(crowd.every(({ closed, refusedWith }) => refusedWith !== undefined || closed?.code === 4300)).toBe(true)
      await until("the end of the slow request", slowRequest.closed, 30_000)
      await until("the end of the slow frame", slowFrame.closed, 30_000)
      await until("the end of those that only connected", () => rawClosed === raw.length, 40_000)
    }
  )
})

it.each([
  ["--port", "70000"],
  ["--data", "/dev/null/x"],
  ["--log-soft-bytes", "many"],
  ["--no-such-setting", "1"]
])("a server is not started with %s %s, and says why", async (flag, value) => {
  await using folder = await Folder.make()
  const odd = Server.launch({ data: folder.in("other"), args: [flag, value] })
  const { code } = await odd.exited
  expect([code === 0, odd.output]).toEqual([false, expect.stringContaining(flag.slice(2))])
  expect(odd.output).not.toMatch(/ready on/)
})
