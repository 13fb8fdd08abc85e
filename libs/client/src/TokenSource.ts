/**
 * The token of a user: a text for ever, or a function that fetches a new one. A fetched token is kept until it is
 * refused or about to end, so that a reconnect costs the issuer nothing.
 */
import type { Environment } from "./Environment.ts"

export type TokenOption = string | (() => Promise<string>)

export class TokenUnavailable extends Error {
  override readonly name = "TokenUnavailable"
}

export class TokenSource {
  readonly #option: TokenOption
  readonly #environment: Environment
  readonly #timeoutMs: number
  #token: string | undefined
  /** When the token held has to be another, by the server's clock. */
  #renewAt = Number.POSITIVE_INFINITY

  constructor(option: TokenOption, environment: Environment, timeoutMs: number) {
    this.#option = option
    this.#environment = environment
    this.#timeoutMs = timeoutMs
  }

  get renewable(): boolean {
    return typeof this.#option === "function"
  }

  refused(): void {
    this.#token = undefined
  }

  accepted(serverNow: number, expiresAt: number): void {
    this.#renewAt = expiresAt - renewBefore(expiresAt - serverNow)
  }

  /** Rejects with TokenUnavailable. */
  async get(serverNow: number): Promise<string> {
    const option = this.#option
    if (typeof option === "string") return option
    const held = this.#token
    return held !== undefined && serverNow < this.#renewAt ? held : this.renew()
  }

  /** A new one, whatever is held. */
  async renew(): Promise<string> {
    const option = this.#option
    if (typeof option === "string") return option
    const token = await new Promise<string>((resolve, reject) => {
      const cancel = this.#environment.after(this.#timeoutMs, () =>
        reject(new TokenUnavailable("The token did not come in time."))
      )
      // A function that throws at once counts as one that rejects.
      void Promise.resolve()
        .then(option)
        .then(resolve, (error: unknown) => reject(new TokenUnavailable("There is no token.", { cause: error })))
        .finally(cancel)
    })
    this.#token = token
    this.#renewAt = Number.POSITIVE_INFINITY
    return token
  }
}

const renewMsMax = 60_000

/** How long before its end a token is renewed: a minute, or a fifth of a life that is shorter. */
export const renewBefore = (lifeMs: number): number => Math.min(renewMsMax, Math.max(lifeMs, 0) / 5)
