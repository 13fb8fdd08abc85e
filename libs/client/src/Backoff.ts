/**
 * How long to wait before the next attempt: full jitter, so that clients that lost the same server don't come back
 * together. A server that names a delay is obeyed: the draw comes on top of it.
 */
import { retryAfterMsDefault } from "@parley/protocol/ApiError"
import type { ClientSettings } from "./ClientSettings.ts"

type BackoffSettings = Pick<ClientSettings, "backoffBaseMs" | "backoffMaxMs" | "serverDelayMsMax">

/** A draw from `[0, min(max, base · 2^attempt))`; attempts count from 0. */
export const fullJitter = (attempt: number, baseMs: number, maxMs: number, random: number): number =>
  random * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30))

/** Milliseconds out of a close reason ("the reason holds the milliseconds to wait"); undefined if it holds none. */
export const delayInReason = (reason: string): number | undefined => {
  const digits = /^\s*(\d{1,9})/.exec(reason)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

export class Backoff {
  readonly #settings: BackoffSettings
  readonly #random: () => number
  #attempt = 0

  constructor(settings: BackoffSettings, random: () => number) {
    this.#settings = settings
    this.#random = random
  }

  get attempt(): number {
    return this.#attempt
  }

  reset(): void {
    this.#attempt = 0
  }

  /** The next wait, at least `serverDelayMs` where the server named one. */
  next(serverDelayMs = 0): number {
    const { backoffBaseMs, backoffMaxMs, serverDelayMsMax } = this.#settings
    const drawn = fullJitter(this.#attempt++, backoffBaseMs, backoffMaxMs, this.#random())
    return Math.min(Math.max(serverDelayMs, 0), serverDelayMsMax) + drawn
  }
}

/** The wait before a refused request goes again: what the server said, longer when it keeps saying so, up to half more. */
export const retryDelay = (
  attempt: number,
  retryAfterMs: number | undefined,
  maxMs: number,
  random: number
): number => {
  const asked = Math.max(retryAfterMs ?? retryAfterMsDefault, 1)
  const grown = asked * 2 ** Math.min(Math.max(attempt - 4, 0), 10)
  return Math.max(asked, Math.min(grown, maxMs)) * (1 + random / 2)
}
