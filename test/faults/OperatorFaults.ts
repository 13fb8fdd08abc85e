/** What an operator does to a cluster under load: empties a node, spreads shards anew, brings a new release. */
import { movePath, releasePath, type Status } from "@parley/node/cli/cluster/ClusterApi"
import { between, someNode, type Fault, type Scene } from "./FaultRun.ts"
import { Operator, runnerOf, type Said } from "./Operator.ts"

const nextRelease = (fault: string): Readonly<Record<string, string>> => ({
  PARLEY_TEST_FAULT: fault,
  PARLEY_UNSAFE_LOG: "true"
})

/** Averages, a rest after whatever moved before, and what a machine that others use needs for it. */
const balancedMsMax = 180_000

/** So much more than an even share the one node has then: more than balancing leaves alone (`unevenMin`). */
const lopsided = 1.3
const gatherMsMax = 180_000
/** For shards to be where they are to be, and for averages of what was moved. */
const gatheredMsMax = 30_000
const rebalanceTriesMax = 3

/**
 * The busiest shards of the cluster at one of its nodes, pinned there. Loads are averages, and the load has just begun: what
 * was the busiest may be nothing much a moment later, so it is looked again until that node has much more to do than its share.
 */
const gather = async (scene: Scene, operator: Operator) => {
  const first = await operator.api.status()
  // Pins of an earlier run that did not come to its end would have others make room.
  for (const { shard, wanted } of first.shards) {
    if (wanted !== "") await operator.api.wish("DELETE", releasePath(shard))
  }
  const target = runnerOf(first, scene.cluster.place(someNode(scene)).name)
  let busy: ReadonlyArray<number> = []
  let now = first
  for (const end = performance.now() + gatherMsMax; performance.now() < end;) {
    await operator.until("three busy shards", gatheredMsMax, (status) => {
      now = status
      return status.shards.filter(({ load }) => load > 0).length >= 3
    })
    const busiest = [...now.shards]
      .sort((a, b) => b.load - a.load)
      .slice(0, 3)
      .map(({ shard }) => shard)
    for (const shard of busy) if (!busiest.includes(shard)) await operator.api.wish("DELETE", releasePath(shard))
    for (const shard of busiest) if (!busy.includes(shard)) await operator.api.wish("PUT", movePath(shard, target))
    busy = busiest
    const gathered = operator.until(
      "the busy shards at one node that has more to do than the others",
      gatheredMsMax,
      (status) => {
        now = status
        const runners = status.runners.filter(({ state }) => state === "active")
        const counts = runners.map(({ shards }) => shards)
        const there = busy.every((shard) => status.shards.some((it) => it.shard === shard && it.runner === target))
        const even = runners.reduce((sum, { load }) => sum + load, 0) / runners.length
        const much = runners.some(({ load, runner }) => runner === target && load >= lopsided * even)
        return there && much && Math.max(...counts) - Math.min(...counts) <= 1
      }
    )
    if (await ends(gathered)) return { target, busy }
  }
  throw new Error(`busy shards ${busy.join(", ")} are not gathered at ${target}: ${JSON.stringify(now)}`)
}

const ends = (promise: Promise<void>): Promise<boolean> =>
  promise.then(
    () => true,
    () => false
  )

const loadsOf = ({ runners }: Status): string =>
  runners.flatMap(({ load, state }) => (state === "active" ? [Math.round(load)] : [])).join(", ")

export const operatorFaults: ReadonlyArray<Fault> = [
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
      let said: Said
      let moved: ReadonlyArray<RegExpExecArray>
      let tries = 0
      do {
        await gather(scene, operator)
        await operator.until("a hot shard", 60_000, (status) => status.shards.some(({ hot }) => hot))
        said = await operator.parley("rebalance", "--moves", "6")
        scene.note(said.out.trim().replaceAll("\n", ", "))
        moved = [...said.out.matchAll(/^shard (\d+): \S+ → (\S+)$/gm)]
        // It looks for some seconds, and what was busy on average may have rested in these.
      } while (said.code === 0 && moved.length === 0 && ++tries < rebalanceTriesMax)
      if (said.code !== 0 || moved.length === 0) throw new Error(`nothing was moved: ${said.out}${said.error}`)
      // By what each runner had to do while it looked: that is not always what was the most before.
      const loads = [...said.out.matchAll(/ load ([\d.]+) → ([\d.]+)$/gm)]
      const most = (at: number) => Math.max(...loads.map((load) => Number(load[at])))
      if (!(most(2) < most(1))) throw new Error(`it is no more even: ${said.out}`)
      const after = await operator.api.status()
      // One may be moved twice.
      for (const [shard, to] of new Map(moved.map(([, shard, to]) => [Number(shard), to]))) {
        const { runner } = after.shards.find((it) => it.shard === shard) ?? {}
        if (runner !== to) throw new Error(`shard ${shard} is at ${runner}, but it was said: ${said.out}`)
      }
      await between(scene, 40)
      for (const { shard, wanted } of (await operator.api.status()).shards) {
        if (wanted !== "") await operator.api.wish("DELETE", releasePath(shard))
      }
    }
  },
  {
    name: "shards-balanced",
    about: "all busy shards moved to one node and released there: the cluster spreads them again by itself",
    short: true,
    pauseMsMax: 5_000,
    loadPauseMs: 100,
    happen: async (scene) => {
      const operator = new Operator(scene.cluster, 0)
      const { busy, target } = await gather(scene, operator)
      const before = await operator.api.status()
      for (const shard of busy) await operator.api.wish("DELETE", releasePath(shard))
      const begun = performance.now()
      const spread = ({ shards }: Status) =>
        shards.some((it) => busy.includes(it.shard) && it.runner !== target && it.runner !== "" && it.balanced)
      await operator.until("busy shards that the cluster spreads", balancedMsMax, spread)
      const seconds = Math.round((performance.now() - begun) / 1_000)
      await between(scene, 40)
      scene.note(`loads ${loadsOf(before)}, after ${seconds} s ${loadsOf(await operator.api.status())}`)
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
        await scene.cluster.startNode(index, { environment: release })
        await between(scene, 20)
      }
      const all = Array.from({ length: scene.cluster.count }, (_, index) => index)
      for (const index of all) await restart(index, nextRelease("next-release"))
      await restart(0, nextRelease("next-release-alone"))
      for (const index of all) await restart(index, {})
    }
  }
]
