/**
 * What broken and hostile clients send, to a real server process: each gets its typed error or close code, while two
 * others go on chatting, and afterwards the process, its data and a restart are as if nothing had been.
 */
import { closeTable } from "@parley/protocol/CloseCode"
import { generateKeyPair, SignJWT, UnsecuredJWT } from "jose"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { Besieged, nowSeconds } from "./harness/Besieged.ts"
import { bystandersChannel } from "./harness/Bystanders.ts"
import { newClientId } from "./wire/ClientIds.ts"
import { RawClient } from "./wire/RawClient.ts"

let besieged: Besieged
beforeAll(async () => {
  besieged = await Besieged.start()
})
afterEach(() => besieged.unharmed())
afterAll(() => besieged.end())

describe("frames", () => {
  it.each([
    ["malformed JSON", '{"id":1,', closeTable.malformed.code],
    ["no object", "[]", closeTable.malformed.code],
    ["no id", '{"op":"ping"}', closeTable.malformed.code],
    ["an id beyond 2^53", '{"id":9007199254740993,"op":"ping"}', closeTable.malformed.code],
    ["deep nesting", `{"id":7,"op":"ping","x":${"[".repeat(20_000)}${"]".repeat(20_000)}}`, closeTable.malformed.code],
    ["nesting without an end", '{"a":'.repeat(10_000), closeTable.malformed.code],
    ["a frame that is too large", `{"id":7,"op":"ping","x":"${"x".repeat(70_000)}"}`, closeTable.too_large.code],
    ["invalid UTF-8", Buffer.from([0x7b, 0xc3, 0x28, 0x7d]), 1007]
  ])("%s closes the connection with its code", async (_name, data, code) => {
    const client = await besieged.join("eve")
    client.send(data)
    expect((await client.whenClosed()).code).toBe(code)
  })

  it("a binary frame closes the connection with its code", async () => {
    const client = await besieged.join("eve")
    client.send(Buffer.from('{"id":1,"op":"ping"}'), { binary: true })
    expect((await client.whenClosed()).code).toBe(closeTable.binary.code)
  })

  it("__proto__ and constructor are fields like others that nobody reads", async () => {
    const client = await besieged.join("eve")
    client.send('{"id":900,"op":"ping","__proto__":{"op":"send","admin":true},"constructor":{"prototype":{"x":1}}}')
    expect((await client.answer(900))["ok"].server_time).toBeGreaterThan(0)
    client.send('{"id":901,"__proto__":{"op":"ping"}}')
    expect((await client.answer(901))["error"].code).toBe("unknown_op")
    expect((await client.request("constructor"))["error"].code).toBe("unknown_op")
  })
})

const bad = (fields: object) => ({ channel: bystandersChannel, cid: newClientId(), text: "hi", ...fields })

