import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, expect, it } from "vitest"
import { cassandraPeers } from "../CqlQuestion.ts"
import { cassandraAnswers, natsAnswers, redisAnswers, waitFor } from "../Readiness.ts"

const folder = mkdtempSync(join(tmpdir(), "parley-readiness-"))
const log = join(folder, "node.log")
writeFileSync(log, "starting\nno space left on device\n")
afterAll(() => rmSync(folder, { recursive: true }))

const host = "127.0.0.1"

/** A server which says `answer` to whoever comes or asks. */
const serving = async (answer: string, use: (port: number) => Promise<void>): Promise<void> => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined))
    socket.write(answer, "latin1")
  })
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  const address = server.address()
  await use(typeof address === "object" ? (address?.port ?? 0) : 0)
  for (const socket of sockets) socket.destroy()
  server.close()
}

it("a process that ended is not waited for: the end of its log says why", async () => {
  const wait = waitFor({ what: "redis-1", msMax: 60_000, log, runs: () => false, answers: async () => false })
  await expect(wait).rejects.toThrow(/redis-1 ended before it was ready.*no space left on device/s)
})

it("a wait has an end, and says what it was for", async () => {
  const wait = waitFor({ what: "nats-1", msMax: 200, log, runs: () => true, answers: async () => false })
  await expect(wait).rejects.toThrow("nats-1 was not ready after 0.2 s")
})

it("a NATS server is the one that was started, by its name", () =>
  serving('INFO {"server_name":"nats-1"}\r\n', async (port) => {
    expect(await natsAnswers(host, port)).toBe(true)
    expect(await natsAnswers(host, port, "nats-1")).toBe(true)
    expect(await natsAnswers(host, port, "nats-2")).toBe(false)
  }))

it("a server of another kind is not taken for ready", () =>
  serving("HTTP/1.1 400 Bad Request\r\n\r\n", async (port) => {
    expect(await natsAnswers(host, port)).toBe(false)
    expect(await redisAnswers(host, port)).toBe(false)
    expect(await cassandraAnswers(host, port)).toBe(false)
    expect(await cassandraPeers(host, port)).toBeUndefined()
  }))

it("where nobody listens nobody answers", async () => {
  expect(await natsAnswers(host, 1)).toBe(false)
  expect(await redisAnswers(host, 1)).toBe(false)
  expect(await cassandraAnswers(host, 1)).toBe(false)
})
