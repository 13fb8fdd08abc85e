/** How a command over a cluster waits: by looking again and again for a bounded time. */
import { setTimeout as delay } from "node:timers/promises"
import { type ClusterApi, ClusterApiError, type Status } from "./ClusterApi.ts"

/** It did not become so in time. */
export class TooLong extends Error {}

export interface Pace {
  readonly now: () => number
  readonly sleep: (ms: number) => Promise<void>
}
export const systemPace: Pace = { now: () => performance.now(), sleep: (ms) => delay(ms) }

/** Between two looks. */
export const lookMs = 250

/** A node that can't say now is asked again for so long: one may be starting, or be without the log's leader. */
const patienceMs = 20_000

/** The same, past answers that fail for now. */
export const patient = (api: ClusterApi, pace: Pace): ClusterApi => {
  const again = async <A>(ask: () => Promise<A>): Promise<A> => {
    const end = pace.now() + patienceMs
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        if (!(error instanceof ClusterApiError && error.passing) || pace.now() >= end) throw error
        await pace.sleep(lookMs)
      }
    }
  }
  return { status: () => again(api.status), wish: (method, path) => again(() => api.wish(method, path)) }
}

/** Looks until `done` says so; `done` may wish for things meanwhile. */
export const until = async (
  api: ClusterApi,
  pace: Pace,
  msMax: number,
  what: string,
  done: (status: Status) => boolean | Promise<boolean>
): Promise<void> => {
  const end = pace.now() + msMax
  while (!(await done(await api.status()))) {
    if (pace.now() >= end) throw new TooLong(`${what} is not done after ${Math.round(msMax / 1_000)} s`)
    await pace.sleep(lookMs)
  }
}
