/**
 * What is tried with a cluster that is at rest and was found sound: parked events are written after all (†26), the log comes
 * back with less than it had (†24), and presence outlives moves of its shards and a pause of an edge (†6).
 */
import { setTimeout as delay } from "node:timers/promises"
import { persisterConsumer } from "@parley/actors/fanout/ConsumerNames"
import { ParkedEvents } from "@parley/storage/ParkedEvents"
import { Context, Effect } from "effect"
import type { Random } from "../harness/Random.ts"
import type { Device } from "../wire/Device.ts"
import { WireSocket } from "../wire/WireSocket.ts"
import type { Found } from "./LogTruth.ts"
import type { Cluster } from "./SimNode.ts"

const pollMs = 200
const curedMsMax = 30_000
const quarantineMsMax = 90_000
/** Longer than a report of an edge takes to come, and its owner's grace. */
const shownMs = 50_000
const watchedMs = 8_000
/** Between two looks at who is shown as what. */
const lookMs = 1_000
/** An edge that is silent for so long has lost its devices, as its owner thinks. */
const edgePauseMs = 34_000
/** Until an edge that was paused has said again who is there. */
const againMs = 45_000

const until = async (cluster: Cluster, condition: () => boolean, msMax: number): Promise<boolean> => {
  for (const end = cluster.time.now + msMax; !condition();) {
    if (cluster.time.now > end) return false
    await delay(pollMs)
  }
  return true
}

/** The stores take everything now, and an operator has what is parked tried again: then they have all of it. */
export const writeParked = async (cluster: Cluster): Promise<ReadonlyArray<Found>> => {
  const store = Context.get(cluster.stores.memory, ParkedEvents)
  const parked = () => Effect.runSync(store.entities(persisterConsumer))
  const count = parked().length
  if (count > 0) cluster.note(`events of ${count} channels are parked`)
  cluster.stores.poison = undefined
  let why = ""
  for (const end = cluster.time.now + curedMsMax; parked().length > 0 && cluster.time.now < end;) {
    for (const { id, topic } of parked()) {
      for (const node of cluster.nodes.values()) why = await node.retryParked(topic, id).catch(String)
    }
    await delay(pollMs)
  }
  const left = parked().map(({ count, id }) => `${count} of ${id}`)
  return left.length === 0
    ? []
    : [{ invariant: "WRITE-BEHIND-SAFE", what: `parked for ever: ${left.join(", ")}; ${why}` }]
}

/** All die, and the log of one shard comes back without its newest records: nobody may write over the place they had. */
export const loseLog = async (
  cluster: Cluster,
  random: Random,
  start: (host: string) => void
): Promise<ReadonlyArray<Found>> => {
  const { log, nodes, note, shardCount } = cluster
  const shard = random.between(1, shardCount)
  const records = log.records(shard)
  const kept = records.slice(0, random.between(0, records.length - 1))
  const last = kept.at(-1)?.position ?? 0
  for (const node of nodes.values()) node.kill()
  note(`the log of shard ${shard} comes back up to ${last} of ${records.at(-1)?.position}`)
  log.lose(shard, last)
  cluster.lostShard = shard
  for (const host of nodes.keys()) start(host)
  const alarmed = await until(cluster, () => cluster.lostShardIsQuarantined, quarantineMsMax)
  const found: Array<Found> = []
  const what = `the log of shard ${shard} came back up to ${last} of ${records.at(-1)?.position}`
  if (!alarmed) found.push({ invariant: "ONE-ORDER", what: `${what}, and nobody noticed` })
  const now = log.records(shard).at(-1)?.position ?? 0
  if (now !== last) found.push({ invariant: "ONE-ORDER", what: `${what}, and was written over` })
  return found
}

/** Everybody is connected all the time: nobody is shown as offline, whoever the owner of his presence shard is. */
export const watchPresence = async (
  cluster: Cluster,
  random: Random,
  devices: ReadonlyArray<Device>,
  url: () => string
): Promise<ReadonlyArray<Found>> => {
  const { note, placement, time } = cluster
  const users = [...new Set(devices.map(({ user }) => user))]
  const offline = new Set<string>()
  const shown = (all: ReadonlyArray<{ readonly user: string; readonly state: string }>, when: string) => {
    for (const { state, user } of all) if (state === "offline") offline.add(`${user} ${when}`)
  }
  let when = "at first"
  const socket = await WireSocket.open(url(), {
    onPush: (push) => {
      if (push.ev === "presence") shown(push.users, when)
    },
    onBroken: () => {}
  })
  if (socket === undefined) return []
  await socket.request("hello", { token: users[0], device: "watcher" })
  const look = async () => {
    const reply = await socket.request("presence_watch", { users })
    if (reply._tag === "Ok") shown(reply.ok.users, when)
  }
  await delay(shownMs)
  offline.clear()
  await look()
  when = "when the shards had moved"
  for (let moves = 0; moves < 2; moves++) {
    placement.shuffle()
    for (const end = time.now + watchedMs; time.now < end;) {
      await look()
      await delay(lookMs)
    }
  }
  // The watcher's own edge goes on.
  const others = [...cluster.nodes.values()].filter(({ process }) => process.host !== new URL(url()).hostname)
  const paused = random.pick(others)
  if (paused !== undefined) {
    note(`${paused.process.name} pauses for ${edgePauseMs} ms`)
    paused.process.pausedUntil = time.now + edgePauseMs
    when = "when an edge had paused"
    const found = [...offline]
    await delay(edgePauseMs + againMs)
    offline.clear()
    for (const what of found) offline.add(what)
    await look()
  }
  socket.terminate()
  return [...offline].map((what) => ({ invariant: "PRESENCE", what: `${what} is shown as offline, and was connected` }))
}
