/** The faults, each a few lines over `Scene`: what happens, for how long, and that it is over at the end. */
import { setTimeout as delay } from "node:timers/promises"
import { Redis } from "ioredis"
import type { Status } from "@parley/node/cli/cluster/ClusterApi"
import type { Fault, Scene } from "./FaultRun.ts"
import { Operator, runnerOf } from "./Operator.ts"

/** Acks that a fault lies between. */
const between = async ({ workload }: Scene, acks: number): Promise<void> => {
  await workload.untilAcked(acks, 30_000)
}

const someNode = ({ cluster, random }: Scene): number => random.between(0, cluster.count - 1)

const nextRelease = (fault: string): Readonly<Record<string, string>> => ({
  PARLEY_TEST_FAULT: fault,
  PARLEY_UNSAFE_LOG: "true"
})

export const faults: ReadonlyArray<Fault> = [
  {
    name: "node-killed",
    about: "kill -9 of a node, three times: its shards are taken over, its clients go on elsewhere, and it comes back",
    short: true,
    pauseMsMax: 15_000,
    happen: async (scene) => {
      for (let round = 0; round < 3; round++) {
        const index = someNode(scene)
        await scene.cluster.killNode(index)
        await between(scene, 40)
        await scene.cluster.startNode(index)
        await between(scene, 40)
      }
    }
  },
  {
    name: "node-drained",
    about: "SIGTERM of a node: it hands its shards over and tells its clients to move, and is started again",
    short: true,
    pauseMsMax: 5_000,
    happen: async (scene) => {
      const index = someNode(scene)
      await scene.cluster.stopNode(index)
      await between(scene, 40)
      await scene.cluster.startNode(index)
    }
  },
  {
    name: "node-emptied",
    about:
      "`parley cluster drain` of a node: its shards and clients leave it, it is stopped when it says so, and comes back",
    short: true,
    pauseMsMax: 5_000,
    happen: async (scene) => {
      const index = someNode(scene)
      const { name } = scene.cluster.place(index)
      const operator = new Operator(scene.cluster, (index + 1) % scene.cluster.count)
      const said = await operator.parley("drain", name)
      if (said.code !== 0 || !said.out.includes("is empty: it may be stopped now")) {
        throw new Error(`${name} was not drained: ${said.out}${said.error}`)
      }
      const { edges, shards } = await operator.api.status()
      const left = shards.filter(({ runner }) => runner.startsWith(`${name}-`)).length
      const connections = edges.find(({ edge }) => edge.startsWith(`${name}/`))?.connections ?? 0
      if (left + connections > 0) throw new Error(`${name} has ${left} shards and ${connections} connections`)
      await scene.cluster.stopNode(index)
      await between(scene, 40)
      await scene.cluster.startNode(index)
    }
  },
  {
    name: "shards-rebalanced",
    about: "all busy shards moved to one node, which shows as hot; `parley cluster rebalance` spreads them again",
    short: true,
    pauseMsMax: 5_000,
    happen: async (scene) => {
      const operator = new Operator(scene.cluster, 0)
      const { shards } = await operator.api.status()
      const target = runnerOf(await operator.api.status(), scene.cluster.place(someNode(scene)).name)
      const busy = [...shards].sort((a, b) => b.load - a.load).slice(0, 3)
      for (const { shard } of busy) await operator.api.wish("PUT", `/v1/cluster/shards/${shard}/runner/${target}`)
      const gathered = (status: Status) =>
        busy.every(({ shard }) => status.shards.some((it) => it.shard === shard && it.runner === target && it.load > 0))
      await operator.until("the busy shards at one node", 60_000, gathered)
      await operator.until("a hot shard", 60_000, (status) => status.shards.some(({ hot }) => hot))
      const said = await operator.parley("rebalance", "--moves", "6")
      scene.note(said.out.trim().replaceAll("\n", ", "))
      if (said.code !== 0 || !said.out.includes("shard "))
        throw new Error(`nothing was moved: ${said.out}${said.error}`)
      await between(scene, 40)
      const after = await operator.api.status()
      if (busy.every(({ shard }) => after.shards.some((it) => it.shard === shard && it.runner === target))) {
        throw new Error("all busy shards are where they were")
      }
      for (const { shard, wanted } of after.shards) {
        if (wanted !== "") await operator.api.wish("DELETE", `/v1/cluster/shards/${shard}/runner`)
      }
    }
  },
  {
    name: "owner-paused",
    about:
      "SIGSTOP of a node for 8 s, past its lease and with sends inside, then SIGCONT: what it wakes with is refused",
    short: false,
    pauseMsMax: 15_000,
    happen: async (scene) => {
      const index = someNode(scene)
      scene.cluster.signalNode(index, "SIGSTOP")
      await delay(8_000)
      scene.cluster.signalNode(index, "SIGCONT")
      await between(scene, 100)
    }
  },
  {
    name: "log-server-killed",
    about: "kill -9 of each NATS server in turn, so of every stream's leader once: acks pause and go on, none is lost",
    short: false,
    pauseMsMax: 20_000,
    happen: async (scene) => {
      for (const name of ["nats-1", "nats-2", "nats-3"]) {
        await scene.cluster.services.killNode(name)
        await between(scene, 40)
        await scene.cluster.services.startNode(name)
        await between(scene, 40)
      }
    }
  },
  {
    name: "log-server-paused",
    about: "SIGSTOP of each NATS server for 6 s: the two others go on",
    short: false,
    pauseMsMax: 25_000,
    happen: async (scene) => {
      for (const name of ["nats-1", "nats-2", "nats-3"]) {
        scene.cluster.services.pause(name)
        await delay(6_000)
        scene.cluster.services.resume(name)
        await between(scene, 40)
      }
    }
  },
  {
    name: "log-quorum-lost",
    about:
      'two of three NATS servers killed for 10 s: everybody says "sending"; then they are back and all of it arrives',
    short: false,
    pauseMsMax: 60_000,
    happen: async (scene) => {
      await scene.cluster.services.killNode("nats-1")
      await scene.cluster.services.killNode("nats-2")
      await delay(10_000)
      await scene.cluster.services.startNode("nats-1")
      await scene.cluster.services.startNode("nats-2")
    }
  },
  {
    name: "cassandra-stopped",
    about: "Cassandra killed for 10 s while people chat: live chat goes on, what was said is written when it is back",
    short: false,
    pauseMsMax: 15_000,
    happen: async (scene) => {
      await scene.cluster.services.killNode("cassandra-1")
      const before = scene.workload.acked
      await delay(10_000)
      scene.note(`${scene.workload.acked - before} acks while Cassandra was away`)
      await scene.cluster.services.startNode("cassandra-1")
    }
  },
  {
    name: "node-killed-without-cassandra",
    about: "kill -9 of a node while Cassandra is away: its shards are taken over all the same, and it starts again",
    short: false,
    pauseMsMax: 15_000,
    happen: async (scene) => {
      await scene.cluster.services.killNode("cassandra-1")
      const index = someNode(scene)
      await scene.cluster.killNode(index)
      await between(scene, 100)
      await scene.cluster.startNode(index)
      await between(scene, 40)
      await scene.cluster.services.startNode("cassandra-1")
    }
  },
  {
    name: "cassandra-paused",
    about: "SIGSTOP of Cassandra for 15 s: writes time out that did apply",
    short: false,
    pauseMsMax: 15_000,
    happen: async (scene) => {
      scene.cluster.services.pause("cassandra-1")
      await delay(15_000)
      scene.cluster.services.resume("cassandra-1")
      await between(scene, 100)
    }
  },
  {
    name: "redis-flushed",
    about: "FLUSHALL in the midst, ten times: no cursor moves back",
    short: true,
    pauseMsMax: 10_000,
    happen: async (scene) => {
      const redis = new Redis(scene.cluster.services.state.redisUrl ?? "")
      try {
        for (let round = 0; round < 10; round++) {
          await redis.flushall()
          await between(scene, 20)
        }
      } finally {
        redis.disconnect()
      }
    }
  },
  {
    name: "redis-stopped",
    about: "Redis stopped for 10 s and back, empty: chat goes on, cursors come from Cassandra",
    short: false,
    pauseMsMax: 10_000,
    happen: async (scene) => {
      await scene.cluster.services.killNode("redis-1")
      await delay(10_000)
      await scene.cluster.services.startNode("redis-1")
      await between(scene, 40)
    }
  },
  {
    name: "upgraded",
    about:
      "node after node is restarted as the next release, one of them then writes that release's wire, and node after node goes back; half of the clients are of the next release",
    short: false,
    pauseMsMax: 5_000,
    nextClients: true,
    loadPauseMs: 800,
    happen: async (scene) => {
      const restart = async (index: number, release: Readonly<Record<string, string>>) => {
        await scene.cluster.stopNode(index)
        await between(scene, 20)
        await scene.cluster.startNode(index, release)
        await between(scene, 20)
      }
      const all = Array.from({ length: scene.cluster.count }, (_, index) => index)
      for (const index of all) await restart(index, nextRelease("next-release"))
      await restart(0, nextRelease("next-release-alone"))
      for (const index of all) await restart(index, {})
    }
  },
  {
    name: "all-nodes-killed",
    about: "kill -9 of all nodes at once: what was acknowledged is there when they are back",
    short: false,
    pauseMsMax: 60_000,
    happen: async (scene) => {
      const all = Array.from({ length: scene.cluster.count }, (_, index) => index)
      await Promise.all(all.map((index) => scene.cluster.killNode(index)))
      await Promise.all(all.map((index) => scene.cluster.startNode(index)))
    }
  }
]

/** Rates that a handful of busy test users stay below. */
export const faultEnvironment: Readonly<Record<string, string>> = {
  PARLEY_FRAMES_PER_SECOND: "100000",
  PARLEY_SENDS_PER_SECOND: "100000",
  PARLEY_MUTATIONS_PER_SECOND: "100000",
  PARLEY_READS_PER_SECOND: "100000",
  PARLEY_EPHEMERAL_PER_SECOND: "100000",
  PARLEY_CONNECTS_PER_ADDRESS_PER_SECOND: "100000",
  // Others use the machine as well: late is not overloaded.
  PARLEY_EVENT_LOOP_LAG_MS: "5000",
  PARLEY_DRAIN_WINDOW_MS: "2000"
}
