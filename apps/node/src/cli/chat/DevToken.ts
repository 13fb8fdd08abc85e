/** A token for a user of a server in development mode, which gives one to whoever asks. */
const answerMsMax = 10_000

export class NoToken extends Error {
  override readonly name = "NoToken"
}

export const devToken = async (url: string, user: string): Promise<string> => {
  let answer: Response
  try {
    answer = await fetch(new URL("/v1/tokens", url), {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user }),
      signal: AbortSignal.timeout(answerMsMax)
    })
  } catch (error) {
    throw new NoToken(`There is no server at ${url}. \`npm start\` runs one.`, { cause: error })
  }
  const text = await answer.text()
  const token = tokenIn(text)
  if (token === undefined) throw new NoToken(`The server gives no token (${answer.status}): ${text.slice(0, 300)}`)
  return token
}

const tokenIn = (text: string): string | undefined => {
  try {
    const body: unknown = JSON.parse(text)
    return typeof body === "object" && body !== null && "token" in body && typeof body.token === "string"
      ? body.token
      : undefined
  } catch {
    return undefined
  }
}
