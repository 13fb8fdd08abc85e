/** Many clients, and clients that don't read. */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { setTimeout as delay } from "node:timers/promises"
import { newClientId } from "../wire/ClientIds.ts"
import { RawClient } from "../wire/RawClient.ts"
import { tokenFor } from "../wire/Tokens.ts"
import type { Fault, Scene } from "./FaultRun.ts"

const stalledClients = 1_000
const stalledUsers = 50
const bigTexts = 400
const bigText = "y".repeat(8_000)
const closedMsMax = 60_000
const sayTriesMax = 100
const crowdCount = 10_000
const crowdMsMax = 180_000
const batch = 50
/** From one address, as no crowd comes. */
const crowdEnvironment = {
  PARLEY_UNAUTHENTICATED_PER_ADDRESS_MAX: "100000",
  PARLEY_SOCKETS_PER_ADDRESS_MAX: "100000",
  PARLEY_DRAIN_WINDOW_MS: "10000"
}

const memoryMegabytes = (pid: number): number => {
  const line = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))
  return Math.round(Number(line?.[1] ?? 0) / 1_024)
}

const peak = ({ cluster }: Scene): number => Math.max(...cluster.nodes.map(({ pid }) => memoryMegabytes(pid)))

export const clientFaults: ReadonlyArray<Fault> = [
  {
    name: "clients-that-do-not-read",
    about: "1,000 connections of 50 users stop reading while 3 MB are said to each: they are closed, the others go on",
    short: false,
    pauseMsMax: 15_000,
    own: { services: "shared", environment: crowdEnvironment },
    happen: (scene) => stallClients(scene)
  },
  {
    name: "drain-with-10000-connections",
    about:
      "a node with a third of 10,000 connections is drained: all are on the others in the end, and the load goes on",
    short: false,
    pauseMsMax: 30_000,
    own: { services: "shared", environment: crowdEnvironment },
    happen: (scene) => drainCrowd(scene)
  }
]

const stallClients = async (scene: Scene): Promise<void> => {
  const { cluster, random } = scene
  const tag = random.between(0, 1 << 30).toString(36)
  const users = Array.from({ length: stalledUsers }, (_, index) => `still${index}-${tag}`)
  const owner = `loud-${tag}`
  const join = async (user: string, device: string) => {
    const url = random.pick(cluster.nodes)?.url ?? ""
    return (await RawClient.open(url)).join(await tokenFor(url, user), device)
  }
  const loud = await join(owner, "desk")
  const channel = `group:loud-${tag}`
  await loud.ok("create", { channel, cid: newClientId(), name: "", members: users })
  const still: Array<RawClient> = []
  try {
    for (let from = 0; from < stalledClients; from += batch) {
      const numbers = Array.from({ length: batch }, (_, index) => from + index)
      still.push(...(await Promise.all(numbers.map((at) => join(users[at % stalledUsers] ?? "", `d${at}`)))))
    }
    const before = peak(scene)
    for (const { socket } of still) socket.pause()
    let most = before
    for (let sent = 0; sent < bigTexts; sent++) {
      await said(loud, { channel, cid: newClientId(), text: bigText })
      if (sent % batch === 0) most = Math.max(most, peak(scene))
    }
    // What they did not read is behind the close, which they find now.
    for (const { socket } of still) socket.resume()
    for (const until = performance.now() + closedMsMax; performance.now() < until; await delay(100)) {
      if (still.every(({ closed }) => closed !== undefined)) break
    }
    const open = still.filter(({ closed }) => closed === undefined).length
    if (open > 0) scene.broken(`${open} of ${stalledClients} that did not read were not closed`)
    scene.note(`a node's memory went from ${before} MB to ${Math.max(most, peak(scene))} MB at most`)
    scene.mark()
  } finally {
    for (const { socket } of [...still, loud]) socket.terminate()
  }
}

/** Sent until it is acknowledged, so that all of it is said. */
const said = async (client: RawClient, send: object): Promise<void> => {
  for (let tries = 0; ; tries++) {
    const { error } = await client.request("send", send)
    if (error === undefined) return
    if (error.retryable !== true || tries >= sayTriesMax) throw new Error(JSON.stringify(error))
    await delay(error.retry_after_ms ?? 100)
  }
}

interface CrowdState {
  readonly open: number
  readonly moves: number
  readonly failed: number
}

const drainCrowd = async (scene: Scene): Promise<void> => {
  const { cluster, workload } = scene
  const program = new URL("Crowd.ts", import.meta.url).pathname
  const urls = cluster.nodes.map(({ url }) => url)
  const child = spawn(process.execPath, [program, String(crowdCount), cluster.secret, ...urls], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  let state: CrowdState = { open: 0, moves: 0, failed: 0 }
  createInterface({ input: child.stdout }).on("line", (line) => {
    state = JSON.parse(line) as CrowdState // what the crowd prints
  })
  const all = async (what: string): Promise<number> => {
    const from = performance.now()
    while (state.open < crowdCount && performance.now() - from < crowdMsMax) await delay(100)
    if (state.open < crowdCount) scene.broken(`${what}: ${state.open} of ${crowdCount} are connected`)
    return Math.round((performance.now() - from) / 1_000)
  }
  try {
    const opened = await all("at first")
    const before = state.moves
    const drainedAt = performance.now()
    await cluster.stopNode(0)
    const drained = Math.round((performance.now() - drainedAt) / 1_000)
    scene.mark()
    await delay(2_000)
    const back = await all("after the drain")
    scene.note(
      `${crowdCount} connected in ${opened} s; the node ended after ${drained} s, ${state.moves - before} moved, all were back ${back + 2} s later; ${state.failed} tries failed`
    )
    await workload.untilAcked(60, 30_000)
    await cluster.startNode(0)
  } finally {
    child.kill("SIGKILL")
  }
}
