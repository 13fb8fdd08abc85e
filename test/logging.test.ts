/**
 * What docs/security.md says about what is written down, one claim after the other, by what a server at its most
 * talkative level really prints while it meets good and bad clients, and a store that fails.
 */
import { createHash, randomBytes } from "node:crypto"
import { setTimeout as delay } from "node:timers/promises"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { Folder } from "./harness/Folder.ts"
import { HeldStore } from "./harness/HeldStore.ts"
import { Server } from "./harness/Server.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { developmentToken } from "./wire/Tokens.ts"

const waitMsMax = 30_000
const authSecret = `auth-secret-${randomBytes(24).toString("hex")}`
const apiKey = `api-key-${randomBytes(24).toString("hex")}`
const text = `text-${randomBytes(8).toString("hex")}`
const device = `device-${randomBytes(8).toString("hex")}`
const channel = "group:written-down"
const user = "ana-of-the-logs"
const other = "ben-of-the-logs"

const until = async (what: string, holds: () => boolean): Promise<void> => {
  for (const end = Date.now() + waitMsMax; !holds(); await delay(10)) {
    if (Date.now() > end) throw new Error(`${what}: not within ${waitMsMax} ms`)
  }
}

/** A plain socket; all that came over it, as it came. */
class Line {
  readonly frames: Array<string> = []
  readonly #socket: WebSocket
  #id = 0
  closed = false

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on("message", (data) => this.frames.push(String(data)))
    socket.on("close", () => (this.closed = true))
    socket.on("error", () => {})
  }

  static async open(url: string): Promise<Line> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/v1/socket`, ["parley.v1.json"])
    const line = new Line(socket)
    await new Promise((resolve) => socket.once("open", resolve))
    return line
  }

  async ask(op: string, fields: object): Promise<void> {
    const id = ++this.#id
    this.raw(JSON.stringify({ id, op, ...fields }))
    await until(`an answer to ${op}`, () => this.closed || this.frames.some((frame) => frame.includes(`"re":${id},`)))
  }

  raw(frame: string): void {
    this.#socket.send(frame)
  }

  close(): void {
    this.#socket.terminate()
  }
}

describe("what a server writes down at its most talkative level", () => {
  let folder: Folder
  let server: Server
  let output = ""
  let metrics = ""
  let tokens: ReadonlyArray<string> = []
  let seenByOthers: ReadonlyArray<string> = []

  beforeAll(async () => {
    folder = await Folder.make()
    server = await Server.start({
      data: folder.in("data"),
      environment: {
        PARLEY_LOG_LEVEL: "debug",
        PARLEY_AUTH_SECRET: authSecret,
        PARLEY_API_KEY_HASHES: createHash("sha256").update(apiKey).digest("hex")
      }
    })
    const url = server.url!
    const http = (path: string, key: string, body?: object) =>
      fetch(url + path, {
        method: body === undefined ? "GET" : "POST",
        headers: { authorization: `Bearer ${key}`, "x-parley-user": user, "content-type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      }).then((response) => response.text())
    tokens = [await developmentToken(url, user), await developmentToken(url, other)]
    const [token = "", otherToken = ""] = tokens
    const ana = await Line.open(url)
    const ben = await Line.open(url)
    await ben.ask("hello", { token: otherToken, device: "phone" })
    await ben.ask("sync", { channels: [], session: { generation: 0, seq: 0 } })
    await ana.ask("hello", { token, device })
    await ana.ask("create", { channel, cid: newClientId(), name: "n", members: [other] })
    await until("the channel", () => ben.frames.some((frame) => frame.includes('"ev":"channel"')))
    // The persister fails at it: what a failure prints is where texts would leak.
    const held = await HeldStore.hold(folder.in("data/store.sqlite"))
    await ana.ask("send", { channel, cid: newClientId(), text, mentions: [other] })
    await ana.ask("edit", { channel, cid: newClientId(), target: 2, text: `${text} edited` })
    await until("a failure that is logged", () => server.output.includes("consumer step failed"))
    held.release()
    await until("the message", () => ben.frames.some((frame) => frame.includes(text)))
    const page = await http(`/v1/channels/${channel}/messages`, apiKey)
    await http(`/v1/channels/${channel}/messages`, apiKey, { cid: newClientId(), text })
    await http(`/v1/channels/${channel}/messages`, apiKey, { cid: newClientId(), text: 1, also: text })
    await http(`/v1/channels/${channel}/messages`, `${apiKey}x`)
    await http(`/v1/channels/${channel}/messages`, `${token}x`)
    for (const bad of [`{"id":1,"op":"hello","token":"${token}x"}`, `{"token":"${token}","text":"${text}"`, text]) {
      const line = await Line.open(url)
      line.raw(bad)
      await until("an answer or an end", () => line.closed || line.frames.length > 0)
      line.close()
    }
    metrics = await (await fetch(`${url}/metrics`)).text()
    seenByOthers = [...ben.frames, page]
    ana.close()
    ben.close()
    await server.stop()
    output = server.output
  }, 120_000)

  afterAll(async () => {
    await server.kill()
    await folder[Symbol.asyncDispose]()
  })

  it("is something: the failure of the store is among it", () => {
    expect(output).toContain("consumer step failed")
  })

  it("has no token, whole or in part", () => {
    for (const token of tokens) for (const part of token.split(".").slice(1)) expect(output).not.toContain(part)
  })

  it("has no key and no secret", () => {
    for (const secret of [authSecret, apiKey]) expect(output).not.toContain(secret)
  })

  it("has no text of a message", () => {
    expect(output).not.toContain(text)
  })

  it("has no user and no channel as a label of a metric", () => {
    expect(metrics).toContain("parley_edge_ops_total")
    for (const consumer of ["persister", "member-fanout"]) {
      expect(metrics).toMatch(new RegExp(`parley_consumer_lag_seconds\\{consumer="${consumer}"\\} \\d`))
    }
    expect(metrics).toMatch(/parley_entities\{[^}]*kind="channel"[^}]*\} [1-9]/)
    expect(metrics).toMatch(/parley_log_bytes [1-9]/)
    for (const id of [user, other, channel, device]) expect(metrics).not.toContain(id)
  })

  it("keeps a log record's private part on the server: no device of somebody else is shown", () => {
    expect(seenByOthers.some((seen) => seen.includes(text))).toBe(true)
    for (const seen of seenByOthers) expect(seen).not.toContain(device)
  })
})

it("a setting marked secret that makes no sense is said as (hidden)", async () => {
  await using folder = await Folder.make()
  const secret = "too-short-a-secret"
  const server = Server.launch({ data: folder.in("data"), environment: { PARLEY_AUTH_SECRET: secret } })
  const { code } = await server.exited
  expect([code === 0, server.output]).toEqual([false, expect.stringContaining("(hidden)")])
  expect(server.output).not.toContain(secret)
})
