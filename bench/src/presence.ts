/**
 * Presence under a drop: two nodes, users of which each is watched by some others, all of their connections lost at once and
 * made again within the grace time. Nobody was away, so watchers should hear next to nothing. Beside it the same drop
 * without a return: everybody goes offline, which is news of every user to each of his watchers. Measured: frames and bytes
 * of presence that watchers get.
 */
import { BenchCluster } from "./cluster/BenchCluster.ts"
import { type Client, connectClient, inParallel } from "./load/Clients.ts"
import { pause, report, round, say, until } from "./Report.ts"
import { sized } from "./Sizes.ts"

const nodes = 2
const users = sized(10_000, 500)
const watchers = sized(200, 20)
/** Users that one connection follows; the protocol's most is 500. */
const watchedEach = sized(500, 100)
const addresses = 8
/** Longer than the grace time of the server and the time between two of its rounds together. */
const offlineMsMax = 120_000
const settleMs = sized(5_000, 2_000)
/** Of what the drop without a return costs. */
const ratioMax = 0.05

interface Heard {
  frames: number
  bytes: number
  /** Changes of users named in them. */
  changes: number
}

export const bench = async (): Promise<void> => {
  await using bench = await BenchCluster.start({ nodes })
  const open = (prefix: string, index: number) =>
    connectClient(
      { port: bench.portOf(index % nodes), baseline: false },
      `${prefix}${index}`,
      [],
      `127.0.0.${2 + (index % addresses)}`
    )
  const connectAll = () =>
    inParallel(
      Array.from({ length: users }, (_, index) => index),
      64,
      (index) => open("p", index)
    )
  let clients: ReadonlyArray<Client> = await connectAll()
  const heard: Heard = { frames: 0, bytes: 0, changes: 0 }
  const seen = { online: 0, offline: 0 }
  const following = await inParallel(
    Array.from({ length: watchers }, (_, index) => index),
    16,
    async (index) => {
      const client = await open("w", index)
      client.onPush = (frame) => {
        if (!frame.startsWith('{"ev":"presence"')) return
        heard.frames++
        heard.bytes += frame.length
        for (const [, state] of frame.matchAll(/"state":"(\w+)"/g)) {
          heard.changes++
          if (state === "offline") seen.offline++
          else seen.online++
        }
      }
      const names = Array.from({ length: watchedEach }, (_, at) => `p${(index * watchedEach + at) % users}`)
      await client.request("presence_watch", `"users":${JSON.stringify(names)}`)
      return client
    }
  )
  await pause(settleMs)
  const most = watchers * watchedEach
  say(`${users} users, ${watchers} connections that follow ${watchedEach} of them each`)

  const from = { ...heard }
  const begun = performance.now()
  for (const client of clients) client.close()
  clients = await connectAll()
  const returnedMs = performance.now() - begun
  await pause(settleMs)
  const returned = since(from, heard)
  say(`back after ${Math.round(returnedMs)} ms: ${JSON.stringify(returned)}`)

  const gone = { ...heard }
  const offlineBefore = seen.offline
  for (const client of clients) client.close()
  const all = await until(() => seen.offline - offlineBefore >= most, offlineMsMax)
  const left = since(gone, heard)
  if (!all) throw new Error(`only ${seen.offline - offlineBefore} of ${most} were told to be offline`)
  for (const client of following) client.close()
  const ratio = returned.bytes / left.bytes
  report({
    bench: "presence",
    value: returned.bytes,
    unit: "bytes of presence to all watchers when everybody drops and returns in the grace time",
    baseline: left.bytes,
    ratio: round(ratio, 4),
    target: `ratio to everybody going offline <= ${ratioMax}`,
    pass: ratio <= ratioMax,
    users,
    watches: most,
    returned_after_ms: round(returnedMs),
    returned,
    left,
    changes_per_watch_when_left: round(left.changes / most, 2),
    bytes_per_watch_when_left: round(left.bytes / most, 1)
  })
}

const since = (before: Heard, now: Heard): Heard => ({
  frames: now.frames - before.frames,
  bytes: now.bytes - before.bytes,
  changes: now.changes - before.changes
})
