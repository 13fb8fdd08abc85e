/** The faults, each a few lines over `Scene`: what happens, for how long, and that it is over at the end. */
import { setTimeout as delay } from "node:timers/promises"
import { Redis } from "ioredis"
import { brokenBuilds } from "./BrokenBuilds.ts"
import { clientFaults } from "./ClientFaults.ts"
import { diskFaults } from "./DiskFaults.ts"
import { between, someNode, type Fault } from "./FaultRun.ts"
import { networkFaults } from "./NetworkFaults.ts"
import { operatorEnvironment } from "./ClusterCalls.ts"
import { operatorFaults } from "./OperatorFaults.ts"
import { ownerFaults } from "./OwnerFaults.ts"
import { powerFaults } from "./PowerFaults.ts"
import { restoreFaults } from "./RestoreFaults.ts"
import { storeFaults } from "./StoreFaults.ts"

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
    name: "all-nodes-killed",
    about: "kill -9 of all nodes at once: what was acknowledged is there when they are back",
    short: false,
    pauseMsMax: 60_000,
    happen: async (scene) => {
      const all = Array.from({ length: scene.cluster.count }, (_, index) => index)
      await Promise.all(all.map((index) => scene.cluster.killNode(index)))
      await Promise.all(all.map((index) => scene.cluster.startNode(index)))
    }
  },
  ...operatorFaults,
  ...networkFaults,
  ...brokenBuilds,
  ...ownerFaults,
  ...storeFaults,
  ...powerFaults,
  ...diskFaults,
  ...restoreFaults,
  ...clientFaults
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
  PARLEY_DRAIN_WINDOW_MS: "2000",
  ...operatorEnvironment
}
