/**
 * What the client takes from the platform: clocks, timers, randomness and the WebSocket. Browsers and Node 22 and later
 * have all of it as globals; tests bring their own.
 */
export type Cancel = () => void

/** The part of a WebSocket that the client uses. */
export interface ClientSocket {
  send(text: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: "open" | "error", listener: () => void): void
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void
  addEventListener(type: "close", listener: (event: { readonly code: number; readonly reason: string }) => void): void
}

export interface Environment {
  /** Wall clock, milliseconds since 1970: for ids and for display. */
  now(): number
  /** Milliseconds that never go back: for waits. */
  monotonic(): number
  after(ms: number, run: () => void): Cancel
  /** From 0 to 1, 1 excluded. */
  random(): number
  randomBytes(count: number): Uint8Array
  openSocket(url: string, subprotocol: string): ClientSocket
  /** The JSON at an address; rejects for any status but 2xx, and after the time. Absent: the client does not look for edges. */
  readonly fetchJson?: (url: string, timeoutMs: number) => Promise<unknown>
}

/** Timers of browsers and Node hold 31 bits; a longer wait would fire at once. */
const timerMsMax = 2_147_483_647

export const platformEnvironment: Environment = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(Math.max(ms, 0), timerMsMax))
    return () => clearTimeout(timer)
  },
  random: () => Math.random(),
  randomBytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  openSocket: (url, subprotocol) => new WebSocket(url, subprotocol),
  fetchJson: async (url, timeoutMs) => {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })
    if (!response.ok) throw new Error(`${url} answered ${response.status}`)
    return response.json()
  }
}
