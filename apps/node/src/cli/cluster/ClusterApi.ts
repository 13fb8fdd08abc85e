/** What the commands over a cluster ask of any of its nodes: the status, and wishes, which may be said again. */
import type { ClusterStatus } from "@parley/protocol/HttpApi"

export type Status = (typeof ClusterStatus)["Encoded"]
export type WishMethod = "PUT" | "DELETE"

/** Why a node did not do it. */
export class ClusterApiError extends Error {
  /** The node was not reached, or can't say now: the same again may go through. */
  readonly passing: boolean

  constructor(message: string, passing: boolean) {
    super(message)
    this.passing = passing
  }
}

export interface ClusterApi {
  readonly status: () => Promise<Status>
  readonly wish: (method: WishMethod, path: string) => Promise<void>
}

export const cordonPath = (runner: string): string => `/v1/cluster/runners/${encodeURIComponent(runner)}/cordon`
export const leavingPath = (edge: string): string => `/v1/cluster/edges/${encodeURIComponent(edge)}/leaving`
export const movePath = (shard: number, runner: string): string =>
  `/v1/cluster/shards/${shard}/runner/${encodeURIComponent(runner)}`
export const releasePath = (shard: number): string => `/v1/cluster/shards/${shard}/runner`

const answerMsMax = 10_000

export const clusterApiAt = (url: string, key: string): ClusterApi => {
  const ask = async (method: string, path: string): Promise<string> => {
    let answer: Response
    try {
      answer = await fetch(`${url}${path}`, {
        method,
        headers: { authorization: `Bearer ${key}` },
        signal: AbortSignal.timeout(answerMsMax)
      })
    } catch (error) {
      throw new ClusterApiError(`no server at ${url}: ${error instanceof Error ? error.message : String(error)}`, true)
    }
    const text = await answer.text()
    if (answer.ok) return text
    throw new ClusterApiError(`the server answered ${answer.status}: ${text}`, answer.status >= 500)
  }
  return {
    // as: the server's ClusterStatus
    status: async () => JSON.parse(await ask("GET", "/v1/cluster")) as Status,
    wish: async (method, path) => {
      await ask(method, path)
    }
  }
}
