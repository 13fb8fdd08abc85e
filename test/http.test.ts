/**
 * Every call of the HTTP API on a real server, once by a user with his token and once by a server with its API key;
 * what it does shows on the sockets of those concerned. A repeated call has one effect. Also: who may inspect what.
 */
import { createHash } from "node:crypto"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { Folder } from "./harness/Folder.ts"
import { Server } from "./harness/Server.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { developmentToken } from "./wire/Tokens.ts"
import { RawClient, type RawFrame } from "./wire/RawClient.ts"

const apiKey = "a key of a server"

let folder: Folder
let server: Server
beforeAll(async () => {
  folder = await Folder.make()
  const environment = { PARLEY_API_KEY_HASHES: createHash("sha256").update(apiKey).digest("hex") }
  server = await Server.start({ data: folder.in("data"), environment })
})
afterAll(async () => {
  await server.kill()
  await folder[Symbol.asyncDispose]()
})
const url = () => server.url ?? "http://gone"

type Headers = Readonly<Record<string, string>>
interface Answer {
  readonly status: number
  readonly body: RawFrame
}

const call = async (headers: Headers, method: string, path: string, body?: object): Promise<Answer> => {
  const response = await fetch(url() + path, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) })
  })
  return { status: response.status, body: (await response.json()) as RawFrame } // JSON of the server
}

const byToken = async (user: string): Promise<Headers> => ({
  authorization: `Bearer ${await developmentToken(url(), user)}`
})
const byKey = async (user: string): Promise<Headers> => ({
  authorization: `Bearer ${apiKey}`,
  "x-parley-user": user
})

