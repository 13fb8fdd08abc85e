/**
 * The keys of a login service that publishes them (a JWKS over http). They are fetched when they are first asked for,
 * again in the background once they are old, and at once for a key id that is new: so keys are rotated without a
 * restart. A login service that can't be reached locks nobody out whose key is known; who can't be judged without it is
 * told "unavailable", never "unauthenticated", since another token would not help him. Every fetch is bounded in time
 * and bytes, and there is one at a time and a cooldown between two, whatever tokens strangers present.
 */
import { createLocalJWKSet, createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from "jose"

/** Keys older than this are fetched again while they are used. */
export const refreshAfterMs = 10 * 60_000
/** Keys that could not be fetched again for this long are not believed any more. */
export const believedMsMax = 24 * 3_600_000
/** Between two fetches: an unknown key id within it is just unknown, a failed fetch is not repeated. */
export const cooldownMs = 5_000
const fetchMsMax = 5_000
export const answerBytesMax = 1_048_576

/** Without the login service this token can't be judged. */
export class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable"
}

export interface RemoteKeysOptions {
  readonly url: URL
  /** Other keys were published: what the old ones vouched for is to be looked at again. */
  readonly onChange: () => void
  readonly onFailure: (cause: unknown) => void
  readonly now?: () => number
}

export const remoteKeys = ({ now = Date.now, onChange, onFailure, url }: RemoteKeysOptions): JWTVerifyGetKey => {
  let published: string | undefined
  let fetchedAt = -Infinity
  let failedAt = -Infinity
  let failure: unknown

  const fetchKeys = async (address: string, options: RequestInit): Promise<Response> => {
    // Failed just now: who asks next would wait for the same.
    if (now() - failedAt < cooldownMs) throw failure
    try {
      const text = await boundedText(await fetch(address, options))
      // Throws where these are no keys; the fetched ones stay what they were.
      createLocalJWKSet(JSON.parse(text))
      fetchedAt = now()
      if (published !== undefined && published !== text) onChange()
      published = text
      return new Response(text)
    } catch (error) {
      failedAt = now()
      failure = error
      onFailure(error)
      throw error
    }
  }

  const keys = createRemoteJWKSet(url, {
    timeoutDuration: fetchMsMax,
    cooldownDuration: cooldownMs,
    // Judged below: with an age here, everybody would be refused while the service is away.
    cacheMaxAge: Infinity,
    [customFetch]: fetchKeys
  })

  return async (header, token) => {
    const age = now() - fetchedAt
    try {
      if (age >= believedMsMax) await keys.reload()
      // Whether it fails matters only once they are too old.
      else if (age >= refreshAfterMs && !keys.reloading) void keys.reload().catch(() => {})
      return await keys(header, token)
    } catch (error) {
      throw isAboutToken(error) ? error : new KeysUnavailable("the keys could not be fetched", { cause: error })
    }
  }
}

/** The keys are there, and the token names none of them, or several. */
const isAboutToken = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey ||
  error instanceof errors.JWKSMultipleMatchingKeys ||
  error instanceof errors.JOSENotSupported

const boundedText = async (response: Response): Promise<string> => {
  if (response.status !== 200) throw new Error(`the address of the keys answers ${response.status}`)
  const chunks: Array<Uint8Array> = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > answerBytesMax) throw new Error(`the keys are longer than ${answerBytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString("utf8")
}
