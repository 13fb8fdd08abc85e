/** The same client over real sockets: the platform's WebSocket against `ws`. */
import { afterEach, describe, expect, it } from "vitest"
import { ChatClient } from "../src/ChatClient.ts"
import { MiniServer } from "./MiniServer.ts"
import { listen } from "./SocketServer.ts"

const opened: Array<{ close(): unknown }> = []
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

const listening = async (server: MiniServer) => {
  const listener = await listen(server)
  opened.push(listener)
  return listener
}

const waitFor = async (condition: () => boolean) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe("over real sockets", () => {
  it("connects, sends, receives, is cut any number of times, and misses nothing", async () => {
    const server = new MiniServer(() => Date.now())
    const channel = server.make("group:a", ["ana", "ben"])
    const { sockets, url } = await listening(server)
    const make = (user: string) =>
      new ChatClient({
        url,
        token: user,
        device: `d-${user}`,
        settings: { backoffBaseMs: 10, backoffMaxMs: 50, gapWaitMs: 50 }
      })
    const [ana, ben] = [make("ana"), make("ben")]
    opened.push(ana, ben)
    await Promise.all([ana.start(), ben.start()])
    await Promise.all([ana.ready(), ben.ready()])
    for (let at = 0; at < 40; at++) {
      ;(at % 2 === 0 ? ana : ben).channel("group:a").send(`message ${at}`)
      if (at % 5 === 0) for (const socket of sockets.clients) socket.terminate()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await waitFor(() => server.messages(channel).length === 40)
    await Promise.all([ana.idle(), ben.idle()])
    await waitFor(() => [ana, ben].every((client) => client.channel("group:a").snapshot().position === 41))
    const expected = server.messages(channel).map(({ seq, text }) => [seq, text])
    for (const client of [ana, ben]) {
      await client.channel("group:a").loadOlder()
      expect(
        client
          .channel("group:a")
          .snapshot()
          .messages.map(({ seq, text }) => [seq, text])
      ).toEqual(expected)
    }
  })

  it("obeys a close code with its reason", async () => {
    const server = new MiniServer(() => Date.now())
    server.make("group:a", ["ana"])
    const { url } = await listening(server)
    const client = new ChatClient({ url, token: "ana", device: "d" })
    opened.push(client)
    await client.start()
    await client.ready()
    for (const connection of server.connections) connection.line.close(4_305, "not from here")
    await waitFor(() => client.status.state === "stopped")
    expect(client.status).toMatchObject({ code: 4_305, reason: "not from here" })
  })
})
