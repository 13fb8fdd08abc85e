import { describe, expect, it } from "vitest"
import { afterClose, closeTable } from "@parley/protocol/CloseCode"
import { Limits } from "@parley/protocol/Limits"
import { subprotocol } from "@parley/protocol/Frame"
import { socketUrl } from "../src/SocketAddress.ts"
import * as PlainFrame from "../src/PlainFrame.ts"
import { World } from "./World.ts"

const closeAll = (world: World, code: number, reason: string) => {
  for (const connection of world.server.connections) connection.line.close(code, reason)
}

const startOnline = async (options: Parameters<World["client"]>[0] = {}) => {
  const world = new World()
  world.server.make("group:a", ["ana"])
  const client = await world.online(world.client(options))
  return { world, client }
}

describe("Connection", () => {
  it("speaks the subprotocol of the schemas", () => {
    expect(PlainFrame.subprotocol).toBe(subprotocol)
  })

  it("makes the socket's address out of the server's", () => {
    expect(socketUrl("http://127.0.0.1:8080")).toBe("ws://127.0.0.1:8080/v1/socket")
    expect(socketUrl("https://chat.example/")).toBe("wss://chat.example/v1/socket")
    expect(socketUrl("wss://chat.example/other?x=1")).toBe("wss://chat.example/other?x=1")
  })

  it("stops with a reason where the address is none, instead of trying for ever", async () => {
    const world = new World()
    const client = world.client({
      environment: {
        ...world.environment(),
        openSocket: () => {
          throw new Error("bad address")
        }
      }
    })
    await client.start()
    await world.time.until("stopped", () => client.status.state === "stopped")
    expect(client.status).toMatchObject({ reason: "bad address" })
  })

  it.each(Object.values(closeTable))("after close $code does what its range says: $then", async ({ code }) => {
    const { client, world } = await startOnline({ token: async () => "ana" })
    closeAll(world, code, afterClose(code) === "delay" ? "4000" : "")
    await world.time.until("the close is known", () => client.status.state !== "online")
    const closedAt = world.time.now
    if (afterClose(code) === "stop") {
      await world.time.pass(300_000)
      expect(client.status).toMatchObject({ state: "stopped", code })
      expect(world.sockets.length).toBe(1)
      return
    }
    await world.time.until("online again", () => client.status.state === "online")
    if (afterClose(code) === "delay") expect(world.time.now - closedAt).toBeGreaterThanOrEqual(4_000)
    expect(world.time.now - closedAt).toBeLessThan(6_000)
  })

  it("treats a code it does not know by its range", async () => {
    const { client, world } = await startOnline()
    closeAll(world, 4_177, "2500")
    await world.time.until("waiting", () => client.status.state === "waiting")
    const waited = world.time.now
    await world.time.until("online again", () => client.status.state === "online")
    expect(world.time.now - waited).toBeGreaterThanOrEqual(2_500)
  })

  it("moves at its own turn when the server drains", async () => {
    const { client, world } = await startOnline()
    for (const connection of world.server.connections) connection.push({ ev: "drain", after_ms: 7_000 })
    await world.time.pass(6_900)
    expect(client.status.state).toBe("online")
    expect(world.sockets.length).toBe(1)
    await world.time.until("moved", () => world.sockets.length === 2 && client.status.state === "online", 5_000)
  })

  it("waits out its turn when the draining server went first", async () => {
    const { client, world } = await startOnline()
    for (const connection of world.server.connections) connection.push({ ev: "drain", after_ms: 7_000 })
    await world.time.pass(100)
    world.socket.cut()
    await world.time.pass(6_500)
    expect(world.sockets.length).toBe(1)
    await world.time.until("moved", () => client.status.state === "online", 5_000)
  })

  it("notices a dead peer in less than 30 s, and comes back", async () => {
    const { client, world } = await startOnline()
    await world.time.pass(60_000)
    world.socket.silence()
    const silentAt = world.time.now
    await world.time.until("noticed", () => client.status.state !== "online", 30_000)
    expect(world.time.now - silentAt).toBeLessThan(30_000)
    await world.time.until("online again", () => client.status.state === "online")
  })

  it("says something at least every heartbeat, and no more when all is quiet", async () => {
    const { world } = await startOnline()
    const before = world.server.received.length
    await world.time.pass(120_000)
    const said = world.server.received.length - before
    expect(said).toBeGreaterThanOrEqual(Math.floor(120_000 / (Limits.heartbeatMs + Limits.heartbeatMs / 4)))
    expect(said).toBeLessThanOrEqual(11)
  })

  it("renews its token on the live socket before it ends", async () => {
    const world = new World()
    world.server.make("group:a", ["ana"])
    world.server.expiresInMs = 300_000
    let fetched = 0
    const client = await world.online(world.client({ token: async () => `ana/${++fetched}` }))
    await world.time.pass(1_000_000)
    expect(world.sockets.length).toBe(1)
    expect(client.status.state).toBe("online")
    expect(fetched).toBeGreaterThanOrEqual(4)
    const hellos = world.server.received.filter(({ op }) => op === "hello").map((frame) => frame["token"])
    expect(hellos).toEqual(Array.from({ length: fetched }, (_, at) => `ana/${at + 1}`))
  })

  it("gets a new token when the old one is refused, and keeps a good one over reconnects", async () => {
    const world = new World()
    world.server.make("group:a", ["ana"])
    const tokens = ["ana/expired", "ana", "ana/never"]
    let fetched = 0
    const client = await world.online(world.client({ token: async () => tokens[fetched++]! }))
    expect(fetched).toBe(2)
    world.socket.cut()
    await world.time.until("gone", () => client.status.state !== "online")
    await world.time.until("online again", () => client.status.state === "online")
    expect(fetched).toBe(2)
  })

  it("stops when a fixed token is refused, and after too many refused new ones", async () => {
    for (const token of ["ana/expired", async () => "ana/expired"]) {
      const world = new World()
      const client = world.client({ token })
      await client.start()
      await world.time.until("stopped", () => client.status.state === "stopped", 600_000)
      expect(client.status).toMatchObject({ code: 4_201 })
      expect(world.sockets.length).toBe(typeof token === "string" ? 1 : 6)
    }
  })

  it("tries again when a token can't be had, or does not come", async () => {
    const world = new World()
    world.server.make("group:a", ["ana"])
    let fetched = 0
    const token = () => {
      fetched += 1
      return fetched === 1
        ? Promise.reject(new Error("issuer down"))
        : fetched === 2
          ? new Promise<string>(() => {})
          : Promise.resolve("ana")
    }
    await world.online(world.client({ token }))
    expect(fetched).toBe(3)
  })

  it("does not hammer a server that accepts and closes at once", async () => {
    const world = new World()
    world.server.make("group:a", ["ana"])
    const client = world.client()
    client.onStatus(() => {
      if (client.status.state === "online") world.socket.cut()
    })
    await client.start()
    await world.time.pass(600_000)
    // 600 s at full jitter of up to 30 s: some 40 on average, never hundreds.
    expect(world.sockets.length).toBeLessThan(90)
  })

  it("tries at once when it is told that the network is back", async () => {
    const { client, world } = await startOnline()
    world.down = true
    world.socket.cut()
    await world.time.pass(120_000)
    world.down = false
    await world.time.until("a wait", () => client.status.state === "waiting")
    client.wake()
    await world.time.until("online", () => client.status.state === "online", 500)
  })

  it("stays closed once it is closed", async () => {
    const { client, world } = await startOnline()
    await client.close()
    await world.time.pass(300_000)
    expect(client.status.state).toBe("idle")
    expect(world.sockets.length).toBe(1)
    await world.online(client)
    expect(client.status.state).toBe("online")
  })
})
