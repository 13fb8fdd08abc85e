/**
 * Power loss below the NATS servers: each one's JetStream lies on a file system that drops what was not synced
 * (`infra/faults/lossyfs.py`), with a journal: nats-server does not sync directories, and where only that keeps a new
 * file, whole streams are gone. All servers lose power at once, in the midst of the load. With `sync_interval: "always"`
 * nothing is lost; with two minutes the same run has to be caught, or it would prove nothing.
 */
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { LossyMount } from "../harness/LossyMount.ts"
import type { Fault, Scene } from "./FaultRun.ts"

const servers = ["nats-1", "nats-2", "nats-3"]
const cuts = 2

/** The three servers' disks, and one plug for all of them. */
class Power {
  #folder = ""
  readonly #mounts = new Map<string, LossyMount>()

  async on(folder: string): Promise<AsyncDisposable> {
    this.#folder = folder
    for (const name of servers) await this.#mount(name, undefined)
    return {
      [Symbol.asyncDispose]: async () => {
        for (const mount of this.#mounts.values()) await mount[Symbol.asyncDispose]()
        this.#mounts.clear()
      }
    }
  }

  async #mount(name: string, seed: number | undefined): Promise<void> {
    const at = join(this.#folder, name)
    this.#mounts.set(name, await LossyMount.mount(join(at, "disk"), join(at, "jetstream"), seed, true))
  }

  /** Goes, and comes back: the servers start on what was synced; with a seed, on a part of what was not as well. */
  async lose({ cluster, mark }: Scene, seed: number | undefined): Promise<number> {
    let onTheirWay = 0
    for (const mount of this.#mounts.values()) onTheirWay += mount.cut()
    await Promise.all(servers.map((name) => cluster.services.killNode(name)))
    for (const mount of this.#mounts.values()) await mount[Symbol.asyncDispose]()
    for (const name of servers) await this.#mount(name, seed)
    await Promise.all(servers.map((name) => cluster.services.startNode(name)))
    mark()
    return onTheirWay
  }
}

const powerLoss = (
  name: string,
  about: string,
  syncInterval: string,
  rest: Pick<Fault, "catches"> & { readonly environment?: Readonly<Record<string, string>> } = {}
): Fault => {
  const power = new Power()
  const { environment = {}, ...others } = rest
  return {
    name,
    about,
    short: false,
    pauseMsMax: 120_000,
    loadPauseMs: 150,
    needs: ["fuse"],
    own: { services: "own", environment, nats: { syncInterval }, prepare: (folder) => power.on(folder) },
    happen: async (scene) => {
      const { random, workload } = scene
      let writes = 0
      for (let round = 0; round < cuts; round++) {
        await workload.untilAcked(60, 30_000)
        await delay(random.between(0, 1_000))
        writes += await power.lose(scene, round % 2 === 0 ? undefined : random.between(0, 1 << 30))
        await workload.untilAcked(20, 60_000)
        // A broken log may take no more; one cut is enough then.
        if (others.catches !== undefined) break
      }
      scene.note(`${writes} writes were on their way when the power went`)
    },
    ...others
  }
}

export const powerFaults: ReadonlyArray<Fault> = [
  powerLoss(
    "nats-power-lost",
    "all NATS servers lose power at once, twice: each has synced what it answered",
    "always"
  ),
  powerLoss("broken-nats-sync-2m", "must be caught: the same with sync_interval 2m", "2m", {
    catches: ["DURABLE-BEFORE-ACK", "ONE-ORDER", "NO-GAP-SYNC"],
    environment: { PARLEY_UNSAFE_LOG: "true" }
  })
]
