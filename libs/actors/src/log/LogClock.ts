/** The time a shard's log goes by: monotonic, and replaceable in a test. Order never comes from it. */
export interface LogClock {
  /** ms, monotonic. */
  now(): number
  /** Calls back once after `ms`; the answer takes it back. */
  after(ms: number, callback: () => void): () => void
}

export const logClock: LogClock = {
  now: () => performance.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  }
}

/** Pause after an attempt that settled nothing: doubles from the first to the last. */
export const retryMsMin = 25
export const retryMsMax = 1_000

/** Full jitter above the half: after a lost leader all shards of all nodes would otherwise retry at once. */
export const retryMs = (tries: number): number => {
  const ms = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(tries, 10))
  return ms / 2 + (Math.random() * ms) / 2
}
