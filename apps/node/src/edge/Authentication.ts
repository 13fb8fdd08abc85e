/**
 * Who somebody is: tokens (JWT) of users, API keys of servers, and in development mode tokens for whoever asks. A
 * verified token is remembered until it ends, by its hash, because checking a signature costs hundreds of microseconds
 * and ten thousand clients may come back at once.
 */
import { createHash, hash, timingSafeEqual } from "node:crypto"
import { Context, Effect, Layer } from "effect"
import { errors, type JWTPayload, jwtVerify, type JWTVerifyOptions, SignJWT } from "jose"
import type { ApiFailure } from "@parley/protocol/ApiError"
import { UserId, userIdPattern } from "@parley/protocol/Ids"
import { NodeConfig } from "../NodeConfig.ts"
import { KeysUnavailable } from "./RemoteKeys.ts"
import { loadOperatorKey, loadTokenKeys, type TokenKey, type TokenKeyInvalid } from "./TokenKeys.ts"

/** Clocks of token issuers may differ from ours by this. */
export const clockToleranceSeconds = 5
/** Verified tokens remembered. */
export const verifiedTokensMax = 50_000
/** Life of a development token unless asked otherwise. */
export const developmentTtlSeconds = 24 * 3_600

export interface Verified {
  readonly user: UserId
  /** Seconds since 1970; 0 where the token does not say: any revocation voids it. */
  readonly issuedAt: number
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}
export type VerifyResult = { readonly ok: Verified } | { readonly failure: ApiFailure }

export interface Minted {
  readonly token: string
  readonly expiresAt: number
}

export class Authentication extends Context.Service<
  Authentication,
  {
    /** Calls back once: at once for a token that was verified before, otherwise later. */
    verify(token: string, done: (result: VerifyResult) => void): void
    /** Whether this is one of the deployment's API keys. */
    isApiKey(presented: string): boolean
    /** Null outside of development mode. */
    readonly mint: ((user: string, ttlSeconds: number) => Effect.Effect<Minted>) | null
  }
>()("@parley/node/Authentication") {
  static readonly layer: Layer.Layer<Authentication, TokenKeyInvalid, NodeConfig> = Layer.effect(
    Authentication,
    Effect.gen(function* () {
      const settings = yield* NodeConfig
      const { keys, mintingSecret } = yield* loadTokenKeys(settings, () => verifier.forget())
      const verifier = new TokenVerifier(keys, {
        clockTolerance: clockToleranceSeconds,
        requiredClaims: ["sub", "exp"],
        ...(settings.authIssuer === "" ? {} : { issuer: settings.authIssuer }),
        ...(settings.authAudience === "" ? {} : { audience: settings.authAudience })
      })
      const operatorKey = yield* loadOperatorKey(settings.data)
      const hashes = settings.apiKeyHashes.map((digest) => Buffer.from(digest, "hex"))
      hashes.push(createHash("sha256").update(operatorKey).digest())
      return Authentication.of({
        verify: (token, done) => verifier.verify(token, done),
        isApiKey: (presented) => matchesAny(hashes, presented),
        mint:
          mintingSecret === undefined
            ? null
            : (user, ttlSeconds) => mint(mintingSecret, user, ttlSeconds, settings.authIssuer, settings.authAudience)
      })
    })
  )
}

/** Looks at every hash, whatever the first ones say, so that time tells nothing. */
const matchesAny = (hashes: ReadonlyArray<Buffer>, presented: string): boolean => {
  const digest = createHash("sha256").update(presented).digest()
  let found = false
  for (const candidate of hashes) found = timingSafeEqual(candidate, digest) || found
  return found
}

const mint = (secret: Uint8Array, user: string, ttlSeconds: number, issuer: string, audience: string) =>
  Effect.promise(async () => {
    const now = Math.floor(Date.now() / 1_000)
    const expires = now + ttlSeconds
    const token = new SignJWT({})
      .setProtectedHeader({ alg: "HS256" })
      .setSubject(user)
      .setIssuedAt(now)
      .setExpirationTime(expires)
    if (issuer !== "") token.setIssuer(issuer)
    if (audience !== "") token.setAudience(audience)
    return { token: await token.sign(secret), expiresAt: expires * 1_000 }
  })

const unauthenticated: VerifyResult = { failure: { code: "unauthenticated" } }
const expired: VerifyResult = { failure: { code: "token_expired" } }
const unavailable: VerifyResult = {
  failure: { code: "unavailable", detail: "the keys of tokens can't be fetched now" }
}

export class TokenVerifier {
  readonly #keys: ReadonlyArray<TokenKey>
  readonly #options: JWTVerifyOptions
  readonly #verified = new Map<string, Verified>()
  /** Goes up when everything is forgotten. */
  #age = 0

  constructor(keys: ReadonlyArray<TokenKey>, options: JWTVerifyOptions) {
    this.#keys = keys
    this.#options = options
  }

  get remembered(): number {
    return this.#verified.size
  }

  /** Every token is checked again when it comes again. */
  forget(): void {
    this.#age++
    this.#verified.clear()
  }

  verify(token: string, done: (result: VerifyResult) => void): void {
    const key = hash("sha256", token, "base64")
    const known = this.#verified.get(key)
    if (known !== undefined) {
      if (known.expiresAt > Date.now()) return done({ ok: known })
      this.#verified.delete(key)
      return done(expired)
    }
    const age = this.#age
    void this.#check(token).then((result) => {
      // Unless it was looked at with keys that are gone since.
      if ("ok" in result && age === this.#age) this.#remember(key, result.ok)
      done(result)
    })
  }

  #remember(key: string, verified: Verified): void {
    this.#verified.set(key, verified)
    if (this.#verified.size <= verifiedTokensMax) return
    const oldest = this.#verified.keys().next()
    if (oldest.done !== true) this.#verified.delete(oldest.value)
  }

  /** Tries the keys in turn; never rejects. */
  async #check(token: string): Promise<VerifyResult> {
    let result = unauthenticated
    for (const { algorithms, key } of this.#keys) {
      try {
        const { payload } = await jwtVerify(token, key, { ...this.#options, algorithms: [...algorithms] })
        return verifiedOf(payload)
      } catch (error) {
        // Its signature was good and its time is over: the client gets a new one.
        if (error instanceof errors.JWTExpired) result = expired
        else if (error instanceof KeysUnavailable) result = unavailable
      }
    }
    return result
  }
}

const verifiedOf = ({ exp, iat, sub }: JWTPayload): VerifyResult => {
  if (sub === undefined || exp === undefined || !userIdPattern.test(sub)) return unauthenticated
  return { ok: { user: UserId.make(sub), issuedAt: iat ?? 0, expiresAt: exp * 1_000 } }
}
