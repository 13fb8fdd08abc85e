/**
 * A user's token: signed with the cluster's secret where a test has it, asked of a server in development mode otherwise.
 */
import { SignJWT } from "jose"

/** Longer than any test. */
const validSeconds = 24 * 3_600

let secret: Uint8Array | undefined

/** From now on, in this process: for servers in production mode, which hand no tokens out. */
export const signTokensWith = (text: string): void => {
  secret = new TextEncoder().encode(text)
}

export const tokenFor = async (url: string, user: string): Promise<string> => {
  if (secret !== undefined) {
    const now = Math.floor(Date.now() / 1_000)
    const claims = { sub: user, iat: now, exp: now + validSeconds }
    return new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(secret)
  }
  return developmentToken(url, user)
}

/** A token of development mode, which any user gets. Throws where the server does not answer with one. */
export const developmentToken = async (url: string, user: string): Promise<string> => {
  const response = await fetch(`${url}/v1/tokens`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user }),
    signal: AbortSignal.timeout(5_000)
  })
  const body: unknown = await response.json()
  if (typeof body !== "object" || body === null || !("token" in body) || typeof body.token !== "string") {
    throw new Error(`no token: ${response.status} ${JSON.stringify(body)}`)
  }
  return body.token
}
