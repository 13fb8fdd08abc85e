/** The socket of a connection as a client sees it that writes bytes by itself: control frames, and how it ends. */
import { connect, type Socket } from "node:net"
import { afterAll, beforeAll, describe, expect, it, vi } from "@effect/vitest"
import { closeTable } from "@parley/protocol/CloseCode"
import { subprotocol } from "@parley/protocol/Frame"
import type { Turns } from "../../src/edge/Turns.ts"
import { EdgeHarness, TestClient, until } from "./EdgeHarness.ts"

/** On a machine that is busy too. */
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 15_000, interval: 5 })

let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start()
})
afterAll(() => harness.stop())

class Line {
  readonly socket: Socket
  bytes = Buffer.alloc(0)
  ended = false

  constructor(port: number, first = Buffer.alloc(0), key = "dGhlIHNhbXBsZSBub25jZQ==") {
    this.socket = connect({ port, host: "127.0.0.1" })
    this.socket.on("data", (chunk) => (this.bytes = Buffer.concat([this.bytes, chunk])))
    this.socket.on("end", () => (this.ended = true))
    this.socket.on("error", () => {})
    const request = [
      "GET /v1/socket HTTP/1.1",
      "Host: 127.0.0.1",
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${key}`,
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Protocol: ${subprotocol}`
    ]
    this.socket.write(Buffer.concat([Buffer.from(`${request.join("\r\n")}\r\n\r\n`), first]))
  }

  /** What came after the answer to the handshake. */
  get frames(): Buffer {
    const end = this.bytes.indexOf("\r\n\r\n")
    return end < 0 ? Buffer.alloc(0) : this.bytes.subarray(end + 4)
  }

