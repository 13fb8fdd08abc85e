/** Full disks: a NATS server's, all NATS servers', Cassandra's. Each is a small one of its own, filled to the last byte. */
import { closeSync, openSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { SmallDisk } from "../harness/SmallDisk.ts"
import type { Fault, Scene } from "./FaultRun.ts"

const megabyte = 1_048_576
const natsServers = ["nats-1", "nats-2", "nats-3"]
/** More than the small cluster's streams, and than Cassandra needs to start. */
const natsDiskBytes = 300 * megabyte
const cassandraDiskBytes = 700 * megabyte
const fullMs = 15_000
const fillEveryMs = 200

/** Writes until nothing fits any more. */
const fill = (file: string): void => {
  const descriptor = openSync(file, "a")
  try {
    for (let bytes = megabyte; bytes >= 1;) {
      try {
        writeSync(descriptor, Buffer.alloc(bytes, 1))
      } catch {
        bytes = Math.floor(bytes / 2)
      }
    }
  } finally {
    closeSync(descriptor)
  }
}

class Disks {
  readonly #disks = new Map<string, SmallDisk>()

  async mount(folder: string, places: Readonly<Record<string, number>>): Promise<AsyncDisposable> {
    for (const [place, bytes] of Object.entries(places)) {
      const disk = SmallDisk.mount(join(folder, place), bytes)
      if (disk.why !== undefined) throw new Error(disk.why)
      this.#disks.set(place, disk)
    }
    return {
      [Symbol.asyncDispose]: async () => {
        for (const disk of this.#disks.values()) disk[Symbol.dispose]()
        this.#disks.clear()
      }
    }
  }

  /** Full for a while, whatever is given up meanwhile; then there is room again. */
  async fullFor(ms: number, places: ReadonlyArray<string>): Promise<void> {
    const ballasts = places.map((place) => this.#disks.get(place)?.in("ballast") ?? "")
    for (const until = performance.now() + ms; performance.now() < until; await delay(fillEveryMs)) {
      for (const ballast of ballasts) fill(ballast)
    }
    for (const ballast of ballasts) rmSync(ballast)
  }
}

/** What an operator does after he has made room. */
const restart = async ({ cluster }: Scene, name: string): Promise<void> => {
  await cluster.services.stopNode(name)
  await cluster.services.startNode(name)
}

const diskFull = (
  name: string,
  about: string,
  places: Readonly<Record<string, number>>,
  pauseMsMax: number,
  after: (scene: Scene) => Promise<void>
): Fault => {
  const disks = new Disks()
  return {
    name,
    about,
    short: false,
    pauseMsMax,
    needs: ["mount"],
    own: { services: "own", prepare: (folder) => disks.mount(folder, places) },
    happen: async (scene) => {
      const before = scene.workload.acked
      await disks.fullFor(fullMs, Object.keys(places))
      scene.note(`${scene.workload.acked - before} acks in ${fullMs / 1_000} s of a full disk`)
      await after(scene)
      scene.mark()
    }
  }
}

export const diskFaults: ReadonlyArray<Fault> = [
  diskFull(
    "nats-disk-full",
    "one NATS server's disk is full for 15 s; there is room again, and it is started again",
    { "nats-2/jetstream": natsDiskBytes },
    30_000,
    (scene) => restart(scene, "nats-2")
  ),
  diskFull(
    "nats-disks-full",
    "all NATS servers' disks are full for 15 s: nothing is acknowledged; there is room again, and they are started again",
    Object.fromEntries(natsServers.map((name) => [`${name}/jetstream`, natsDiskBytes])),
    90_000,
    async (scene) => {
      for (const name of natsServers) await restart(scene, name)
    }
  ),
  diskFull(
    "cassandra-disk-full",
    "Cassandra's disk is full for 15 s: chat goes on; there is room again, and it is started again",
    { "cassandra-1": cassandraDiskBytes },
    20_000,
    async (scene) => {
      await scene.cluster.services.killNode("cassandra-1")
      await scene.cluster.services.startNode("cassandra-1")
    }
  )
]
