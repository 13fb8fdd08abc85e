/** What a broken or hostile client may send: each has its own answer or close code, and nobody else notices. */
import { connect } from "node:net"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "@effect/vitest"
import { generateKeyPair, SignJWT, UnsecuredJWT } from "jose"
import { closeTable } from "@parley/protocol/CloseCode"
import { clientId, EdgeHarness, TestClient, until } from "./EdgeHarness.ts"

let harness: EdgeHarness
beforeAll(async () => {
  harness = await EdgeHarness.start({
    helloTimeoutMs: 1_000,
    unauthenticatedPerAddressMax: 50,
    // All clients of these tests live in this process too: its lag is not the server's.
    eventLoopLagMs: 60_000,
    origins: ["https://chat.example.com"]
  })
  harness.owners.channel("team:a", ["ann"])
})
afterAll(() => harness.stop())
afterEach(() => {
  harness.owners.intercept = () => undefined
})

const cid = clientId
const send = (fields: object) => ({ channel: "team:a", cid: cid(), text: "hi", ...fields })

describe("frames that are no frames", () => {
  const malformed: ReadonlyArray<readonly [string, string]> = [
    ["no JSON", "{"],
    ["an array", "[1]"],
    ["a number", "7"],
    ["null", "null"],
    ["no id", '{"op":"ping"}'],
    ["an id that is no number", '{"id":"1","op":"ping"}'],
    ["an id beyond 2^53", '{"id":9007199254740993,"op":"ping"}'],
    ["a negative id", '{"id":-1,"op":"ping"}'],
    ["an id by the prototype", '{"__proto__":{"id":1,"op":"ping"}}'],
    ["deep nesting", `{"id":1,"op":"ping","x":${"[".repeat(40)}${"]".repeat(40)}}`],
    ["very deep nesting", "[".repeat(60_000)]
  ]
  for (const [name, text] of malformed) {
    it(`closes as malformed: ${name}`, async () => {
      const client = await harness.join("ann")
      client.raw(text)
      expect((await client.whenClosed()).code).toBe(closeTable.malformed.code)
    })
  }

  it("takes many brackets that are not deep, or in text", async () => {
    const client = await harness.join("ann")
    const answer = await client.request(
      "send",
      send({ text: "{[".repeat(200), extra: Array.from({ length: 50 }, () => [{}]) })
    )
    expect(answer["ok"]).toBeDefined()
  })

  it("closes a binary frame, one with invalid UTF-8, and one too large, each with its code", async () => {
    const binary = await harness.join("ann")
    binary.raw(Buffer.from("{}"), true)
    expect((await binary.whenClosed()).code).toBe(closeTable.binary.code)
    const invalid = await harness.join("ann")
    invalid.raw(Buffer.from([0x7b, 0xff, 0x7d]))
    expect((await invalid.whenClosed()).code).toBe(1007)
    const large = await harness.join("ann")
    large.raw(JSON.stringify({ id: 1, op: "ping", x: "x".repeat(70_000) }))
    expect((await large.whenClosed()).code).toBe(closeTable.too_large.code)
  })
})

describe("fields that are wrong", () => {
  const wrong: ReadonlyArray<readonly [string, string, object, RegExp]> = [
    ["empty text", "send", { text: "" }, /text/],
    ["only white space", "send", { text: " \n\t" }, /text/],
    ["NUL in text", "send", { text: "a\0b" }, /NUL/],
    ["half a surrogate pair", "send", { text: "\ud800" }, /surrogate/],
    ["text too long", "send", { text: "é".repeat(9_000) }, /longer/],
    ["a channel without type", "send", { channel: "general" }, /channel/],
    ["a channel with a path", "send", { channel: "team:../x" }, /channel/],
    ["a client id that is no UUIDv7", "send", { cid: "123e4567-e89b-12d3-a456-426614174000" }, /cid/],
    ["text of another type", "send", { text: 7 }, /text/],
    ["a seq beyond 2^53", "read", { seq: 2 ** 53 }, /seq/],
    ["a seq that is a fraction", "read", { seq: 1.5 }, /seq/],
    ["too many mentions", "send", { mentions: Array.from({ length: 65 }, (_, i) => `u${i}`) }, /mentions/],
    ["a user id of spaces", "add_members", { members: [" "] }, /members/],
    ["too many users watched", "presence_watch", { users: Array.from({ length: 501 }, (_, i) => `u${i}`) }, /users/]
  ]
  for (const [name, op, fields, names] of wrong) {
    it(`answers invalid and names the field: ${name}`, async () => {
      const client = await harness.join("ann")
      const answer = await client.request(op, send(fields))
      expect(answer["error"]).toMatchObject({ code: "invalid", retryable: false })
      expect(answer["error"].message).toMatch(names)
      expect((await client.request("ping"))["ok"]).toBeDefined()
    })
  }

  it("answers an unknown op, also one that objects have by nature", async () => {
    const client = await harness.join("ann")
    for (const op of ["dance", "constructor", "__proto__", "toString", ""]) {
      expect((await client.request(op))["error"].code).toBe("unknown_op")
    }
    client.raw('{"id":900,"op":7}')
    expect((await client.answer(900))["error"].code).toBe("unknown_op")
  })

  it("leaves the server's objects alone whatever a frame names its fields", async () => {
    const client = await harness.join("ann")
    client.raw(`{"id":901,"op":"ping","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}`)
    await client.answer(901)
    expect(Reflect.get({}, "polluted")).toBeUndefined()
  })

  it("hands an id from next year to the owner, who refuses it with the server's time (†30)", async () => {
    const client = await harness.join("ann")
    const answer = await client.request("send", send({ cid: cid(Date.now() + 365 * 24 * 3_600_000) }))
    expect(answer["error"]).toMatchObject({ code: "id_ahead", retryable: false })
    expect(Math.abs(answer["error"].server_time - Date.now())).toBeLessThan(60_000)
  })

  it("refuses a read past the head, and moves no cursor", async () => {
    const client = await harness.join("ann")
    const answer = await client.request("read", { channel: "team:a", seq: 1_000_000 })
    expect(answer["error"].code).toBe("invalid")
    expect(harness.owners.session("ann").cursors.get("team:a")?.seq ?? 0).toBeLessThan(1_000_000)
  })
})

