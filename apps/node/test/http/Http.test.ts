/** The HTTP API over a real server, asked as a program would. */
import { createHash } from "node:crypto"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { clientId, EdgeHarness } from "../edge/EdgeHarness.ts"

const apiKey = "a-key-of-a-server"
let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start({
    apiKeyHashes: [createHash("sha256").update(apiKey).digest("hex")],
    origins: ["https://chat.example.com"],
    httpBodyBytesMax: 20_000
  })
})
afterAll(() => harness.stop())

interface Call {
  readonly method?: string
  readonly body?: unknown
  readonly token?: string
  readonly headers?: Record<string, string>
}
const call = async (path: string, { body, headers, method, token }: Call = {}) => {
  const response = await fetch(`${harness.http}${path}`, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text === "" ? undefined : parsed(text) }
}
// oxlint-disable-next-line typescript/no-explicit-any -- a test knows the shape of what it looks at
const parsed = (text: string): any => (text.startsWith("{") ? JSON.parse(text) : text)

describe("the HTTP API", () => {
  it("mints a development token that the socket takes", async () => {
    const minted = await call("/v1/tokens", { body: { user: "ann" } })
    expect(minted.status).toBe(201)
    const client = await harness.open()
    const hello = await client.request("hello", { token: minted.body.token, device: "d" })
    expect(hello["ok"].user).toBe("ann")
    expect(hello["ok"].expires_at).toBe(minted.body.expires_at)
  })

  it("sends with a user's token, and with an API key for the user it names", async () => {
    harness.owners.channel("team:http", ["ann"])
    const path = "/v1/channels/team:http/messages"
    const mine = await call(path, { token: await harness.token("ann"), body: { cid: clientId(), text: "hi" } })
    expect(mine).toMatchObject({ status: 201, body: { channel: "team:http", seq: 2, n: 1 } })
    const theirs = await call(path.replace(":h", "%3Ah"), {
      token: apiKey,
      headers: { "x-parley-user": "ann" },
      body: { cid: clientId(), text: "by a bot" }
    })
    expect(theirs).toMatchObject({ status: 201, body: { seq: 3 } })
    const nobody = await call(path, { token: apiKey, body: { cid: clientId(), text: "by nobody" } })
    expect(nobody).toMatchObject({ status: 400, body: { error: { code: "invalid" } } })
    const history = await call(path, { token: await harness.token("ann") })
    expect(history.body.events.map((event: { text: string }) => event.text)).toEqual(["hi", "by a bot"])
  })

  it("refuses who is not known, and whose token was revoked", async () => {
    harness.owners.channel("team:who", ["cat"])
    const path = "/v1/channels/team:who"
    expect(await call(path)).toMatchObject({ status: 401, body: { error: { code: "unauthenticated" } } })
    expect((await call(path, { token: "not-a-token" })).status).toBe(401)
    const token = await harness.token("cat")
    expect(await call(path, { token })).toMatchObject({ status: 200, body: { channel: "team:who" } })
    const before = Math.floor(Date.now() / 1_000) + 1
    expect(await call("/v1/users/cat/revoke", { token, body: { cid: clientId(), before } })).toMatchObject({
      status: 200,
      body: { before }
    })
    expect((await call(path, { token })).status).toBe(401)
  })

  it("lets a user write his own profile only", async () => {
    const token = await harness.token("dan")
    expect((await call("/v1/users/dan", { token })).status).toBe(404)
    expect(await call("/v1/users/dan", { method: "PUT", token, body: { name: "Dan" } })).toMatchObject({
      status: 200,
      body: { user: "dan", name: "Dan" }
    })
    expect((await call("/v1/users/eve", { method: "PUT", token, body: { name: "Eve" } })).status).toBe(403)
    expect((await call("/v1/users/eve", { method: "PUT", token: apiKey, body: { name: "Eve" } })).status).toBe(200)
  })

  it("lists members in pages", async () => {
    harness.owners.channel("team:members", ["ann", "bob"])
    const page = await call("/v1/channels/team:members/members", { token: apiKey })
    expect(page).toMatchObject({
      status: 200,
      body: { members: [{ user: "ann", role: "member" }, { user: "bob" }], more: null }
    })
  })

  it("answers every error in one shape", async () => {
    const token = await harness.token("ann")
    const send = "/v1/channels/team:http/messages"
    expect(await call(send, { token, body: { cid: "x", text: "hi" } })).toMatchObject({
      status: 400,
      body: { error: { code: "invalid", retryable: false } }
    })
    expect(await call(send, { token, body: "{no json" })).toMatchObject({
      status: 400,
      body: { error: { retryable: false } }
    })
    expect(await call(send, { token, body: JSON.stringify({ text: "x".repeat(30_000) }) })).toMatchObject({
      status: 413,
      body: { error: { code: "too_large" } }
    })
    expect(await call("/v1/nothing")).toMatchObject({ status: 404, body: { error: { code: "not_found" } } })
  })

  it("answers health and metrics, and says by CORS which origins may ask", async () => {
    expect(await call("/livez")).toMatchObject({ status: 200, body: { alive: true } })
    expect(await call("/readyz")).toMatchObject({ status: 200, body: { ready: true } })
    const metrics = await call("/metrics")
    expect(metrics.body).toContain("parley_edge_connections ")
    const allowed = await call("/livez", { headers: { origin: "https://chat.example.com" } })
    expect(allowed.headers.get("access-control-allow-origin")).toBe("https://chat.example.com")
    const evil = await call("/livez", { headers: { origin: "https://evil.example.com" } })
    expect(evil.headers.get("access-control-allow-origin")).toBeNull()
    expect((await call("/v1/openapi.json")).body.openapi).toMatch(/^3\./)
  })
})