describe("fields", () => {
  /** What it is, the op, its fields, the error's code. */
  type Case = readonly [string, string, object, string]
  const ids = ["a.b", "a*", ">", "a/b", "a\0b", "../x", " ", "", "é", "a\n", "x".repeat(65)]
  it.each<Case>([
    ["an unknown op", "dance", {}, "unknown_op"],
    ["text of another type", "send", bad({ text: 7 }), "invalid"],
    ["a list in place of a word", "send", bad({ channel: [bystandersChannel] }), "invalid"],
    ["empty text", "send", bad({ text: "" }), "invalid"],
    ["white space", "send", bad({ text: " \u00a0\n\t" }), "invalid"],
    ["NUL in text", "send", bad({ text: "a\0" }), "invalid"],
    ["a lone surrogate", "send", bad({ text: "\ud83d" }), "invalid"],
    ["a seq that is a fraction", "read", bad({ seq: 1.5 }), "invalid"],
    ["a negative seq", "edit", bad({ target: -1 }), "invalid"],
    ["a client id that is none", "send", bad({ cid: "1" }), "invalid"],
    [
      "a client id of next year",
      "send",
      bad({ channel: "group:own", cid: newClientId(Date.now() + 365 * 24 * 3_600_000) }),
      "id_ahead"
    ],
    ...ids.map(
      (id) => [`the channel ${JSON.stringify(id)}`, "send", bad({ channel: `group:${id}` }), "invalid"] as const
    ),
    ...ids.map((id) => [`the user ${JSON.stringify(id)}`, "presence_watch", { users: [id] }, "invalid"] as const)
  ])("%s: a typed error, and the connection goes on", async (_name, op, fields, code) => {
    const client = await besieged.join("eve")
    await client.request("create", { channel: "group:own", cid: newClientId(), name: "", members: [] })
    const { error } = await client.request(op, fields)
    expect(error).toMatchObject({ code, retryable: false, message: expect.stringMatching(/\w/) })
    if (code === "id_ahead") expect(Math.abs(error.server_time - Date.now())).toBeLessThan(60_000)
    expect((await client.request("ping"))["ok"]).toBeDefined()
  })

  it("a seq beyond 2^53, as it stands in the text: invalid", async () => {
    const client = await besieged.join("eve")
    for (const seq of ["9007199254740992", "1e400", "-9007199254740993"]) {
      client.send(`{"id":950,"op":"read","channel":"${bystandersChannel}","seq":${seq}}`)
      expect((await client.answer(950))["error"].code).toBe("invalid")
      client.frames.length = 0
    }
  })

  it("a device id with a meaning elsewhere: invalid, and no session", async () => {
    const client = await RawClient.open(besieged.url)
    client.post("hello", { token: await besieged.token("eve"), device: "a/../b" })
    const { code } = await client.whenClosed()
    expect(client.frames[0]?.["error"]?.code ?? code).toSatisfy((found) => found === "invalid" || found === 4301)
  })
})

describe("tokens", () => {
  const refused = async (token: string): Promise<number> => {
    const client = await RawClient.open(besieged.url)
    client.post("hello", { token, device: "d" })
    const { code } = await client.whenClosed()
    expect(client.frames.some((frame) => "ok" in frame)).toBe(false)
    return code
  }
  const good = () => ({ sub: "ana", iat: nowSeconds(), exp: nowSeconds() + 600 })

  it("that are expired, early, foreign, unsigned, or signed with the public key as a secret are refused", async () => {
    expect(await refused(await besieged.sign({ ...good(), exp: nowSeconds() - 60 }))).toBe(
      closeTable.token_expired.code
    )
    expect(await refused(await besieged.sign({ ...good(), nbf: nowSeconds() + 600 }))).toBe(
      closeTable.unauthenticated.code
    )
    const { privateKey } = await generateKeyPair("EdDSA")
    const foreign = new SignJWT(good()).setProtectedHeader({ alg: "EdDSA" }).sign(privateKey)
    expect(await refused(await foreign)).toBe(closeTable.unauthenticated.code)
    expect(await refused(new UnsecuredJWT(good()).encode())).toBe(closeTable.unauthenticated.code)
    const { spki } = besieged
    for (const secret of [spki, spki.trim(), spki.replaceAll(/-----[A-Z ]+-----|\n/g, "")]) {
      const confused = new SignJWT(good()).setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(secret))
      expect(await refused(await confused)).toBe(closeTable.unauthenticated.code)
    }
  })

  it("can't be had for nothing in production", async () => {
    const response = await fetch(`${besieged.url}/v1/tokens`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: '{"user":"ana"}'
    })
    // The shape of all errors.
    expect([response.status, ((await response.json()) as { error: { code: string } }).error.code]).toEqual([
      404,
      "not_found"
    ]) // the shape of all errors
  })

  it("don't help an evil origin", async () => {
    const evil = await RawClient.open(besieged.url, { origin: "https://evil.example.com" })
    expect(evil.refusedWith).toBe(403)
    const own = await RawClient.open(besieged.url, { origin: "https://chat.example.com" })
    expect(await own.join(await besieged.token("eve"), "d")).toBeDefined()
  })
})