describe.each([
  ["a user's token", "token", byToken],
  ["an API key", "key", byKey]
] as const)("with %s", (_name, suffix, as) => {
  const [owner, guest, third] = [`olga-${suffix}`, `gus-${suffix}`, `tess-${suffix}`]
  const channel = `public:http-${suffix}`
  const path = `/v1/channels/${channel}`

  it("profiles, channels, members, messages and history are made, changed, read and taken away", async () => {
    const [asOwner, asGuest] = [await as(owner), await as(guest)]
    const socket = await (await RawClient.open(url())).join(await developmentToken(url(), guest), "d")
    const sees = (what: string, match: (event: RawFrame) => boolean) =>
      socket.pushed(what, (frame) => frame["ev"] === "event" && frame["channel"] === channel && match(frame["event"]))

    expect(await call(asOwner, "PUT", `/v1/users/${owner}`, { name: "Olga" })).toMatchObject({ status: 200 })
    expect(await call(asGuest, "GET", `/v1/users/${owner}`)).toMatchObject({ status: 200, body: { name: "Olga" } })

    const create = { channel, cid: newClientId(), name: "H", members: [third] }
    const created = await call(asOwner, "POST", "/v1/channels", create)
    expect(created).toMatchObject({ status: 201, body: { channel, seq: 1, generation: 1 } })
    expect(await call(asOwner, "POST", "/v1/channels", create)).toEqual(created)
    expect(await call(asOwner, "POST", "/v1/channels", { ...create, cid: newClientId() })).toMatchObject({
      status: 409,
      body: { error: { code: "conflict", retryable: false } }
    })
    expect(await call(asOwner, "PATCH", path, { cid: newClientId(), topic: "T" })).toMatchObject({ status: 200 })
    expect(await call(asGuest, "POST", `${path}/join`, { cid: newClientId() })).toMatchObject({ body: { seq: 3 } })
    await socket.pushed("the channel", (frame) => frame["ev"] === "channel" && frame["sync"].head.channel === channel)
    const head = { name: "H", topic: "T", members: 3, seq: 3 }
    expect(await call(asOwner, "GET", path)).toMatchObject({ status: 200, body: head })

    const message = { cid: newClientId(), text: "hello", mentions: [guest] }
    const sent = await call(asOwner, "POST", `${path}/messages`, message)
    expect(sent).toMatchObject({ status: 201, body: { seq: 4, n: 1 } })
    expect(await call(asOwner, "POST", `${path}/messages`, message)).toEqual(sent)
    expect((await call(asOwner, "POST", `${path}/messages`, { ...message, text: "x" })).body["error"].code).toBe(
      "id_reused"
    )
    await sees("the message", (event) => event["text"] === "hello")
    expect((await call(asGuest, "GET", path)).body).toMatchObject({ unread: 1, mentions: 1 })
    if (suffix === "token") {
      const edit = { cid: newClientId(), text: "mine" }
      expect((await call(asGuest, "PATCH", `${path}/messages/4`, edit)).status).toBe(403)
    }
    const edit = await call(asOwner, "PATCH", `${path}/messages/4`, { cid: newClientId(), text: "hello!" })
    expect(edit).toMatchObject({ status: 200, body: { seq: 5 } })
    await sees("the edit", (event) => event["kind"] === "edit" && event["text"] === "hello!")
    await call(asOwner, "POST", `${path}/messages`, { cid: newClientId(), text: "gone soon" })
    const gone = await call(asOwner, "DELETE", `${path}/messages/6?cid=${newClientId()}`)
    expect(gone).toMatchObject({ status: 200, body: { seq: 7 } })
    await sees("the delete", (event) => event["kind"] === "delete" && event["target"] === 6)
    expect((await call(asGuest, "GET", `${path}/messages?limit=10`)).body["events"]).toMatchObject([
      { seq: 4, text: "hello!", edited: 5 },
      { seq: 6, text: "", deleted: 7 }
    ])
    expect((await call(asGuest, "GET", `${path}/messages?before=6&limit=1`)).body["events"]).toHaveLength(1)
    expect((await call(asGuest, "GET", `${path}/messages?before=6&after=1`)).status).toBe(400)

    const added = await call(asOwner, "POST", `${path}/members`, { cid: newClientId(), members: [`new-${suffix}`] })
    expect(added).toMatchObject({ status: 200, body: { seq: 8 } })
    const removed = await call(asOwner, "DELETE", `${path}/members/${third}?cid=${newClientId()}`)
    expect(removed).toMatchObject({ status: 200, body: { seq: 9 } })
    const { members } = (await call(asOwner, "GET", `${path}/members?limit=10`)).body
    const expected = [
      [guest, "member"],
      [`new-${suffix}`, "member"],
      [owner, "owner"]
    ]
    expect(members.map((one: RawFrame) => [one["user"], one["role"]])).toEqual(expected)
    expect(await call(asGuest, "POST", `${path}/leave`, { cid: newClientId() })).toMatchObject({ body: { seq: 10 } })
    if (suffix === "token") expect((await call(asGuest, "GET", `${path}/messages`)).status).toBe(404)
  })
})

describe("inspection", () => {
  it("shows each kind of entity to servers and the operator, and no text unless it is asked for", async () => {
    const secret = "only for the two of us"
    const channel = "group:inspected"
    const socket = await (await RawClient.open(url())).join(await developmentToken(url(), "ines"), "d")
    await socket.ok("create", { channel, cid: newClientId(), name: "", members: [] })
    await socket.ok("send", { channel, cid: newClientId(), text: secret })
    const key = { authorization: `Bearer ${apiKey}` }
    for (const place of [`channel/${channel}`, "session/ines", "presence/ines"]) {
      expect((await call(await byToken("ines"), "GET", `/v1/inspect/${place}`)).status).toBe(403)
      expect((await call({}, "GET", `/v1/inspect/${place}`)).status).toBe(401)
      const { body, status } = await call(key, "GET", `/v1/inspect/${place}`)
      expect([place, status, JSON.stringify(body).includes(secret)]).toEqual([place, 200, false])
      expect(Object.keys(body).length).toBeGreaterThan(3)
    }
    const shown = await call(key, "GET", `/v1/inspect/channel/${channel}?payloads=true`)
    expect(JSON.stringify(shown.body)).toContain(secret)
    expect((await call(key, "GET", "/v1/inspect/channel/nonsense")).body["error"].code).toBe("invalid")
  })
})
