/**
 * The log as it was some time ago: an operator restores a backup of JetStream, older than what the rest of the cluster
 * knows. The shards concerned are put out of service and never written over (†24); with the newest copy of the log all
 * goes on, and nothing is missing.
 */
import { cpSync, rmSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { servicesFolder } from "../../infra/cluster/LocalNodes.ts"
import type { Fault, Scene } from "./FaultRun.ts"

const natsServers = ["nats-1", "nats-2", "nats-3"]
const acksBetween = 200
const quarantineMsMax = 60_000
/** The persister tells the store every 5 s how far each shard's log has come. */
const placesToldMs = 12_000
const onOldLogMs = 10_000

/** Nodes and NATS servers stand still while the log's files are touched. */
const whileDown = async ({ cluster }: Scene, touch: (jetstream: string, name: string) => void): Promise<void> => {
  const all = Array.from({ length: cluster.count }, (_, index) => index)
  await Promise.all(all.map((index) => cluster.killNode(index)))
  await Promise.all(natsServers.map((name) => cluster.services.stopNode(name)))
  for (const name of natsServers) touch(join(servicesFolder(cluster.data), name, "jetstream"), name)
  await Promise.all(natsServers.map((name) => cluster.services.startNode(name)))
}

const startAll = async ({ cluster }: Scene, probe: "/livez" | "/readyz"): Promise<void> => {
  await Promise.all(Array.from({ length: cluster.count }, (_, index) => cluster.startNode(index, { probe })))
}

const copy = (from: string, to: string): void => {
  rmSync(to, { recursive: true, force: true })
  cpSync(from, to, { recursive: true })
}

export const restoreFaults: ReadonlyArray<Fault> = [
  {
    name: "log-restored",
    about:
      "all nodes come back to a log from an older backup: its shards are quarantined, and with the newest log all is there",
    short: false,
    pauseMsMax: 400_000,
    // What only a user's own log has may not have moved since the backup: then nothing tells that it is behind.
    weights: { markUnread: 0 },
    own: { services: "own" },
    happen: async (scene) => {
      const { cluster, workload } = scene
      const backup = (name: string, which: string) => join(cluster.data, `${name}-${which}`)
      await whileDown(scene, (jetstream, name) => copy(jetstream, backup(name, "old")))
      await startAll(scene, "/readyz")
      await workload.untilAcked(acksBetween, 60_000)
      // What the log had since the store was told last is known to nobody but the log.
      await delay(placesToldMs)
      await whileDown(scene, (jetstream, name) => {
        copy(jetstream, backup(name, "new"))
        copy(backup(name, "old"), jetstream)
      })
      await startAll(scene, "/livez")
      const quarantined = await untilQuarantined(scene)
      if (quarantined === 0) scene.broken("no shard was quarantined on the older log")
      await delay(onOldLogMs)
      scene.note(`${quarantined} shards were quarantined on the older log`)
      await whileDown(scene, (jetstream, name) => copy(backup(name, "new"), jetstream))
      await startAll(scene, "/readyz")
      scene.mark()
    }
  }
]

const untilQuarantined = async ({ cluster }: Scene): Promise<number> => {
  let most = 0
  for (const until = performance.now() + quarantineMsMax; performance.now() < until; await delay(500)) {
    let sum = 0
    for (const { url } of cluster.nodes) {
      const text = await fetch(`${url}/readyz`).then((response) => response.text(), String)
      sum += text.match(/out of service/g)?.length ?? 0
    }
    if (sum > 0 && sum === most) return sum
    most = sum
  }
  return most
}
