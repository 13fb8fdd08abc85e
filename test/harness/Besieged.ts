/**
 * A server in production mode that strangers misbehave towards while two others chat on it. At the end its process, its
 * log of what went wrong, its data and a restart have to be as if nothing had been.
 */
import { writeFile } from "node:fs/promises"
import { exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from "jose"
import { expect } from "vitest"
import { RawClient } from "../wire/RawClient.ts"
import { Bystanders, bystandersChannel } from "./Bystanders.ts"
import { Folder } from "./Folder.ts"
import { Server } from "./Server.ts"

export const nowSeconds = () => Math.floor(Date.now() / 1_000)

export class Besieged {
  readonly #server: Server
  readonly #folder: Folder
  readonly #bystanders: Bystanders
  readonly url: string
  /** The public key as anybody may have it. */
  readonly spki: string
  readonly sign: (claims: JWTPayload) => Promise<string>

  private constructor(
    folder: Folder,
    server: Server,
    bystanders: Bystanders,
    url: string,
    spki: string,
    sign: (claims: JWTPayload) => Promise<string>
  ) {
    this.#folder = folder
    this.#server = server
    this.#bystanders = bystanders
    this.url = url
    this.spki = spki
    this.sign = sign
  }

  static async start(): Promise<Besieged> {
    const folder = await Folder.make()
    const { privateKey, publicKey } = await generateKeyPair("EdDSA", { extractable: true })
    const spki = await exportSPKI(publicKey)
    await writeFile(folder.in("key.pem"), spki)
    const sign = (claims: JWTPayload) => new SignJWT(claims).setProtectedHeader({ alg: "EdDSA" }).sign(privateKey)
    const server = await Server.start({ data: folder.in("data"), environment: environment(folder) })
    const url = server.url ?? ""
    const bystanders = await Bystanders.start(url, (user) => sign(claimsOf(user)))
    return new Besieged(folder, server, bystanders, url, spki, sign)
  }

  token(user: string): Promise<string> {
    return this.sign(claimsOf(user))
  }

  /** A client of this user that has synced. */
  async join(user: string, device = "d"): Promise<RawClient> {
    return (await RawClient.open(this.url)).join(await this.token(user), device)
  }

  unharmed(): Promise<void> {
    return this.#bystanders.unharmed()
  }

  /** The end: a clean stop, no error in the log, and after a start every message of the bystanders. */
  async end(): Promise<void> {
    try {
      await this.#bystanders.stop()
      const { output } = this.#server
      const { code, inTime } = await this.#server.stop()
      expect([code, inTime, output]).toEqual([0, true, expect.not.stringMatching(/\b(ERROR|FATAL)\b/)])
      const again = await Server.start({ data: this.#folder.in("data"), environment: environment(this.#folder) })
      const ana = await (await RawClient.open(again.url ?? "")).join(await this.token("ana"), "desk")
      expect(await textsOf(ana, bystandersChannel)).toEqual(this.#bystanders.written)
      await again.kill()
    } finally {
      await this.#server.kill()
      await this.#folder[Symbol.asyncDispose]()
    }
  }
}

const claimsOf = (user: string): JWTPayload => ({ sub: user, iat: nowSeconds(), exp: nowSeconds() + 3_600 })

const environment = (folder: Folder): Readonly<Record<string, string>> => ({
  PARLEY_MODE: "production",
  PARLEY_AUTH_PUBLIC_KEY: folder.in("key.pem"),
  PARLEY_ORIGINS: "https://chat.example.com",
  // As they are by default, where the harness has them higher.
  PARLEY_FRAMES_PER_SECOND: "100",
  PARLEY_CONNECTS_PER_ADDRESS_PER_SECOND: "200",
  PARLEY_OUTBOUND_HARD_BYTES: "300000",
  PARLEY_DRAIN_WINDOW_MS: "0",
  PARLEY_DRAIN_DEADLINE_MS: "100"
})

/** All messages of a channel, page by page. */
const textsOf = async (client: RawClient, channel: string): Promise<ReadonlyArray<string>> => {
  const texts: Array<string> = []
  for (let page = await client.ok("history", { channel, limit: 200 }); ;) {
    texts.unshift(...page["events"].map((event: { text: string }) => event.text))
    if (page["before"] !== true) return texts
    page = await client.ok("history", { channel, limit: 200, before: page["from"] + 1 })
  }
}
