/** What can befall a node beside its end: it stands still, its clock jumps, its shards are moved about, it is set up otherwise. */
import { readFileSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { connect } from "@nats-io/transport-node"
import { shardOf } from "@parley/actors/fanout/ShardHash"
import { newClientId } from "../wire/ClientIds.ts"
import { RawClient } from "../wire/RawClient.ts"
import { tokenFor } from "../wire/Tokens.ts"
import { someNode, type Fault, type Scene } from "./FaultRun.ts"
import { networkOf } from "./NetworkFaults.ts"
import { tamper } from "./NodeTampering.ts"
import { askToMove, clusterView, untilView } from "./ClusterCalls.ts"

const natsServers = ["nats-1", "nats-2", "nats-3"]
const hourMs = 3_600_000
const stallMs = 20_000
const moves = 100
const moveMsMax = 15_000
/** Later than any owner keeps a batch or a call, and than NATS knows a message again (2 minutes). */
const muchLaterMs = 180_000
const retriedSends = 20
const depositions = 10
/** As many as a cluster has if nobody says otherwise. */
const logStreams = 4

export const ownerFaults: ReadonlyArray<Fault> = [
  {
    name: "loop-stalled",
    about: "a node's event loop stands still for 20 s, far past its lease, with sends inside",
    short: false,
    pauseMsMax: 15_000,
    happen: async (scene) => {
      tamper(scene.cluster, someNode(scene), { stallMs })
      scene.mark()
      await delay(stallMs)
      scene.mark()
      await scene.workload.untilAcked(100, 30_000)
    }
  },
  {
    name: "clocks-jump",
    about: "one node's wall clock is an hour ahead, then another's an hour behind, 10 s each, then right again",
    short: false,
    pauseMsMax: 15_000,
    happen: async (scene) => {
      const first = someNode(scene)
      const second = (first + 1) % scene.cluster.count
      for (const [index, clockMs] of [
        [first, hourMs],
        [second, -hourMs]
      ] as const) {
        tamper(scene.cluster, index, { clockMs })
        await delay(10_000)
        tamper(scene.cluster, index, { clockMs: 0 })
        scene.mark()
        await scene.workload.untilAcked(40, 30_000)
      }
    }
  },
  {
    name: "hot-channel-moved",
    about: "the shard of a busy channel is moved 100 times, as fast as it goes",
    short: false,
    pauseMsMax: 10_000,
    happen: async (scene) => {
      const { cluster, random, workload } = scene
      const startedAt = performance.now()
      const shards = (await clusterView(cluster)).shards.length
      const shard = shardOf(workload.channels[0] ?? "", shards)
      let done = 0
      for (; done < moves; done++) {
        const { runners, shards: held } = await clusterView(cluster)
        const now = held.find((one) => one.shard === shard)?.runner
        const next = random.pick(runners.filter(({ runner, state }) => runner !== now && state === "active"))?.runner
        if (next === undefined) break
        await askToMove(cluster, shard, next)
        const there = (view: { readonly shards: typeof held }) =>
          view.shards.some((one) => one.shard === shard && one.runner === next)
        if (!(await untilView(cluster, there, moveMsMax))) break
        await workload.untilAcked(5, 5_000)
      }
      const seconds = Math.round((performance.now() - startedAt) / 1_000)
      if (done < moves) scene.broken(`after ${done} moves one did not come about within ${moveMsMax} ms`)
      scene.note(`${done} moves in ${seconds} s`)
    }
  },
  {
    name: "killed-unanswered",
    about:
      "the log's answers to a node are cut off, then it is killed: what was appended and not acknowledged is there once",
    short: false,
    pauseMsMax: 15_000,
    needs: ["network"],
    happen: async (scene) => {
      const { cluster, workload } = scene
      const network = networkOf(scene)
      for (let round = 0; round < 3; round++) {
        const index = someNode(scene)
        for (const server of natsServers) network.cutOneWay(server, cluster.place(index).name)
        await delay(300)
        await cluster.killNode(index)
        network.heal()
        scene.mark()
        await workload.untilAcked(40, 30_000)
        await cluster.startNode(index)
      }
    }
  },
  {
    name: "retried-much-later",
    about:
      "sends whose acks were lost with their node are sent again on another node 3 minutes later: one effect, one seq",
    short: false,
    pauseMsMax: 15_000,
    loadPauseMs: 600,
    happen: (scene) => retriedMuchLater(scene)
  },
  {
    name: "edges-killed",
    about:
      "both edges are killed at once, while a runner of its own has the channels: all clients are back on them when they are",
    short: false,
    pauseMsMax: 60_000,
    own: { services: "shared", edges: 2 },
    happen: async (scene) => {
      const { cluster } = scene
      await Promise.all([cluster.killNode(1), cluster.killNode(2)])
      await Promise.all([cluster.startNode(1), cluster.startNode(2)])
      scene.mark()
    }
  },
  {
    name: "log-leaders-deposed",
    about: "the leader of each of the log's streams steps down, ten times over, a second apart",
    short: false,
    pauseMsMax: 20_000,
    happen: async (scene) => {
      const { natsPassword = "", natsServers: servers = [], natsUser = "" } = scene.cluster.services.state
      const nats = await connect({ servers: [...servers], user: natsUser, pass: natsPassword })
      try {
        for (let round = 0; round < depositions; round++) {
          for (let stream = 0; stream < logStreams; stream++) {
            await nats.request(`$JS.API.STREAM.LEADER.STEPDOWN.parley-local-log-${stream}`, "", { timeout: 5_000 })
          }
          await delay(1_000)
        }
      } finally {
        await nats.close()
      }
      scene.mark()
    }
  },
  {
    name: "other-shard-count",
    about: "a node that is started with another number of shards refuses and says why; the others go on",
    short: false,
    pauseMsMax: 10_000,
    happen: async (scene) => {
      const { cluster, workload } = scene
      const index = someNode(scene)
      await cluster.stopNode(index)
      const { log, name } = cluster.place(index)
      const before = readFileSync(log, "utf8").length
      const outcome = await cluster.startNode(index, { environment: { PARLEY_SHARDS: "16" } }).then(
        () => "it started",
        () => "refused"
      )
      const said = readFileSync(log, "utf8").slice(before)
      if (outcome !== "refused" || !/shards/.test(said)) scene.broken(`${name} with 16 shards: ${outcome}: ${said}`)
      scene.note(/[^\n]*shards[^\n]*/.exec(said)?.[0].slice(0, 160) ?? "")
      await workload.untilAcked(40, 30_000)
      await cluster.killNode(index)
      await cluster.startNode(index)
    }
  }
]

/** The first node is killed with the sends inside: which of them are in the log nobody knows. */
const retriedMuchLater = async (scene: Scene): Promise<void> => {
  const { cluster, random } = scene
  const user = `late-${random.between(0, 1 << 30).toString(36)}`
  const channel = `group:${user}`
  const at = async (index: number) => {
    const { url } = cluster.place(index)
    return (await RawClient.open(url)).join(await tokenFor(url, user), `d${index}`)
  }
  const first = await at(0)
  await first.ok("create", { channel, cid: newClientId(), name: "", members: [] })
  const sends = Array.from({ length: retriedSends }, (_, index) => ({ channel, cid: newClientId(), text: `m${index}` }))
  const answered = first.request("send", sends[0])
  for (const send of sends.slice(1)) first.post("send", send)
  await answered
  await cluster.killNode(0)
  first.socket.terminate()
  scene.mark()
  await delay(muchLaterMs)
  await cluster.startNode(0)
  const seqs = new Map<string, number>()
  for (const index of [1, 2]) {
    const client = await at(index)
    for (const send of sends) {
      const { seq } = await client.ok("send", send)
      const before = seqs.get(send.cid)
      if (before !== undefined && before !== seq) scene.broken(`${send.text} is at ${before} and at ${seq}`)
      seqs.set(send.cid, seq)
    }
    const { events } = await client.ok("history", { channel, limit: 200 })
    if (events.length !== retriedSends) scene.broken(`${events.length} messages of ${retriedSends} sends`)
    client.socket.terminate()
  }
  scene.note(`${retriedSends} sends, each sent again on two nodes`)
}
