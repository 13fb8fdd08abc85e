/** The socket of a connection as a client sees it that writes bytes by itself: control frames, and how it ends. */
import { connect, type Socket } from "node:net"
import { afterAll, beforeAll, describe, expect, it, vi } from "@effect/vitest"
import { subprotocol } from "@parley/protocol/Frame"
import { EdgeHarness } from "./EdgeHarness.ts"

let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start()
})
afterAll(() => harness.stop())

class Line {
  readonly socket: Socket
  bytes = Buffer.alloc(0)
  ended = false

  constructor(port: number, first = Buffer.alloc(0)) {
    this.socket = connect({ port, host: "127.0.0.1" })
    this.socket.on("data", (chunk) => (this.bytes = Buffer.concat([this.bytes, chunk])))
    this.socket.on("end", () => (this.ended = true))
    this.socket.on("error", () => {})
    const request = [
      "GET /v1/socket HTTP/1.1",
      "Host: 127.0.0.1",
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
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
    await vi.waitFor(() => expect(this.bytes.includes("\r\n\r\n")).toBe(true))
    expect(this.bytes.toString("latin1")).toContain("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    return this
  }

  async saw(...bytes: ReadonlyArray<number>): Promise<void> {
    await vi.waitFor(() => expect(this.frames.toString("hex")).toBe(Buffer.from(bytes).toString("hex")))
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
    await vi.waitFor(() => expect(line.ended).toBe(true))
  })

  it("names a violation and ends, and reads no further", async () => {
    const line = await new Line(harness.port).opened()
    line.socket.write(Buffer.concat([masked(0x83, "?"), masked(0x89, "!")]))
    await line.saw(0x88, 2, 0x03, 0xea)
    await vi.waitFor(() => expect(line.ended).toBe(true))
  })

  it("is off the edge's list when its client is gone, by a close frame, its end, or a reset", async () => {
    const before = count()
    const lines = await Promise.all([1, 2, 3].map(() => new Line(harness.port).opened()))
    await vi.waitFor(() => expect(count()).toBe(before + 3))
    lines[0]!.socket.write(masked(0x88, ""))
    lines[1]!.socket.end()
    lines[2]!.socket.resetAndDestroy()
    await vi.waitFor(() => expect(count()).toBe(before))
  })
})