  async opened(): Promise<this> {
    await eventually(() => expect(this.bytes.includes("\r\n\r\n")).toBe(true))
    expect(this.bytes.toString("latin1")).toContain("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    return this
  }

  async saw(...bytes: ReadonlyArray<number>): Promise<void> {
    await eventually(() => expect(this.frames.toString("hex")).toBe(Buffer.from(bytes).toString("hex")))
  }
}

/** A client's frame, masked with zeros. */
const masked = (first: number, payload: Buffer | string): Buffer<ArrayBuffer> =>
  Buffer.concat([Buffer.of(first, 0x80 | Buffer.byteLength(payload), 0, 0, 0, 0), Buffer.from(payload)])
const count = () => harness.edge.runtime.connections.size

describe("a connection's socket", () => {
  it("answers a ping with its payload, also one that came with the handshake", async () => {
    const line = await new Line(harness.port, masked(0x89, "early")).opened()
    await line.saw(0x8a, 5, ...Buffer.from("early"))
    line.socket.write(masked(0x89, ""))
    await line.saw(0x8a, 5, ...Buffer.from("early"), 0x8a, 0)
    line.socket.destroy()
  })

  it("answers a close frame by its code, and ends", async () => {
    const line = await new Line(harness.port).opened()
    line.socket.write(masked(0x88, Buffer.of(0x0f, 0xa0)))
    await line.saw(0x88, 2, 0x0f, 0xa0)
    await eventually(() => expect(line.ended).toBe(true))
  })

  it("names a violation and ends, and reads no further", async () => {
    const line = await new Line(harness.port).opened()
    line.socket.write(Buffer.concat([masked(0x83, "?"), masked(0x89, "!")]))
    await line.saw(0x88, 2, 0x03, 0xea)
    await eventually(() => expect(line.ended).toBe(true))
  })

  it("is off the edge's list when its client is gone, by a close frame, its end, or a reset", async () => {
    const before = count()
    const lines = await Promise.all([1, 2, 3].map(() => new Line(harness.port).opened()))
    await eventually(() => expect(count()).toBe(before + 3))
    lines[0]!.socket.write(masked(0x88, ""))
    lines[1]!.socket.end()
    lines[2]!.socket.resetAndDestroy()
    await eventually(() => expect(count()).toBe(before))
  })
})

describe("a client that ends its side first", () => {
  it("gets what was on its way to it, and is off then", async () => {
    await eventually(() => expect(count()).toBe(0))
    const line = await new Line(harness.port).opened()
    await eventually(() => expect(count()).toBe(1))
    const [connection] = harness.edge.runtime.connections
    line.socket.pause()
    let got = 0
    line.socket.removeAllListeners("data").on("data", (chunk) => (got += chunk.length))
    line.socket.pause()
    // More than the kernel keeps for a socket.
    const payload = Buffer.alloc(12_000_000, "x")
    connection?.socket.write(payload)
    line.socket.end()
    await eventually(() => expect(connection?.socket.writableEnded).toBe(true))
    expect(connection?.socket.destroyed).toBe(false)
    line.socket.resume()
    await eventually(() => expect([line.ended, got]).toEqual([true, payload.length]))
    await eventually(() => expect([connection?.socket.destroyed, count()]).toEqual([true, 0]))
  })
})

describe("thousands of sockets at once", () => {
  /** As if thousands had come before: each turn of the event loop is full until the answer is called. */
  const hold = (turns: Turns): (() => void) => {
    let held = true
    for (let job = 0; job < 1_000; job++) {
      turns.run(() => {
        const end = performance.now() + (held ? 21 : 0)
        while (performance.now() < end);
      })
    }
    return () => (held = false)
  }
  const arrivals = () => harness.edge.runtime.arrivals
  const opening = () => harness.edge.upgrade.unauthenticatedOf("127.0.0.1")

  it("that come wait for their handshakes, and lose nothing of what they send meanwhile", async () => {
    const release = hold(arrivals())
    const before = opening()
    const line = new Line(harness.port, masked(0x89, "a"))
    await eventually(() => expect(opening()).toBe(before + 1))
    line.socket.write(masked(0x89, "b"))
    // What it sent is here before this one's request, which the same loop reads.
    const after = new Line(harness.port)
    await eventually(() => expect(opening()).toBe(before + 2))
    expect(line.bytes.length).toBe(0)
    release()
    await line.opened()
    await line.saw(0x8a, 1, ...Buffer.from("a"), 0x8a, 1, ...Buffer.from("b"))
    for (const { socket } of [line, await after.opened()]) socket.destroy()
    await eventually(() => expect(opening()).toBe(before))
  })

  it("count no longer when they are gone before their turn, or what they ask for is no handshake", async () => {
    const before = opening()
    const release = hold(arrivals())
    const lines = [new Line(harness.port), new Line(harness.port), new Line(harness.port, undefined, "no key")]
    await eventually(() => expect(opening()).toBe(before + 3))
    lines[0]?.socket.end()
    lines[1]?.socket.resetAndDestroy()
    await eventually(() => expect(lines[1]?.socket.closed).toBe(true))
    release()
    await eventually(() => expect(opening()).toBe(before))
    expect(count()).toBe(0)
    await eventually(() => expect(lines[2]?.bytes.toString()).toContain("400 Bad Request"))
  })

  it("are no more than there may be, those that wait counted", async () => {
    const own = await EdgeHarness.start({ connectionsMax: 2 })
    const release = hold(own.edge.runtime.arrivals)
    const lines = [new Line(own.port), new Line(own.port)]
    await eventually(() => expect(own.edge.upgrade.unauthenticatedOf("127.0.0.1")).toBe(2))
    const third = new Line(own.port)
    await eventually(() => expect(third.bytes.toString()).toContain("503 Service Unavailable"))
    expect(own.edge.upgrade.refused.get(503)).toBe(1)
    release()
    for (const line of lines) await line.opened()
    await own.stop()
  })

  it("are refused when the edge drains before their turn", async () => {
    const own = await EdgeHarness.start()
    const release = hold(own.edge.runtime.arrivals)
    const line = new Line(own.port)
    await eventually(() => expect(own.edge.upgrade.unauthenticatedOf("127.0.0.1")).toBe(1))
    own.edge.leave()
    release()
    await eventually(() => expect(line.bytes.toString()).toContain("503 Service Unavailable"))
    expect(own.edge.upgrade.unauthenticatedOf("127.0.0.1")).toBe(0)
    expect(own.edge.upgrade.refused.get(503)).toBe(1)
    await own.stop()
  })

  it("wait for their hello's turn too, with what they sent after it", async () => {
    const client = await TestClient.open(harness.url)
    const token = await harness.token("ann")
    // A token that is known is no reason to wait.
    const first = await TestClient.open(harness.url)
    await first.request("hello", { token, device: "e" })
    first.socket.terminate()
    const release = hold(arrivals())
    const hello = client.post("hello", { token, device: "d" })
    const ping = client.post("ping")
    await until(() => [...harness.edge.runtime.connections].some(({ early }) => early?.length === 1))
    expect(client.frames).toEqual([])
    release()
    expect((await client.answer(hello))["ok"]).toBeDefined()
    expect((await client.answer(ping))["ok"]).toBeDefined()
    client.socket.terminate()
  })

  it("are not late with a hello that waits for its turn", async () => {
    const own = await EdgeHarness.start({ helloTimeoutMs: 600 })
    const client = await TestClient.open(own.url)
    const silent = await TestClient.open(own.url)
    const release = hold(own.edge.runtime.arrivals)
    const hello = client.post("hello", { token: await own.token("ann"), device: "d" })
    // Opened before it, or with it, and closed for its silence.
    expect((await silent.whenClosed()).code).toBe(closeTable.hello_timeout.code)
    const waited = own.edge.runtime.heartbeats.now
    await until(() => own.edge.runtime.heartbeats.now >= waited + 1_000)
    expect(client.closed).toBeUndefined()
    release()
    expect((await client.answer(hello))["ok"]).toBeDefined()
    await own.stop()
  })

  it("that end are off the list at once and closed in turns", async () => {
    await until(() => count() === 0)
    const clients = await Promise.all([1, 2, 3].map(() => TestClient.open(harness.url)))
    await until(() => count() === 3)
    const sockets = [...harness.edge.runtime.connections].map(({ socket }) => socket)
    const release = hold(harness.edge.runtime.departures)
    for (const { socket } of clients) socket.terminate()
    await until(() => count() === 0)
    expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false, false])
    release()
    await until(() => sockets.every(({ destroyed }) => destroyed))
  })
})
