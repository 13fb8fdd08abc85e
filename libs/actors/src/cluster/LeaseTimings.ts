/**
 * The times of leases, in one place, because they follow from each other. A dead runner's shards are free to be taken
 * `leaseMs + marginMs` after its last heartbeat was seen; a runner that hears nothing from the bucket stops serving
 * `leaseMs` after it sent the last heartbeat that was answered.
 */
export interface LeaseTimings {
  /** How long a runner may serve after it sent a heartbeat that was answered. */
  readonly leaseMs: number
  /** Between two heartbeats: three may fail before the lease is over. */
  readonly beatMs: number
  /** What others wait beyond `leaseMs`: clocks that run 3 % apart. */
  readonly marginMs: number
  /** Longest wait for the bucket's answer to one write or read. A heartbeat's answer that comes later is of no use. */
  readonly requestMsMax: number
  /** How often silence is looked for. */
  readonly tickMs: number
  /** A runner that starts takes nothing before: nodes that start together share the shards out at once. */
  readonly settleMs: number
  /** Silence of the watched bucket after which it is watched anew; some runner's heartbeat comes every `beatMs`. */
  readonly watchSilenceMsMax: number
  /** Longest time for handing all shards over before the process goes; what is left then is taken after `leaseMs`. */
  readonly drainMsMax: number
  /** A runner that is silent for so long is forgotten, and its entry removed. */
  readonly forgetMs: number
}

export const leaseTimings: LeaseTimings = {
  leaseMs: 3_000,
  beatMs: 1_000,
  marginMs: 100,
  requestMsMax: 2_000,
  tickMs: 100,
  settleMs: 300,
  watchSilenceMsMax: 4_000,
  drainMsMax: 20_000,
  forgetMs: 120_000
}