describe("what is not one's own", () => {
  it("ops on a channel one is not in are answered as those on none", async () => {
    const client = await besieged.join("eve")
    const at = (channel: string): ReadonlyArray<readonly [string, object]> => [
      ["watch", { channel }],
      ["send", { channel, cid: newClientId(), text: "hi" }],
      ["edit", { channel, cid: newClientId(), target: 2, text: "hi" }],
      ["delete", { channel, cid: newClientId(), target: 2 }],
      ["read", { channel, seq: 1 }],
      ["read", { channel, seq: 1_000_000 }],
      ["delivered", { channel, seq: 1 }],
      ["mark_unread", { channel, cid: newClientId(), seq: 1 }],
      ["update", { channel, cid: newClientId(), name: "x" }],
      ["join", { channel, cid: newClientId() }],
      ["leave", { channel, cid: newClientId() }],
      ["add_members", { channel, cid: newClientId(), members: ["eve"] }],
      ["remove_members", { channel, cid: newClientId(), members: ["ana"] }],
      ["history", { channel }],
      ["typing", { channel, on: true }]
    ]
    const there = at(bystandersChannel)
    for (const [i, [op, fields]] of at("group:nowhere").entries()) {
      const none = await client.request(op, fields)
      const other = await client.request(op, there[i]?.[1])
      expect([op, { ...other, re: 0 }]).toEqual([op, { ...none, re: 0 }])
      if (op !== "typing") expect([op, other["error"]?.code]).toEqual([op, "not_found"])
    }
    const { channels, lost } = await client.ok("sync", {
      channels: [
        [bystandersChannel, 1, 1],
        ["group:nowhere", 1, 1]
      ],
      session: { generation: 0, seq: 0 }
    })
    expect(lost).toEqual([
      { channel: bystandersChannel, seq: 0 },
      { channel: "group:nowhere", seq: 0 }
    ])
    expect(JSON.stringify(channels)).not.toContain(bystandersChannel)
    const paths = ["", "/members", "/messages"]
    for (const path of paths) {
      const [none, other] = await Promise.all(
        ["group:nowhere", bystandersChannel].map(async (channel) => {
          const response = await fetch(`${besieged.url}/v1/channels/${channel}${path}`, {
            headers: { authorization: `Bearer ${await besieged.token("eve")}` }
          })
          return [response.status, await response.text()]
        })
      )
      expect(other).toEqual(none)
      expect(other?.[0]).toBe(404)
    }
  })

  it("another's message can't be edited, nor deleted by a member", async () => {
    const [ada, mallory] = [await besieged.join("ada"), await besieged.join("mallory")]
    const channel = "group:others"
    await ada.ok("create", { channel, cid: newClientId(), name: "", members: ["mallory"] })
    const { seq } = await ada.ok("send", { channel, cid: newClientId(), text: "mine" })
    for (const [op, fields] of [
      ["edit", { text: "yours" }],
      ["delete", {}]
    ] as const) {
      const answer = await mallory.request(op, { channel, cid: newClientId(), target: seq, ...fields })
      expect(answer["error"].code).toBe("forbidden")
    }
    const { events } = await ada.ok("history", { channel })
    expect(events).toMatchObject([{ text: "mine", by: "ada" }])
    expect([events[0].edited, events[0].deleted]).toEqual([undefined, undefined])
  })

  it("positions past the head move nothing, put nothing out of service, and are told to reload", async () => {
    const client = await besieged.join("paul")
    const channel = "group:past"
    await client.ok("create", { channel, cid: newClientId(), name: "", members: [] })
    await client.pushed("the channel", (frame) => frame["ev"] === "channel")
    const far = 2 ** 53 - 1
    expect((await client.request("read", { channel, seq: far }))["error"].code).toBe("invalid")
    expect((await client.request("mark_unread", { channel, seq: far, cid: newClientId() }))["error"].code).toBe(
      "invalid"
    )
    await client.request("delivered", { channel, seq: far })
    await client.ok("send", { channel, cid: newClientId(), text: "hi", seen: far })
    const { channels, reload, session } = await client.ok("sync", {
      channels: [[channel, 1, far]],
      session: { generation: 1, seq: far }
    })
    expect(channels).toMatchObject([{ reload: true, to: 2, head: { seq: 2, cursor: { generation: 0 } } }])
    expect(channels[0].head.cursor.seq).toBeLessThanOrEqual(2)
    expect([reload, session.seq]).toEqual([true, 1])
    for (const receipt of channels[0].head.receipts ?? []) expect(receipt.delivered).toBeLessThanOrEqual(2)
    expect((await client.ok("send", { channel, cid: newClientId(), text: "on" }))["seq"]).toBe(3)
  })
})