describe("tokens", () => {
  const refused = async (token: string) => {
    const client = await harness.open()
    client.post("hello", { token, device: "d" })
    return client.whenClosed()
  }
  const now = () => Math.floor(Date.now() / 1_000)
  const claims = (token: UnsecuredJWT | SignJWT) =>
    token
      .setSubject("ann")
      .setIssuedAt(now())
      .setExpirationTime(now() + 600)

  it("refuses one that is none, unsigned, of a foreign key, or signed with a public key as a secret", async () => {
    const { privateKey, publicKey } = await generateKeyPair("EdDSA", { extractable: true })
    const { exportSPKI } = await import("jose")
    const spki = new TextEncoder().encode(await exportSPKI(publicKey))
    const unsigned = new UnsecuredJWT({})
      .setSubject("ann")
      .setIssuedAt(now())
      .setExpirationTime(now() + 600)
      .encode()
    const tokens = [
      "nonsense",
      unsigned,
      await (claims(new SignJWT({})) as SignJWT).setProtectedHeader({ alg: "EdDSA" }).sign(privateKey), // claims gives back what it got
      await (claims(new SignJWT({})) as SignJWT).setProtectedHeader({ alg: "HS256" }).sign(spki) // claims gives back what it got
    ]
    for (const token of tokens) expect((await refused(token)).code).toBe(closeTable.unauthenticated.code)
  })

  it("refuses one without an end, without a good subject, and one that is not valid yet", async () => {
    const { readFile } = await import("node:fs/promises")
    const { join } = await import("node:path")
    const secret = Buffer.from((await readFile(join(harness.data, "development.key"), "utf8")).trim(), "hex")
    const sign = (token: SignJWT) => token.setProtectedHeader({ alg: "HS256" }).sign(secret)
    const tokens = [
      await sign(new SignJWT({}).setSubject("ann").setIssuedAt(now())),
      await sign(new SignJWT({}).setIssuedAt(now()).setExpirationTime(now() + 600)),
      await sign(
        new SignJWT({})
          .setSubject("../etc")
          .setIssuedAt(now())
          .setExpirationTime(now() + 600)
      ),
      await sign(
        new SignJWT({})
          .setSubject("ann")
          .setNotBefore(now() + 600)
          .setExpirationTime(now() + 1_200)
      )
    ]
    for (const token of tokens) expect((await refused(token)).code).toBe(closeTable.unauthenticated.code)
    const expired = await sign(
      new SignJWT({})
        .setSubject("ann")
        .setIssuedAt(now() - 600)
        .setExpirationTime(now() - 300)
    )
    expect((await refused(expired)).code).toBe(closeTable.token_expired.code)
  })

  it("closes a live connection when its token ends, unless a newer one came", async () => {
    const ending = await harness.open()
    await ending.request("hello", { token: await harness.token("ann", 3), device: "d1" })
    const renewed = await harness.open()
    await renewed.request("hello", { token: await harness.token("ann", 3), device: "d2" })
    const again = await renewed.request("hello", { token: await harness.token("ann", 600), device: "d2" })
    expect(again["ok"].expires_at).toBeGreaterThan(Date.now() + 500_000)
    expect((await ending.whenClosed()).code).toBe(closeTable.token_expired.code)
    expect((await renewed.request("ping"))["ok"]).toBeDefined()
  })

  it("keeps a connection's user and device whatever a second hello says", async () => {
    const client = await harness.hello("ann", "d1")
    expect((await client.request("hello", { token: await harness.token("bob"), device: "d1" }))["error"].code).toBe(
      "forbidden"
    )
    expect((await client.request("hello", { token: await harness.token("ann"), device: "d9" }))["error"].code).toBe(
      "forbidden"
    )
  })

  it("closes connections whose tokens were revoked, and takes no such token again", async () => {
    const client = await harness.hello("rev")
    const token = await harness.token("rev")
    harness.owners.personal("rev", "revoked", { before: now() + 1, cid: "" })
    expect((await client.whenClosed()).code).toBe(closeTable.revoked.code)
    expect((await refused(token)).code).toBe(closeTable.revoked.code)
  })
})

