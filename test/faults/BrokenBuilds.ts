/** The checker checked: builds of the cluster that are broken on purpose run under load, and each has to be caught. */
import { setTimeout as delay } from "node:timers/promises"
import { newClientId } from "../wire/ClientIds.ts"
import { buildFlags, type BuildName, builds } from "./Builds.ts"
import { between, type Fault, type Scene } from "./FaultRun.ts"
import { askToMove, clusterView, logBytes, untilView } from "./ClusterCalls.ts"

const natsServers = ["nats-1", "nats-2", "nats-3"]
/** More than what is on its way to the servers already: a record a shard. */
const ackedTooSoon = 150
/** On a busy machine fewer are acknowledged in the time that a lease lasts: below this it is done once more, so often at most. */
const ackedTooSoonMin = 20
const killsMax = 3
/** More than a stream of the build `discard-old` holds. */
const bigTexts = 300
const bigText = "x".repeat(12_000)
const megabyte = 1_048_576
/** Longer than links, heartbeats and sweeps take to find out what is missing. */
const quietMs = 15_000
const moveMsMax = 20_000
/** Until the log is cut: shards come to it in turns, when half of what they have may go. */
const cutMsMax = 60_000
/** And so long after that: the first cut may be that of the front, which is as it should be, and any other ends the acks. */
const afterCutMs = 10_000
const lookMs = 200

const broken = (
  name: BuildName,
  happen: Fault["happen"],
  rest: Pick<Fault, "needs" | "short"> & { readonly environment?: Readonly<Record<string, string>> }
): Fault => {
  const { environment = {}, ...others } = rest
  return {
    name: `broken-${name}`,
    about: `must be caught: ${builds.find((build) => build.name === name)?.about}`,
    pauseMsMax: Infinity,
    catches: ["DURABLE-BEFORE-ACK", "ONE-ORDER", "EXACTLY-ONCE-EFFECT", "NO-GAP-SYNC"],
    own: {
      services: "shared",
      environment,
      nodeFlags: buildFlags(name)
    },
    happen,
    ...others
  }
}

const killAll = async ({ cluster }: Scene): Promise<void> => {
  const all = Array.from({ length: cluster.count }, (_, index) => index)
  await Promise.all(all.map((index) => cluster.killNode(index)))
}

const startAll = async ({ cluster }: Scene): Promise<void> => {
  await Promise.all(Array.from({ length: cluster.count }, (_, index) => cluster.startNode(index)))
}

/** It holds less than a moment ago; what nobody has stored yet is gone then, in such a build. */
const untilCut = async ({ cluster }: Scene): Promise<boolean> => {
  let before = 0
  for (const until = performance.now() + cutMsMax; performance.now() < until; await delay(lookMs)) {
    const bytes = await logBytes(cluster)
    if (bytes < before) return true
    before = bytes
  }
  return false
}

export const brokenBuilds: ReadonlyArray<Fault> = [
  broken(
    "ack-before-log",
    async (scene) => {
      const { cluster, workload } = scene
      for (let kills = 0, tooSoon = 0; kills < killsMax && tooSoon < ackedTooSoonMin; kills++) {
        if (kills > 0) await between(scene, 30)
        for (const name of natsServers) cluster.services.pause(name)
        const before = workload.acked
        // A sound build acknowledges nothing now.
        await workload.untilAcked(ackedTooSoon, 4_000)
        tooSoon += workload.acked - before
        await killAll(scene)
        for (const name of natsServers) cluster.services.resume(name)
        await startAll(scene)
      }
    },
    { short: true }
  ),
  broken(
    "no-fence",
    async (scene) => {
      const { cluster, network, random, workload } = scene
      const node = random.pick(cluster.nodes)?.name ?? ""
      // What the node says waits in its socket until the cable is whole: then it is of an owner that is one no more.
      for (const server of natsServers) network?.cutOneWay(siteName(scene, node), server)
      await delay(12_000)
      network?.heal()
      await workload.untilAcked(60, 10_000)
      await killAll(scene)
      await startAll(scene)
    },
    { needs: ["network"], short: false }
  ),
  broken(
    "discard-old",
    async (scene) => {
      const { cluster, workload } = scene
      await cluster.services.killNode("cassandra-1")
      const device = workload.devices[0]
      for (let sent = 0; sent < bigTexts; sent++) {
        await device?.attempt({ op: "send", channel: workload.channels[0] ?? "", cid: newClientId(), text: bigText })
      }
      await killAll(scene)
      await cluster.services.startNode("cassandra-1")
      await startAll(scene)
    },
    {
      short: false,
      environment: { PARLEY_LOG_SOFT_BYTES: String(9 * megabyte), PARLEY_LOG_HARD_BYTES: String(10 * megabyte) }
    }
  ),
  broken(
    "purge-empties",
    async (scene) => {
      if (!(await untilCut(scene))) scene.note("the log was not cut")
      await delay(afterCutMs)
      await killAll(scene)
      await startAll(scene)
    },
    { short: false }
  ),
  broken(
    "interest-forgotten",
    async (scene) => {
      const { cluster, workload } = scene
      await workload.end(10_000)
      const { runners, shards } = await clusterView(cluster)
      const next = (runner: string) => {
        const names = runners.map((one) => one.runner)
        return names[(names.indexOf(runner) + 1) % names.length] ?? runner
      }
      for (const { runner, shard } of shards) await askToMove(cluster, shard, next(runner))
      const moved = await untilView(
        cluster,
        (view) => view.shards.every(({ runner }, index) => runner === next(shards[index]?.runner ?? "")),
        moveMsMax
      )
      if (!moved) scene.note("not all shards moved")
      await workload.sayEverywhere()
      await delay(quietMs)
      const late = workload.lateDevices()
      if (late.length > 0)
        scene.broken(`${late.length} devices do not have the last word: ${late.slice(0, 3).join("; ")}`)
    },
    { short: false }
  )
]

/** An own cluster's node in the network: `place` knows it by its address. */
const siteName = ({ cluster, network }: Scene, node: string): string => {
  const host = new URL(cluster.nodes.find(({ name }) => name === node)?.url ?? "http://nowhere").hostname
  return network?.names.find((name) => network.site(name).host === host) ?? node
}
