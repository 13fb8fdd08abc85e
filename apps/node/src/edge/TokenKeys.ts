/**
 * The keys that tokens are checked with, each with its own fixed list of algorithms: what a token's header says picks
 * among them and never widens them, so `none`, or HS256 with a public key as the secret, can't pass.
 */
import { randomBytes } from "node:crypto"
import { mkdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { Effect, Redacted, Schema } from "effect"
import { createLocalJWKSet, type CryptoKey, importSPKI, type JSONWebKeySet, type JWTVerifyGetKey } from "jose"
import { isAddress, type NodeSettings } from "../NodeConfig.ts"
import { isGiven } from "../Setting.ts"
import { keptFile } from "./KeptFile.ts"
import { remoteKeys } from "./RemoteKeys.ts"

/** A configured key can't be used. */
export class TokenKeyInvalid extends Schema.TaggedError<TokenKeyInvalid>()("TokenKeyInvalid", {
  setting: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `${this.setting} names no usable key: ${String(this.cause)}`
  }
}

export interface TokenKey {
  readonly algorithms: ReadonlyArray<string>
  readonly key: Uint8Array | CryptoKey | JWTVerifyGetKey
}

export const secretAlgorithms = ["HS256"]
const publicKeyAlgorithms = ["EdDSA", "Ed25519"]
/** Asymmetric only: a JWKS that holds an `oct` key gives nobody a way in. */
const jwksAlgorithms = ["EdDSA", "Ed25519", "ES256", "ES384", "RS256", "PS256"]

export interface TokenKeys {
  readonly keys: ReadonlyArray<TokenKey>
  /** Development only: what tokens are minted with. */
  readonly mintingSecret: Uint8Array | undefined
}

const attempt = <A>(setting: string, run: () => Promise<A>) =>
  Effect.tryPromise({ try: run, catch: (cause) => new TokenKeyInvalid({ setting, cause }) })

/** `onChange`: keys were replaced while running, so what they vouched for is to be looked at again. */
export const loadTokenKeys = Effect.fn("loadTokenKeys")(function* (settings: NodeSettings, onChange: () => void) {
  const keys: Array<TokenKey> = []
  if (isGiven(settings.authSecret)) {
    keys.push({ algorithms: secretAlgorithms, key: new TextEncoder().encode(Redacted.value(settings.authSecret)) })
  }
  if (settings.authPublicKey !== "") {
    const key = yield* attempt("--auth-public-key", async () =>
      importSPKI(await readFile(settings.authPublicKey, "utf8"), "EdDSA")
    )
    keys.push({ algorithms: publicKeyAlgorithms, key })
  }
  if (settings.authJwks !== "") {
    keys.push({ algorithms: jwksAlgorithms, key: yield* jwks(settings.authJwks, onChange) })
  }
  if (settings.mode !== "development") return { keys, mintingSecret: undefined } satisfies TokenKeys
  const secret = yield* attempt("--data", () => developmentSecret(settings.data))
  keys.push({ algorithms: secretAlgorithms, key: secret })
  return { keys, mintingSecret: secret } satisfies TokenKeys
})

const jwks = Effect.fnUntraced(function* (source: string, onChange: () => void) {
  if (!isAddress(source)) {
    // createLocalJWKSet checks the shape itself, and throws.
    return yield* attempt("--auth-jwks", async () =>
      createLocalJWKSet(JSON.parse(await readFile(source, "utf8")) as JSONWebKeySet)
    )
  }
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const onFailure = (cause: unknown) =>
    void run(
      Effect.logWarning("token keys not fetched, trying again later").pipe(
        Effect.annotateLogs({ cause: String(cause) })
      )
    )
  const url = yield* attempt("--auth-jwks", async () => new URL(source))
  return remoteKeys({ url, onChange, onFailure })
})

const secretBytes = 32

/** Made at the first start, so that tokens survive a restart. */
const developmentSecret = (data: string): Promise<Uint8Array> => keptSecret(data, "development.key")

/** The operator's API key: whoever may read the data directory may inspect. */
export const loadOperatorKey = (data: string) =>
  attempt("--data", async () => (await keptSecret(data, "operator.key")).toString("hex"))

const keptSecret = async (data: string, name: string): Promise<Buffer> => {
  const path = join(data, name)
  await mkdir(data, { recursive: true })
  const text = await keptFile(path, randomBytes(secretBytes).toString("hex"))
  const secret = Buffer.from(text.trim(), "hex")
  if (secret.length < secretBytes) throw new Error(`${path} is damaged; delete it to have a new one made`)
  return secret
}
