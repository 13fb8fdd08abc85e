/** Keys of each kind, and what may not pass for one. */
import { createHash } from "node:crypto"
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, SignJWT } from "jose"
import { Authentication, type VerifyResult } from "../../src/edge/Authentication.ts"
import { NodeConfig, type NodeSettings } from "../../src/NodeConfig.ts"

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "parley-auth-"))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const make = (settings: Partial<NodeSettings>) =>
  Effect.runPromise(
    Effect.provide(
      Effect.map(Authentication, (authentication) => authentication),
      Authentication.layer.pipe(Layer.provide(NodeConfig.layerTest({ data: folder, mode: "production", ...settings })))
    )
  )
const verify = (authentication: Authentication["Service"], token: string) =>
  new Promise<VerifyResult>((resolve) => authentication.verify(token, resolve))

const soon = () => Math.floor(Date.now() / 1_000) + 600
const claims = () => new SignJWT({}).setSubject("ann").setIssuedAt().setExpirationTime(soon())
const ok = { ok: { user: "ann" } }
const refused = { failure: { code: "unauthenticated" } }

describe("authentication", () => {
  it("takes EdDSA tokens of the public key, and not the key itself as a secret", async () => {
    const { privateKey, publicKey } = await generateKeyPair("EdDSA", { extractable: true })
    const file = join(folder, "key.pem")
    const spki = await exportSPKI(publicKey)
    await writeFile(file, spki)
    const authentication = await make({ authPublicKey: file })
    expect(
      await verify(authentication, await claims().setProtectedHeader({ alg: "EdDSA" }).sign(privateKey))
    ).toMatchObject(ok)
    const forged = await claims().setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(spki))
    expect(await verify(authentication, forged)).toEqual(refused)
  })

  it("takes tokens of a JWKS by their key id, and none of a symmetric key in it", async () => {
    const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true })
    const other = await generateKeyPair("ES256")
    const secret = new Uint8Array(32).fill(7)
    const file = join(folder, "jwks.json")
    const keys = [
      { ...(await exportJWK(publicKey)), kid: "k1", alg: "ES256" },
      { kty: "oct", kid: "k2", alg: "HS256", k: Buffer.from(secret).toString("base64url") }
    ]
    await writeFile(file, JSON.stringify({ keys }))
    const authentication = await make({ authJwks: file })
    const sign = (alg: string, kid: string, key: CryptoKey | Uint8Array) =>
      claims().setProtectedHeader({ alg, kid }).sign(key)
    expect(await verify(authentication, await sign("ES256", "k1", privateKey))).toMatchObject(ok)
    expect(await verify(authentication, await sign("ES256", "k1", other.privateKey))).toEqual(refused)
    expect(await verify(authentication, await sign("HS256", "k2", secret))).toEqual(refused)
  })

  it("asks for issuer and audience where they are set", async () => {
    const authSecret = "s".repeat(32)
    const authentication = await make({
      authSecret: Redacted.make(authSecret),
      authIssuer: "login",
      authAudience: "chat"
    })
    const key = new TextEncoder().encode(authSecret)
    const sign = (token: SignJWT) => token.setProtectedHeader({ alg: "HS256" }).sign(key)
    expect(await verify(authentication, await sign(claims().setIssuer("login").setAudience("chat")))).toMatchObject(ok)
    expect(await verify(authentication, await sign(claims().setIssuer("login")))).toEqual(refused)
    expect(await verify(authentication, await sign(claims().setIssuer("other").setAudience("chat")))).toEqual(refused)
  })

  it("remembers a verified token until it ends, so that a reconnect costs no signature", async () => {
    const authSecret = "t".repeat(32)
    const authentication = await make({ authSecret: Redacted.make(authSecret) })
    const token = await claims().setProtectedHeader({ alg: "HS256" }).sign(new TextEncoder().encode(authSecret))
    await verify(authentication, token)
    let result: VerifyResult | undefined = undefined
    authentication.verify(token, (known) => (result = known))
    expect(result).toMatchObject(ok)
  })

  it("makes one development secret that only its owner can read, and no tokens in production", async () => {
    const development = await make({ mode: "development", data: join(folder, "dev") })
    const file = join(folder, "dev", "development.key")
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const before = await readFile(file, "utf8")
    const again = await make({ mode: "development", data: join(folder, "dev") })
    expect(await readFile(file, "utf8")).toBe(before)
    const { token } = await Effect.runPromise(development.mint!("ann", 60))
    expect(await verify(again, token)).toMatchObject(ok)
    expect((await make({ authSecret: Redacted.make("s".repeat(32)) })).mint).toBeNull()
  })

  it("knows an API key by its hash", async () => {
    const hash = (key: string) => createHash("sha256").update(key).digest("hex")
    const authentication = await make({
      authSecret: Redacted.make("s".repeat(32)),
      apiKeyHashes: [hash("one"), hash("two")]
    })
    expect(["one", "two", "three", "", hash("one")].map((key) => authentication.isApiKey(key))).toEqual([
      true,
      true,
      false,
      false,
      false
    ])
  })

  it("names the setting whose key is unusable", async () => {
    await expect(make({ authPublicKey: join(folder, "absent.pem") })).rejects.toThrow(/--auth-public-key/)
  })
})