describe("before hello", () => {
  it("closes who says nothing in time, or something else first", async () => {
    const silent = await harness.open()
    const early = await harness.open()
    early.post("ping")
    expect((await early.whenClosed()).code).toBe(closeTable.malformed.code)
    expect((await silent.whenClosed()).code).toBe(closeTable.hello_timeout.code)
  })

  it("cuts who sends his request byte by byte for too long", async () => {
    const socket = connect(harness.port, "127.0.0.1")
    let closed = false
    socket.on("close", () => (closed = true))
    socket.on("error", () => {})
    const head = `GET /v1/socket HTTP/1.1\r\nHost: x\r\n${"X-Slow: y\r\n".repeat(1_000)}`
    let at = 0
    const drip = setInterval(() => socket.writable && socket.write(head[at++] ?? ""), 50)
    await until(() => closed)
    clearInterval(drip)
  }, 15_000)

  it("bounds the silent TCP connections of one address, and serves others meanwhile", async () => {
    const bounded = await EdgeHarness.start({ socketsPerAddressMax: 100, eventLoopLagMs: 60_000 })
    const sockets = Array.from({ length: 1_000 }, () => connect(bounded.port, "127.0.0.1").on("error", () => {}))
    await until(() => bounded.edge.rawSockets.refused === 900)
    const other = await bounded.open({ localAddress: "127.0.0.2" })
    expect((await other.request("hello", { token: await bounded.token("ann"), device: "d" }))["ok"]).toBeDefined()
    for (const socket of sockets) socket.destroy()
    await until(() => bounded.edge.rawSockets.countOf("127.0.0.1") === 0)
    // One that became a WebSocket counts no longer as a raw one.
    expect(bounded.edge.rawSockets.countOf("127.0.0.2")).toBe(0)
    await bounded.stop()
  }, 15_000)

  it("refuses evil origins, a missing subprotocol and other paths with a status", async () => {
    const evil = await TestClient.open(harness.url, { origin: "https://evil.example.com" })
    expect(evil.refusedWith).toBe(403)
    const good = await harness.open({ origin: "https://chat.example.com" })
    expect(good.refusedWith).toBeUndefined()
    const bare = await TestClient.open(harness.url, { protocols: [] })
    expect(bare.refusedWith).toBe(400)
    const elsewhere = await TestClient.open(harness.url.replace("/v1/socket", "/v2/socket"))
    expect(elsewhere.refusedWith).toBe(404)
  })

  it("survives 1,000 silent sockets of one address: refuses most, frees the rest, and answers others meanwhile", async () => {
    const begun = performance.now()
    const silent = Array.from({ length: 1_000 }, () => new TestClient(harness.url))
    const done = (client: TestClient) =>
      client.refusedWith !== undefined || client.socket.readyState === 1 || client.closed !== undefined
    let most = 0
    await until(() => {
      most = Math.max(most, harness.edge.upgrade.unauthenticatedOf("127.0.0.1"))
      return silent.every(done)
    })
    expect(most).toBeLessThanOrEqual(50)
    // Each of the 50 places is freed after a second at the soonest, and given again on a machine that is so slow.
    const places = 50 * (1 + Math.floor((performance.now() - begun) / 1_000))
    expect(silent.filter((client) => client.refusedWith === 429).length).toBeGreaterThanOrEqual(1_000 - places)
    const other = await TestClient.open(harness.url, { localAddress: "127.0.0.2" })
    const hello = await other.request("hello", { token: await harness.token("ann"), device: "d" })
    expect(hello["ok"]).toBeDefined()
    await until(() => silent.every((client) => client.closed !== undefined))
    other.socket.terminate()
    await until(() => harness.edge.upgrade.unauthenticatedOf("127.0.0.1") === 0)
  }, 20_000)
})
