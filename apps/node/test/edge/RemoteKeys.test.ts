/** A JWKS that a login service publishes, over a real HTTP server: fetched, rotated, away, and hostile. */
import { createServer, type Server, type ServerResponse } from "node:http"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from "jose"
import { Authentication, type VerifyResult } from "../../src/edge/Authentication.ts"
import { answerBytesMax, believedMsMax, cooldownMs, refreshAfterMs, remoteKeys } from "../../src/edge/RemoteKeys.ts"
import { NodeConfig } from "../../src/NodeConfig.ts"
import { EdgeHarness, until } from "./EdgeHarness.ts"

/** A login service: what it publishes can be changed, and it can be taken away. */
class LoginService {
  published: Array<JWK> = []
  asked = 0
  answer: (response: ServerResponse) => void = (response) => response.end(JSON.stringify({ keys: this.published }))
  #server: Server | undefined
  #port = 0

  async open(): Promise<void> {
    const server = createServer((_request, response) => {
      this.asked++
      this.answer(response)
    })
    this.#server = server
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve))
    const address = server.address()
    if (typeof address === "object" && address !== null) this.#port = address.port
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/keys`
  }

  async close(): Promise<void> {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }

  async publish(kid: string): Promise<CryptoKey> {
    const { privateKey, publicKey } = await generateKeyPair("EdDSA", { extractable: true })
    this.published.push({ ...(await exportJWK(publicKey)), kid, alg: "EdDSA" })
    return privateKey
  }
}

let folder: string
let login: LoginService
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "parley-keys-"))
  login = new LoginService()
  await login.open()
})
afterEach(async () => {
  await login.close()
  await rm(folder, { recursive: true, force: true })
})

const sign = (key: CryptoKey, kid: string, user = "ann") =>
  new SignJWT({})
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime("10m")
    .setProtectedHeader({ alg: "EdDSA", kid })
    .sign(key)

const authentication = () =>
  Effect.runPromise(
    Effect.provide(
      Effect.map(Authentication, (service) => service),
      Authentication.layer.pipe(
        Layer.provide(NodeConfig.layerTest({ data: folder, mode: "production", authJwks: login.url }))
      )
    )
  )
const verify = (service: Authentication["Service"], token: string) =>
  new Promise<VerifyResult>((resolve) => service.verify(token, resolve))
const ok = { ok: { user: "ann" } }
const refused = { failure: { code: "unauthenticated" } }
const unavailable = { failure: { code: "unavailable" } }

describe("keys over HTTP", () => {
  it("are fetched once for any number of tokens", async () => {
    const key = await login.publish("k1")
    const service = await authentication()
    expect(login.asked).toBe(0)
    const tokens = await Promise.all(Array.from({ length: 50 }, (_, i) => sign(key, "k1", `user${i}`)))
    const results = await Promise.all(tokens.map((token) => verify(service, token)))
    expect(results.every((result) => "ok" in result)).toBe(true)
    expect(login.asked).toBe(1)
  })

  it("let a connection in, and close it retryably while they can't be fetched, not as a bad token", async () => {
    const key = await login.publish("k1")
    const harness = await EdgeHarness.start({ authJwks: login.url })
    await login.close()
    const early = await harness.open()
    const answer = await early.request("hello", { token: await sign(key, "k1"), device: "d" })
    expect(answer["error"]).toMatchObject({ code: "unavailable", retryable: true })
    // 4000 to 4099: connect again with backoff. A code of 4200 to 4299 would make it throw a good token away.
    expect(Math.floor((await early.whenClosed()).code / 100)).toBe(40)
    // Tokens that other keys vouch for are not concerned.
    expect(await harness.hello("bob")).toBeDefined()
    await harness.stop()

    await login.open()
    const again = await EdgeHarness.start({ authJwks: login.url })
    const late = await again.open()
    const hello = await late.request("hello", { token: await sign(key, "k1"), device: "d" })
    expect(hello["ok"].user).toBe("ann")
    const forged = await again.open()
    forged.post("hello", { token: await sign((await generateKeyPair("EdDSA")).privateKey, "k1"), device: "d" })
    expect((await forged.whenClosed()).code).toBe(4200)
    await again.stop()
  })
})

/** A verifier's view of the keys, on a clock of its own. */
const keysAt = () => {
  const seen = { now: 1_000_000_000_000, changes: 0, failures: 0 }
  const keys = remoteKeys({
    url: new URL(login.url),
    onChange: () => seen.changes++,
    onFailure: () => seen.failures++,
    now: () => seen.now
  })
  const find = async (kid: string): Promise<string> => {
    try {
      // The header alone decides which key is meant.
      await keys({ alg: "EdDSA", kid }, { payload: "", signature: "" })
      return "found"
    } catch (error) {
      return error instanceof Error ? error.name : String(error)
    }
  }
  return { seen, find }
}

describe("keys that are rotated", () => {
  it("are fetched again for an id that is new, and what the old ones vouched for is forgotten", async () => {
    const old = await login.publish("k1")
    const service = await authentication()
    const token = await sign(old, "k1")
    expect(await verify(service, token)).toMatchObject(ok)
    login.published = []
    const next = await login.publish("k2")
    const realNow = Date.now
    try {
      // jose asks the clock too.
      Date.now = () => realNow() + cooldownMs
      expect(await verify(service, await sign(next, "k2"))).toMatchObject(ok)
      expect(await verify(service, token)).toEqual(refused)
    } finally {
      Date.now = realNow
    }
    expect(login.asked).toBe(2)
  })

  it("are fetched in the background once they are old, while tokens of known keys pass", async () => {
    await login.publish("k1")
    const { find, seen } = keysAt()
    expect(await find("k1")).toBe("found")
    seen.now += refreshAfterMs - 1
    expect(await find("k1")).toBe("found")
    expect(login.asked).toBe(1)
    seen.now += 1
    login.published = []
    await login.publish("k2")
    expect(await find("k1")).toBe("found")
    await until(() => seen.changes === 1)
    expect(await find("k2")).toBe("found")
    expect(await find("k1")).toBe("JWKSNoMatchingKey")
  })

  it("are not fetched for every unknown id that a stranger makes up", async () => {
    const key = await login.publish("k1")
    const service = await authentication()
    expect(await verify(service, await sign(key, "k1"))).toMatchObject(ok)
    const { privateKey } = await generateKeyPair("EdDSA")
    for (let i = 0; i < 20; i++) expect(await verify(service, await sign(privateKey, `x${i}`))).toEqual(refused)
    expect(login.asked).toBe(1)
  })
})

describe("a login service that is away", () => {
  it("locks nobody out whose key is known, until a day has passed", async () => {
    await login.publish("k1")
    const { find, seen } = keysAt()
    expect(await find("k1")).toBe("found")
    await login.close()
    seen.now += believedMsMax - 1
    expect(await find("k1")).toBe("found")
    await until(() => seen.failures === 1)
    seen.now += cooldownMs
    expect(await find("k1")).toBe("KeysUnavailable")
    await login.open()
    seen.now += cooldownMs
    expect(await find("k1")).toBe("found")
  })

  it("is asked no more often than the cooldown says, by however many", async () => {
    login.answer = (response) => response.writeHead(500).end()
    const { find, seen } = keysAt()
    for (let i = 0; i < 20; i++) expect(await find("k1")).toBe("KeysUnavailable")
    expect([login.asked, seen.failures]).toEqual([1, 1])
    seen.now += cooldownMs
    expect(await find("k1")).toBe("KeysUnavailable")
    expect(login.asked).toBe(2)
  })

  it.each([
    ["is no JSON", (response: ServerResponse) => response.end("<html>")],
    ["has no keys", (response: ServerResponse) => response.end('{"keys":7}')],
    ["leads elsewhere", (response: ServerResponse) => response.writeHead(302, { location: "/other" }).end()],
    [
      "has no end",
      (response: ServerResponse) => {
        const more = (): void => {
          if (!response.destroyed && response.write(" ".repeat(65_536))) setImmediate(more)
          else response.once("drain", more)
        }
        more()
      }
    ]
  ])("is answered unavailable when its answer %s, and is taken again when it is well", async (_name, answer) => {
    const well = login.answer
    const key = await login.publish("k1")
    login.answer = answer
    const service = await authentication()
    expect(await verify(service, await sign(key, "k1"))).toMatchObject(unavailable)
    login.answer = well
    const { find } = keysAt()
    expect(await find("k1")).toBe("found")
    expect(answerBytesMax).toBeLessThan(2 ** 21)
  })
})
