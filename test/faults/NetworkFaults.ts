/**
 * Cuts between processes, each in a network namespace of its own: packets vanish, nobody is told. Nodes talk to each other
 * over NATS only, so a cut between two nodes is one of the ways to NATS; that a direct one changes nothing is shown too.
 */
import { setTimeout as delay } from "node:timers/promises"
import type { PrivateNetwork } from "../../infra/faults/PrivateNetwork.ts"
import type { Fault, Scene } from "./FaultRun.ts"
import { removedWhileCutOff } from "./RemovedWhileCutOff.ts"

const natsServers = ["nats-1", "nats-2", "nats-3"]
const nodes = ["node-1", "node-2", "node-3"]

/** Past a lease, and past what the others need to take over. */
const cutMs = 12_000
const flapsMs = 15_000

export const networkOf = ({ network }: Scene): PrivateNetwork => {
  if (network === undefined) throw new Error("this fault needs network namespaces")
  return network
}

const someNode = ({ random }: Scene): string => random.pick(nodes) ?? "node-1"

/** Cuts, waits, heals. */
const cutFor = async (scene: Scene, ms: number, cut: (network: PrivateNetwork) => void): Promise<void> => {
  const network = networkOf(scene)
  cut(network)
  await delay(ms)
  network.heal()
  scene.mark()
  await scene.workload.untilAcked(40, 30_000)
}

const fault = (
  name: string,
  about: string,
  happen: Fault["happen"],
  rest: { readonly pauseMsMax?: number; readonly short?: boolean } = {}
): Fault => ({
  name,
  about,
  happen,
  short: rest.short ?? false,
  pauseMsMax: rest.pauseMsMax ?? 15_000,
  needs: ["network"]
})

export const networkFaults: ReadonlyArray<Fault> = [
  fault(
    "node-cut-off",
    "a node hears and says nothing to NATS for 12 s: its shards are taken over, what it wakes with is refused",
    (scene) => cutFor(scene, cutMs, (network) => network.cut([someNode(scene)], natsServers)),
    { short: true }
  ),
  fault("node-deaf", "one way: a node's appends and leases reach NATS, no answer comes back for 12 s", (scene) =>
    cutFor(scene, cutMs, (network) => {
      const node = someNode(scene)
      for (const server of natsServers) network.cutOneWay(server, node)
    })
  ),
  fault("node-mute", "one way: a node hears all of NATS, and nothing it says arrives for 12 s", (scene) =>
    cutFor(scene, cutMs, (network) => {
      const node = someNode(scene)
      for (const server of natsServers) network.cutOneWay(node, server)
    })
  ),
  fault("node-flapping", "a node's way to NATS is cut and whole in turn, 0.2 to 3 s each, for 15 s", async (scene) => {
    const network = networkOf(scene)
    const node = someNode(scene)
    for (const until = performance.now() + flapsMs; performance.now() < until;) {
      network.cut([node], natsServers)
      await delay(scene.random.between(200, 3_000))
      network.heal()
      await delay(scene.random.between(200, 3_000))
    }
    scene.mark()
  }),
  fault(
    "nodes-cut-apart",
    "no packet between any two nodes for 12 s: they need none, nothing changes",
    (scene) => cutFor(scene, cutMs, (network) => network.cut(nodes, nodes)),
    { pauseMsMax: 5_000 }
  ),
  fault(
    "nats-cut-off",
    "each NATS server in turn is cut from its two peers for 10 s, while the nodes still reach it",
    async (scene) => {
      for (const server of natsServers) {
        await cutFor(scene, 10_000, (network) => network.cut([server], natsServers))
      }
    },
    { pauseMsMax: 25_000 }
  ),
  fault(
    "nats-deaf",
    "one way: a NATS server is heard by its peers and hears neither for 10 s, each in turn",
    async (scene) => {
      for (const server of natsServers) {
        await cutFor(scene, 10_000, (network) => {
          for (const peer of natsServers) if (peer !== server) network.cutOneWay(peer, server)
        })
      }
    },
    { pauseMsMax: 25_000 }
  ),
  fault(
    "nats-split",
    "no NATS server reaches another for 8 s: nobody has a quorum, everybody says “sending”",
    (scene) => cutFor(scene, 8_000, (network) => network.cut(natsServers, natsServers)),
    { pauseMsMax: 40_000 }
  ),
  fault("cassandra-cut", "Cassandra is out of reach of one node for 12 s, and then of all for 12 s", async (scene) => {
    await cutFor(scene, cutMs, (network) => network.cut([someNode(scene)], ["cassandra-1"]))
    await cutFor(scene, cutMs, (network) => network.cut(nodes, ["cassandra-1"]))
  }),
  fault("redis-cut", "Redis is out of reach of all nodes for 12 s, packets vanish", (scene) =>
    cutFor(scene, cutMs, (network) => network.cut(nodes, ["redis-1"]))
  ),
  fault("slow-links", "one node, one NATS server and Cassandra have 1 Mbit/s for 20 s", async (scene) => {
    const network = networkOf(scene)
    for (const name of [someNode(scene), "nats-2", "cassandra-1"]) network.slow(name, 1_000)
    await delay(20_000)
    network.heal()
    scene.mark()
  }),
  fault(
    "removed-while-cut-off",
    "a member is removed while his edge is cut off from NATS: that edge shows him nothing that was said after",
    removedWhileCutOff
  )
]
