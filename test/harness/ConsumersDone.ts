/** Whether the member fan-out of these servers has told all that is committed, as their metrics say. */
const lagOf = /^parley_consumer_lag_seconds\{consumer="member-fanout"\} (\S+)/m
const answerMsMax = 5_000

/** A server that does not answer is not done; one that owns nothing has no consumers, and is. */
export const consumersDone = async (servers: ReadonlyArray<string>): Promise<boolean> => {
  const done = await Promise.all(servers.map(isDone))
  return !done.includes(false)
}

const isDone = async (url: string): Promise<boolean> => {
  try {
    const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(answerMsMax) })
    return response.ok && Number(lagOf.exec(await response.text())?.[1] ?? 0) === 0
  } catch {
    return false
  }
}
