/** What can befall Cassandra and Redis beside their end: slowness, a long absence, a poison event, the log's front gone. */
import { setTimeout as delay } from "node:timers/promises"
import { Redis } from "ioredis"
import { newClientId } from "../wire/ClientIds.ts"
import type { Device } from "../wire/Device.ts"
import type { Fault, Scene } from "./FaultRun.ts"
import { buildFlags } from "./Builds.ts"
import { parked, retryParked, untilParked } from "./ClusterCalls.ts"

const longAbsenceMs = 600_000
const slowMs = 20_000
const poisonText = "poison-pill"
const parkedMsMax = 30_000
const shownMsMax = 10_000

/** Runs for `runMs`, stands still for `stillMs`, and so on: slow, and in jerks. */
const inJerks = async (scene: Scene, name: string, stillMs: number, runMs: number, ms: number): Promise<void> => {
  const { services } = scene.cluster
  for (const until = performance.now() + ms; performance.now() < until;) {
    services.pause(name)
    await delay(stillMs)
    services.resume(name)
    await delay(runMs)
  }
  scene.mark()
  await scene.workload.untilAcked(40, 30_000)
}

/** Whether a text is in the channel's history: on whatever page, and though an owner may have to be asked again. */
const isShown = async (device: Device, channel: string, text: string): Promise<boolean> => {
  let before: number | undefined = undefined
  for (const end = performance.now() + shownMsMax; performance.now() < end;) {
    const page = await device.history(channel, { limit: 200, ...(before === undefined ? {} : { before }) })
    if (page._tag !== "Ok") {
      await delay(100)
      continue
    }
    if (JSON.stringify(page.ok.events).includes(text)) return true
    if (!page.ok.before) return false
    before = page.ok.from + 1
  }
  return false
}

const restartAll = async ({ cluster }: Scene, nodeFlags: ReadonlyArray<string>): Promise<void> => {
  const all = Array.from({ length: cluster.count }, (_, index) => index)
  await Promise.all(all.map((index) => cluster.killNode(index)))
  await Promise.all(all.map((index) => cluster.startNode(index, { nodeFlags })))
}

export const storeFaults: ReadonlyArray<Fault> = [
  {
    name: "redis-slow",
    about: "Redis answers for 20 ms of every 400 ms, for 20 s",
    short: false,
    pauseMsMax: 10_000,
    happen: (scene) => inJerks(scene, "redis-1", 380, 20, slowMs)
  },
  {
    name: "cassandra-slow",
    about: "Cassandra answers for 100 ms of every 1.5 s, for 20 s",
    short: false,
    pauseMsMax: 10_000,
    happen: (scene) => inJerks(scene, "cassandra-1", 1_400, 100, slowMs)
  },
  {
    name: "edits-race-persister",
    about:
      "many edits and deletes of what was just said, while Cassandra stands still for up to 6 s at a time and owners are killed",
    short: false,
    pauseMsMax: 15_000,
    weights: { send: 40, edit: 40, delete: 20 },
    happen: async (scene) => {
      const { cluster, random, workload } = scene
      for (let round = 0; round < 3; round++) {
        cluster.services.pause("cassandra-1")
        await delay(random.between(1_000, 6_000))
        const index = random.between(0, cluster.count - 1)
        await cluster.killNode(index)
        cluster.services.resume("cassandra-1")
        scene.mark()
        await workload.untilAcked(40, 30_000)
        await cluster.startNode(index)
      }
    }
  },
  {
    name: "cassandra-away-10-minutes",
    about:
      "Cassandra is killed and stays away for ten minutes, while people chat and a node is killed; then it is back",
    short: false,
    pauseMsMax: 15_000,
    loadPauseMs: 2_000,
    settleMsMax: 120_000,
    happen: async (scene) => {
      const { cluster, workload } = scene
      await cluster.services.killNode("cassandra-1")
      const before = workload.acked
      await delay(longAbsenceMs / 2)
      await cluster.killNode(0)
      await workload.untilAcked(20, 60_000)
      await cluster.startNode(0)
      await delay(longAbsenceMs / 2)
      scene.note(`${workload.acked - before} acks while Cassandra was away`)
      await cluster.services.startNode("cassandra-1")
      scene.mark()
    }
  },
  {
    name: "poison-event",
    about:
      "an event that can't be written is parked, the others go on, it can still be read, and a retry on a sound build writes it",
    short: false,
    pauseMsMax: 60_000,
    own: { services: "shared" },
    happen: async (scene) => {
      const { cluster, workload } = scene
      await restartAll(scene, buildFlags("poison"))
      const [device] = workload.devices
      if (device === undefined) throw new Error("nobody is there")
      const channel = workload.channels[0] ?? ""
      const mutation = { op: "send", channel, cid: newClientId(), text: poisonText } as const
      while ((await device.attempt(mutation)) === "again");
      if (!(await untilParked(cluster, (events) => events.length > 0, parkedMsMax))) scene.broken("nothing was parked")
      await workload.untilAcked(60, 30_000)
      if (!(await isShown(device, channel, poisonText))) scene.broken("the parked message can't be read")
      await restartAll(scene, [])
      const events = await parked(cluster)
      scene.note(`${events.length} events parked`)
      // A retry is of all that is parked of an entity.
      const entities = new Map(events.map((event) => [`${event.consumer}/${event.topic}/${event.id}`, event]))
      for (const { consumer, id, topic } of entities.values()) await retryParked(cluster, consumer, topic, id)
      if (!(await untilParked(cluster, (left) => left.length === 0, parkedMsMax))) scene.broken("events stay parked")
      scene.mark()
    }
  },
  {
    name: "rebuilt-from-cassandra",
    about:
      "checkpoints that hold nobody, the log cut to them, Redis flushed, all nodes killed: all is loaded from Cassandra",
    short: false,
    pauseMsMax: 60_000,
    own: { services: "shared", nodeFlags: buildFlags("bare-checkpoints") },
    happen: async (scene) => {
      const { cluster, workload } = scene
      // Several checkpoints, and cuts of the log below them.
      await delay(15_000)
      await workload.untilAcked(40, 30_000)
      const redis = new Redis(cluster.services.state.redisUrl ?? "")
      await redis.flushall()
      redis.disconnect()
      await restartAll(scene, [])
      scene.mark()
    }
  },
  {
    name: "one-of-three-cassandras",
    about: "three Cassandra nodes with three copies: one is killed, owners are killed meanwhile; then another one is",
    short: false,
    pauseMsMax: 20_000,
    own: { services: "own", cassandraNodes: 3 },
    happen: async (scene) => {
      const { cluster, random, workload } = scene
      for (const name of ["cassandra-2", "cassandra-3"]) {
        await cluster.services.killNode(name)
        const index = random.between(0, cluster.count - 1)
        await cluster.killNode(index)
        scene.mark()
        await workload.untilAcked(100, 60_000)
        await cluster.startNode(index)
        await cluster.services.startNode(name)
        await workload.untilAcked(40, 30_000)
      }
    }
  }
]
