/**
 * The platform, some times as fast: every wait of the client is shorter by the same factor, so that what takes half a
 * minute in life (a peer found dead, a backoff at its largest) happens in a test of seconds. The wall clock is the real one,
 * as ids are made of it. Randomness comes from a seed.
 */
import { type Environment, platformEnvironment } from "@parley/client/Environment"
import type { Random } from "../harness/Random.ts"

export const hurriedEnvironment = (random: Random, times: number): Environment => ({
  ...platformEnvironment,
  monotonic: () => performance.now() * times,
  after: (ms, run) => platformEnvironment.after(ms / times, run),
  random: () => random.next()
})
